//! The output of the demo on the terminal.

use std::io::{IsTerminal, Write};
use std::path::Path;

use wulog_processor::report::{print_alert, print_update};
use wulog_schemas::alert::Alert;
use wulog_tests::fleet::Fleet;

const COLUMNS: usize = 80;

/// The terminal, or the file to which the output goes.
pub(crate) struct Screen {
    is_terminal: bool,
    said_hours: i64,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { is_terminal: std::io::stdout().is_terminal(), said_hours: -1 }
    }

    pub(crate) fn opening(&mut self, fleet: &Fleet, kafka: Option<&str>) {
        let sites = fleet.spec().wsus.iter().map(|wsus| wsus.sites.len()).sum::<usize>();
        let hosts = fleet.hosts().len();
        let servers = fleet.spec().wsus.len();
        let log = kafka.map_or_else(|| "the embedded log (SQLite)".to_owned(), |brokers| format!("Kafka at {brokers}"));
        println!("wulog demo: {hosts} simulated Windows hosts, {servers} WSUS servers, 48 simulated hours.");
        println!();
        println!("  hosts write WindowsUpdate.log -> {sites} collectors, one a site, tail them");
        println!("  -> {log}");
        println!("  -> processor: one event a line, one alert a root cause");
        println!();
        println!("After 24 h a new third-party update is published through WSUS. The hosts of one");
        println!("WSUS server do not trust the certificate that signed it.");
        println!();
    }

    pub(crate) fn progress(&mut self, hours: i64, of_hours: i64, lines: u64) {
        if self.is_terminal {
            print!("\r  hour {hours:>2} of {of_hours}: {lines} log lines written and shipped ");
            self.flush();
        } else if hours % 8 == 0 && hours != self.said_hours {
            println!("  hour {hours:>2} of {of_hours}: {lines} log lines written and shipped");
        }
        self.said_hours = hours;
    }

    pub(crate) fn alert(&mut self, alert: &Alert, is_first: bool) {
        self.clear_line();
        let text = if is_first { print_alert(alert, COLUMNS) } else { print_update(alert, COLUMNS) };
        println!("{text}");
    }

    pub(crate) fn ending(&mut self, last: &Alert, kafka: Option<&str>, kept: Option<&Path>) {
        self.clear_line();
        println!();
        println!(
            "One root cause, one incident: {} documents; the last counts {} hosts.",
            last.seq, last.hosts.affected
        );
        println!();
        println!("What to try next:");
        match (kafka, kept) {
            (Some(brokers), _) => {
                println!("  the five topics wulog-demo-* are still at {brokers}, for you to read and to delete");
            }
            (None, Some(folder)) => {
                let folder = folder.display();
                println!("  wulog-processor replay --db {folder}/wulog.db --stage signals --alerts-out -");
                println!("  sqlite3 {folder}/wulog.db \"SELECT value FROM record WHERE topic='events' LIMIT 3\"");
            }
            (None, None) => println!("  cargo run --release --bin wulog-demo -- --keep DIR   (keeps logs and events)"),
        }
        println!("  cargo run --release --bin wulog-processor -- parse YOUR/WindowsUpdate.log");
        println!("  cargo run --release --bin wulog-processor -- standalone --logs SHARE   (SHARE/HOST/*.log)");
    }

    pub(crate) fn interrupted(&mut self) {
        self.clear_line();
        println!("stopped; nothing is left behind");
    }

    fn clear_line(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
            self.flush();
        }
    }

    fn flush(&self) {
        // An error of the terminal cannot be reported on the terminal.
        std::io::stdout().flush().unwrap_or_default();
    }
}
