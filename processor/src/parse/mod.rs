//! Raw line -> entry: what kind of line it is, and its columns.
