//! Cases of lines; expected values are read off the line.


