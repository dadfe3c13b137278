//! The actions of a host, independent of the words in which its Windows logs them.

use super::pen::{Pen, say};
use super::spec::Update;

/// The outcome of an attempt at an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Downloaded, trusted, installed.
    Installed,
    /// Downloaded and not trusted.
    Untrusted {
        /// Code of each check of the certificate chain.
        chain_code: u32,
        /// Code at the end of the download.
        code: u32,
    },
    /// Trusted, and its installer fails.
    InstallFailed {
        /// Code at the end of the installation.
        code: u32,
    },
}

/// The words of one form of the log.
pub(super) trait Dialect: Sync {
    /// The service starts.
    fn service_start(&self, pen: &mut Pen<'_>);
    /// The service stops.
    fn service_exit(&self, pen: &mut Pen<'_>);
    /// A scan finds `found`.
    fn scan(&self, pen: &mut Pen<'_>, found: &[&Update]);
    /// A scan does not reach the server, for the reason `code`.
    fn scan_failed(&self, pen: &mut Pen<'_>, code: u32);
    /// Tries one update. Returns the time of its first definite line, milliseconds since 1970 UTC.
    fn attempt(&self, pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64;
    /// Sends the collected reports to the server.
    fn upload(&self, pen: &mut Pen<'_>);
    /// Another program on the host asks for updates.
    fn other_program(&self, pen: &mut Pen<'_>);
}

/// WSUS, as a service id.
pub(super) const MANAGED: &str = "{3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}";

/// Search criteria of clients of a WSUS server.
pub(super) const CRITERIA: &str = "IsInstalled=0 and DeploymentAction='Installation' or IsPresent=1 and DeploymentAction='Uninstallation' or IsInstalled=1 and DeploymentAction='Installation' and RebootRequired=1 or IsInstalled=0 and DeploymentAction='Uninstallation' and RebootRequired=1";

/// Lines of the agent at the end of a scan that found `found` updates, behind `bullet`.
pub(super) fn search_result(pen: &mut Pen<'_>, bullet: &str, found: usize) {
    let evaluated = pen.random.within(120..900);
    let deployed = evaluated + pen.random.within(100..900);
    let categories = pen.random.within(50..90);
    say!(
        pen,
        "Agent",
        "{bullet}Found {found} updates and {categories} categories in search; evaluated appl. rules of {evaluated} out of {deployed} deployed entities"
    );
}

/// The URL of an update's file on the server, and the path of its download.
pub(super) fn content(pen: &mut Pen<'_>) -> (String, String) {
    let (folder, file) = (pen.random.hex(32), pen.random.hex(40));
    let capitals = file.to_uppercase();
    let url = format!("{}/Content/{}/{capitals}.cab", pen.host.wsus_url, &capitals[38..]);
    (url, format!("C:\\Windows\\SoftwareDistribution\\Download\\{folder}\\{file}"))
}
