//! Alert documents for tests of channels, and a `standalone` that only delivers them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};
use wulog_schemas::alert::{Alert, Level, State, Transition, UtcTime};

use crate::process::Running;

const EXAMPLES: &str = include_str!("../../schemas/examples/alert.json");

/// Milliseconds since 1970.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(now.as_millis()).expect("milliseconds fit for 292 million years")
}

/// A document of the incident `wu-NUMBER`, from the example of the contract.
///
/// # Panics
/// When the contract has no example.
#[must_use]
pub fn document(number: u32, seq: u32, transition: Transition, level: Level) -> Alert {
    let examples: Vec<Alert> = serde_json::from_str(EXAMPLES).expect("the examples are alerts");
    let mut alert = examples.into_iter().next().expect("there is an example");
    alert.id = format!("wu-{number:016x}");
    (alert.seq, alert.transition, alert.severity.level) = (seq, transition, level);
    alert.state = match transition {
        Transition::Resolved => State::Resolved,
        Transition::Expired => State::Expired,
        Transition::Merged => State::Merged,
        _ => State::Open,
    };
    alert.time.updated = UtcTime(now_ms());
    alert.time.opened = UtcTime(now_ms() - 1000);
    alert
}

/// `standalone` over an empty folder of logs.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// Writes the configuration.
    ///
    /// # Panics
    /// If the disk is full.
    #[must_use]
    pub fn new(config: &str) -> Desk {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("logs")).expect("a folder can be made");
        let desk = Desk { folder };
        desk.configure(config);
        desk
    }

    /// Writes another configuration, for the next start.
    ///
    /// # Panics
    /// If the disk is full.
    pub fn configure(&self, config: &str) {
        fs::write(self.config(), config).expect("a file can be written");
    }

    /// A path in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("standalone.toml")
    }

    /// The SQLite file.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.path("wulog.db")
    }

    /// Starts `standalone`, and waits until the channels have a position: later documents are new to them.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(&self, channels: usize) -> Running {
        let logs = self.path("logs");
        let arguments: [&Path; 7] = [
            "standalone".as_ref(),
            "--config".as_ref(),
            &self.config(),
            "--logs".as_ref(),
            &logs,
            "--db".as_ref(),
            &self.db(),
        ];
        let mut running = Running::start("wulog-processor", &arguments);
        running.until("a position of each channel", Duration::from_secs(60), |_| self.positions() >= channels);
        running
    }

    fn positions(&self) -> usize {
        let count = || -> rusqlite::Result<i64> {
            let connection = Connection::open_with_flags(self.db(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let question = "SELECT count(*) FROM state WHERE key LIKE 'channel/%/position'";
            connection.query_row(question, [], |row| row.get(0))
        };
        count().map_or(0, |count| usize::try_from(count).unwrap_or_default())
    }

    /// Appends documents to the topic of alerts, as the detector does.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn append(&self, alerts: &[Alert]) {
        let write = || -> rusqlite::Result<()> {
            let mut connection = Connection::open(self.db())?;
            connection.busy_timeout(Duration::from_secs(30))?;
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let question = "SELECT coalesce(max(next), 0) FROM topic_end WHERE topic = 'alerts' AND partition = 0";
            let mut next: i64 = transaction.query_row(question, [], |row| row.get(0))?;
            for alert in alerts {
                let value = serde_json::to_string(alert).expect("a document is JSON");
                transaction.execute(
                    "INSERT INTO record (topic, partition, offset, timestamp_ms, key, value) VALUES ('alerts', 0, ?1, ?2, ?3, ?4)",
                    params![next, alert.time.updated.0, alert.id, value],
                )?;
                next += 1;
            }
            transaction.execute("INSERT OR REPLACE INTO topic_end VALUES ('alerts', 0, ?1)", [next])?;
            transaction.commit()
        };
        write().expect("the log can be written");
    }

    /// Runs `wulog-processor channels ...` on this log.
    ///
    /// # Panics
    /// When it does not end in a minute.
    #[must_use]
    pub fn channels(&self, arguments: &[&str]) -> crate::process::Ended {
        let (config, db) = (self.config().display().to_string(), self.db().display().to_string());
        let mut all = vec!["channels"];
        all.extend(arguments);
        all.extend(["--config", &config, "--db", &db]);
        crate::process::run("wulog-processor", &all)
    }
}
