//! The settings of inventories.

use wulog_schemas::certificate::Inventory;

use super::failed_files::ReadFailed;
use super::site::AskSite;

/// The hosts whose inventories of certificates are shipped; see [`crate::certificates`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateSources {
    /// Gathered hosts with files of an inventory in their folders.
    pub gathered: bool,
    /// The collector's own host, by this function.
    pub machine: Option<ReadMachine>,
    /// The TLS certificate of that host's WSUS server, by this function.
    pub site: Option<AskSite>,
    /// The signers of files that the host's update client did not trust, by this function.
    pub failed_files: Option<ReadFailed>,
}

/// A function that reads the stores and the update policy of this machine. The caller adds the time and the slow parts:
/// the WSUS server's certificate, and the signers of files.
pub type ReadMachine = fn() -> Inventory;
