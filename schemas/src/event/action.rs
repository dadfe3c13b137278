//! `event.action`: the kind of a line, from a closed list, so that searches and dashboards can rely on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The kind of a line, or of an event without a line.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// The service starts.
    ServiceStart,
    /// The service stops.
    ServiceStop,
    /// A process begins to log: the banner with build and time zone.
    LoggingInitialized,
    /// A bar that only frames a section.
    Separator,
    /// A fact about client, host or policy: version, WSUS server, target group, OS.
    Configuration,
    /// Automatic updates or an application asks the agent for a search, download or installation, and gets the answer.
    ClientCall,
    /// A search for updates starts.
    ScanStart,
    /// Criteria or results of a search.
    ScanProgress,
    /// A search for updates ends.
    ScanEnd,
    /// A search for updates failed.
    ScanFailed,
    /// Metadata is synchronized with the server.
    MetadataSync,
    /// A download starts.
    DownloadStart,
    /// A download goes on, waits or was asked for.
    DownloadProgress,
    /// A download ends.
    DownloadEnd,
    /// A download succeeded.
    DownloadSucceeded,
    /// A download failed.
    DownloadFailed,
    /// A download was cancelled.
    DownloadCanceled,
    /// A file's signature is verified, or the verification ended.
    SignatureVerification,
    /// An installation starts.
    InstallStart,
    /// An installation is ready, scheduled or pending.
    InstallPending,
    /// An installation ends.
    InstallEnd,
    /// An installation succeeded, perhaps with a restart to come.
    InstallSucceeded,
    /// An installation failed.
    InstallFailed,
    /// An installation was cancelled or killed.
    InstallCanceled,
    /// An uninstallation starts.
    UninstallStart,
    /// An uninstallation ends.
    UninstallEnd,
    /// An uninstallation succeeded, perhaps with a restart to come.
    UninstallSucceeded,
    /// An uninstallation failed.
    UninstallFailed,
    /// An uninstallation was cancelled or killed.
    UninstallCanceled,
    /// An update is committed: start and ends in `event.outcome`.
    Commit,
    /// An update is reverted: start and ends in `event.outcome`.
    Revert,
    /// A user hid or unhid an update.
    UpdateVisibility,
    /// A restart is required or completed.
    Reboot,
    /// The client looks for a newer version of itself.
    SelfUpdate,
    /// The client talks to a server.
    ServerRequest,
    /// A step of the handler, which prepares and installs updates.
    HandlerStep,
    /// Status or events are reported to the server, or to Windows Error Reporting.
    Report,
    /// A step failed, with a code, and no other action applies.
    OperationFailed,
    /// A record for which the decoder of the host had no format.
    Undecoded,
    /// The line continues the one above.
    Continuation,
    /// Any other line.
    Log,
    /// An operation on an update, or a scan, failed for a reason of certificate trust.
    AttemptFailed,
    /// An operation succeeded, or an update that failed is no longer offered.
    AttemptSucceeded,
    /// A host sent an inventory of its certificates.
    CertificateInventory,
    /// The first inventory of a host lists a certificate.
    CertificateFound,
    /// A certificate came to a store since the inventory before.
    CertificateAdded,
    /// A certificate went from a store since the inventory before.
    CertificateRemoved,
    /// A file that the update client did not trust names its signer.
    CertificateSigner,
    /// The raw record is no log line.
    PipelineError,
}
