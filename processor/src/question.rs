//! Questions about the state of a machine, and their answers.
//!
//! ```text
//! HTTP thread: Asker::ask -> queue of 8 -> shell, between two batches: Machine::answer -> reply
//! ```
//!
//! The machine belongs to its shell's thread, so no lock is needed: the HTTP server sends a question, and the shell's
//! loop answers after a batch. A question reads the state and changes nothing, so outputs do not depend on questions.
//! Three limits keep questions from slowing the loop: the length of the queue, the questions a second, and the rows of
//! an answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Questions that wait for the shell.
const WAITING_MAX: usize = 8;
/// Average number of questions in a second. One question reads all hosts once: 50 ms for a million of them.
pub const QUESTIONS_PER_SECOND_MAX: f64 = 5.0;
/// Maximum number of questions in a burst after a pause.
const BURST_MAX: f64 = 10.0;
/// Timeout of an answer: a batch takes less, loading a machine takes longer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Time for which an answer about the whole fleet is reused.
const FLEET_AGE_MAX: Duration = Duration::from_secs(2);
/// Hosts of an answer to [`Question::Hosts`].
pub const HOSTS_MAX: usize = 200;
/// Files of an answer to [`Question::Files`].
pub const FILES_MAX: usize = 100;
/// Hosts of an answer to [`Question::Members`].
pub const MEMBERS_MAX: usize = 20_000;
/// Certificates of an answer to [`Question::Certificates`].
pub const CERTIFICATES_MAX: usize = 200;

/// The kinds of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The state of the whole fleet.
    Fleet,
    /// Hosts that match a text, or that are in a state.
    Hosts(HostSearch),
    /// The hosts of this name.
    Host(String),
    /// The log files of the host with this id, which the Normalizer of its partition knows.
    Files(String),
    /// The affected hosts of the incident with this id.
    Members(String),
    /// The certificates in the stores of hosts that send inventories.
    Certificates,
}

/// The wanted hosts; an empty part matches all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSearch {
    /// Part of a host name, of an update's id, title or KB, of a value such as the server; an HRESULT; a thumbprint.
    pub text: String,
    /// One of [`HOST_STATES`], or `failing`.
    pub state: String,
}

/// The states of a host; the first one that applies counts: its logs cannot be read; earlier lines are on their way; it
/// has not reported whether it has caught up; it has been silent for long; none of these.
pub const HOST_STATES: [&str; 5] = ["unreadable", "behind", "unknown", "silent", "active"];

/// The answer of a machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Question::Fleet`].
    Fleet(FleetState),
    /// To [`Question::Hosts`].
    Hosts(HostList),
    /// To [`Question::Host`]: the hosts of that name, each with its id.
    Host(Vec<HostDetails>),
    /// To [`Question::Files`].
    Files(HostFiles),
    /// To [`Question::Members`]; `None` where the machine no longer knows the incident.
    Members(Option<Vec<MemberHost>>),
    /// To [`Question::Certificates`].
    Certificates(FleetCertificates),
}

/// The fleet as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetState {
    /// Hosts that are known.
    pub hosts: u64,
    /// Hosts in each of [`HOST_STATES`].
    pub by_state: BTreeMap<&'static str, u64>,
    /// Hosts that fail at something for a reason of certificate trust.
    pub failing: u64,
    /// Hosts that send inventories of their certificates.
    pub with_inventory: u64,
    /// Log time of the newest signal, milliseconds since 1970 UTC; 0 before the first.
    pub log_time: i64,
}

/// The hosts found by a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostList {
    /// Number of matching hosts.
    pub total: u64,
    /// The first matching hosts: failing hosts before others, then by name.
    pub hosts: Vec<HostRow>,
}

/// A host in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// Host name.
    pub name: String,
    /// Host id.
    pub id: String,
    /// One of [`HOST_STATES`].
    pub state: &'static str,
    /// Number of subjects at which the host fails.
    pub failing: u64,
    /// First failure at one of these subjects, milliseconds since 1970 UTC.
    pub failing_since: Option<i64>,
    /// Log time of the newest signal of the host, milliseconds since 1970 UTC.
    pub heard: i64,
}

/// All known facts of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostDetails {
    /// The host's row in a list.
    #[serde(flatten)]
    pub row: HostRow,
    /// Log time of the first signal of the host, milliseconds since 1970 UTC.
    pub first_heard: i64,
    /// Event time of the newest activity, to a quarter of an hour, milliseconds since 1970 UTC.
    pub last_active: Option<i64>,
    /// The newest scan that is recorded: one that failed, or the first that succeeded after a failure.
    pub last_scan: Option<Scan>,
    /// Dimensions of the host and of its operations.
    pub facts: Vec<HostFact>,
    /// The host's failures, the oldest first.
    pub failures: Vec<HostFailure>,
    /// The host's successes, the newest first.
    pub successes: Vec<HostSuccess>,
    /// Ids of the host's open incidents.
    pub incidents: Vec<String>,
    /// The host's certificates; `None` without an inventory.
    pub inventory: Option<HostCertificates>,
}

/// A scan for updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// The server, `HOST[:PORT]`; empty where the host names none.
    pub server: String,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// A value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HostFact {
    /// The dimension.
    pub dimension: String,
    /// Its value.
    pub value: String,
}

/// One failure of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFailure {
    /// The update, file or server.
    pub subject: String,
    /// Title and KB of an update, where known.
    pub title: Option<String>,
    /// Family of the newest failure.
    pub family: &'static str,
    /// HRESULT of the failure that counted; `None` if none counted lately.
    pub code: Option<String>,
    /// Event time of the first failure since the last success, milliseconds since 1970 UTC.
    pub since: i64,
    /// Event time of the newest failure, milliseconds since 1970 UTC.
    pub last: i64,
    /// Whether the host failed before the failure could count as new.
    pub chronic: bool,
}

/// One success of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostSuccess {
    /// The update, file or server.
    pub subject: String,
    /// Title and KB of an update, where known.
    pub title: Option<String>,
    /// Event time of the newest success, milliseconds since 1970 UTC.
    pub time: i64,
}

/// The certificate stores of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostCertificates {
    /// Stores that were read completely.
    pub complete_stores: Vec<&'static str>,
    /// Policy `AcceptTrustedPublisherCerts`; `None` where the host does not report it.
    pub accept_trusted_publisher_certs: Option<bool>,
    /// The certificates, by store and subject.
    pub certificates: Vec<StoredCertificate>,
}

/// A certificate in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StoredCertificate {
    /// The store.
    pub store: &'static str,
    /// Distinguished name of the subject.
    pub subject: String,
    /// SHA-1 thumbprint.
    pub sha1: String,
    /// End of the validity, milliseconds since 1970 UTC.
    pub not_after: Option<i64>,
}

/// The log files of a host, and how far they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostFiles {
    /// The files, the one with the newest line first.
    pub files: Vec<HostFile>,
    /// Files that are known and not listed.
    pub unlisted: u64,
    /// The newest state of the host's collector; `None` without a report since this process began to read the
    /// partition.
    pub collector: Option<CollectorState>,
}

/// A log file of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostFile {
    /// Path on the host, or on the share from which it was gathered.
    pub file: String,
    /// Event time of its newest line, milliseconds since 1970 UTC; `None` where no line has a time.
    pub newest: Option<i64>,
    /// Bytes of decoded text that are read, counted from the beginning of reading or from the replacement of the file.
    pub read_bytes: u64,
    /// Bytes in the file that the collector has not shipped yet; `None` without a report of the collector.
    pub lag_bytes: Option<u64>,
    /// Times that lines may have been missed; `None` without a report of the collector.
    pub losses: Option<u64>,
}

/// The newest heartbeat of a host's collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollectorState {
    /// Log time of the heartbeat, milliseconds since 1970 UTC.
    pub at: i64,
    /// Whether all that the files held was shipped.
    pub caught_up: bool,
    /// Files that the collector follows.
    pub files: u64,
    /// Bytes in all files that are not shipped yet.
    pub lag_bytes: u64,
    /// Times that lines of any file may have been missed.
    pub losses: u64,
}

/// An affected host of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberHost {
    /// Host name.
    pub name: String,
    /// Event time of the first failure, milliseconds since 1970 UTC.
    pub first_failure: i64,
    /// HRESULT of the first failure.
    pub code: String,
    /// The update, file or server.
    pub subject: String,
    /// Title and KB of an update.
    pub title: String,
    /// Whether it has succeeded since.
    pub recovered: bool,
    /// Event time of its newest success at a subject of the incident, milliseconds since 1970 UTC; `None` if it has not
    /// recovered, or if the Detector no longer keeps the success.
    pub recovered_at: Option<i64>,
    /// Partition and offset of the first failure in `wulog.raw`.
    pub raw: (i32, i64),
    /// The host's dimensions.
    pub dimensions: BTreeMap<String, String>,
}

/// Certificates of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetCertificates {
    /// Certificates that are known.
    pub total: u64,
    /// Hosts that send inventories.
    pub hosts_with_inventory: u64,
    /// Log time of the answer, milliseconds since 1970 UTC, by which expiry is judged.
    pub log_time: i64,
    /// The certificates, the first to expire first; certificates that ended before `log_time` come last.
    pub certificates: Vec<FleetCertificate>,
}

/// A certificate and the hosts that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetCertificate {
    /// SHA-1 thumbprint.
    pub sha1: String,
    /// Distinguished name of the subject.
    pub subject: String,
    /// Distinguished name of the issuer; empty if it equals the subject.
    pub issuer: String,
    /// End of the validity, milliseconds since 1970 UTC.
    pub not_after: Option<i64>,
    /// Hosts that have it, by store.
    pub hosts_by_store: BTreeMap<&'static str, u64>,
}

/// The reason for a missing answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Another process runs the machine.
    #[error("this process does not run the Detector at the moment")]
    Elsewhere,
    /// The machine is being loaded, or works on a long batch.
    #[error("the Detector of this process is busy or is being loaded; ask again in some seconds")]
    Busy,
    /// The limit of questions a second is reached.
    #[error("too many questions in this second; ask again in a second")]
    TooMany,
}

/// A question on its way.
struct Asked {
    question: Question,
    reply: oneshot::Sender<Option<Answer>>,
}

/// The side that asks. One process has one.
#[derive(Debug)]
pub struct Asker {
    queue: mpsc::Sender<Asked>,
    /// Number of allowed questions, and the time of this count.
    allowance: Mutex<(f64, Instant)>,
    /// The last answer about the whole fleet.
    fleet: Mutex<Option<(FleetState, Instant)>>,
}

/// The side that answers.
pub struct Questions(mpsc::Receiver<Asked>);

/// Both sides.
#[must_use]
pub fn channel() -> (Asker, Questions) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let allowance = Mutex::new((BURST_MAX, Instant::now()));
    (Asker { queue: sender, allowance, fleet: Mutex::default() }, Questions(receiver))
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.question.fmt(out)
    }
}

impl Asker {
    /// Asks, and waits for the answer for 3 s at most.
    ///
    /// # Errors
    /// [`NoAnswer`], which says why.
    pub async fn ask(&self, question: Question) -> Result<Answer, NoAnswer> {
        if !self.may_ask(Instant::now()) {
            return Err(NoAnswer::TooMany);
        }
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Asked { question, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Busy,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Elsewhere,
        })?;
        match tokio::time::timeout(ANSWER_WAIT, answer).await {
            Ok(Ok(answer)) => answer.ok_or(NoAnswer::Elsewhere),
            // The shell has ended.
            Ok(Err(_)) => Err(NoAnswer::Elsewhere),
            Err(_) => Err(NoAnswer::Busy),
        }
    }

    /// The fleet as a whole, at most 2 s old.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub async fn fleet(&self) -> Result<FleetState, NoAnswer> {
        let known = self.fleet.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((fleet, _)) = known.filter(|(_, at)| at.elapsed() < FLEET_AGE_MAX) {
            return Ok(fleet);
        }
        let Answer::Fleet(fleet) = self.ask(Question::Fleet).await? else { return Err(NoAnswer::Busy) };
        *self.fleet.lock().unwrap_or_else(PoisonError::into_inner) = Some((fleet.clone(), Instant::now()));
        Ok(fleet)
    }

    fn may_ask(&self, now: Instant) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, counted) = *allowance;
        let gained = now.saturating_duration_since(counted).as_secs_f64() * QUESTIONS_PER_SECOND_MAX;
        let left = (left + gained).min(BURST_MAX);
        let may = left >= 1.0;
        *allowance = (if may { left - 1.0 } else { left }, now);
        may
    }
}

impl Questions {
    /// Answers the waiting questions, without waiting for more. `answer` returns `None` where the machine is not here.
    pub fn answer_all(&mut self, mut answer: impl FnMut(&Question) -> Option<Answer>) {
        // At most one queue of questions, so that the loop continues while further questions arrive.
        for _ in 0..WAITING_MAX {
            let Ok(asked) = self.0.try_recv() else { return };
            // A question whose caller has given up costs nothing.
            if !asked.reply.is_closed() {
                let _ = asked.reply.send(answer(&asked.question));
            }
        }
    }
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Questions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_have_a_rate() {
        let (asker, _questions) = channel();
        let now = Instant::now();
        let asked = (0..100).filter(|_| asker.may_ask(now)).count();
        assert_eq!(asked, 10, "a burst");
        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| asker.may_ask(later)).count(), 5, "then five a second");
    }

    #[test]
    fn a_process_without_the_machine_says_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (asker, mut questions) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200 {
                    questions.answer_all(|_| None);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let answer = runtime.block_on(asker.ask(Question::Fleet));
            assert_eq!(answer, Err(NoAnswer::Elsewhere));
        });
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (asker, questions) = channel();
        let began = Instant::now();
        let ended = runtime.block_on(async {
            let asks = (0..WAITING_MAX + 1).map(|_| asker.ask(Question::Fleet));
            futures_util::future::select_all(asks.map(Box::pin)).await.0
        });
        assert_eq!(ended, Err(NoAnswer::Busy));
        assert!(began.elapsed() < ANSWER_WAIT, "the one too many does not wait");
        drop(questions);
    }
}
