//! The severity of a line.

/// Severity word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLevel {
    /// `WARNING:`
    Warning,
    /// `FATAL:`
    Fatal,
    /// An error by the severity column of Configuration Manager.
    Error,
}
