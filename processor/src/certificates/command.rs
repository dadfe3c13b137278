//! The command line of `certificates`, and where inventories come from.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use wulog_collector::certificates::gathered;
use wulog_files::Fence;
use wulog_schemas::signal::{CertificateFacts, Fact, HostRef, Signal};
use wulog_schemas::topic::Topic;

use super::{NewestInventories, list, missing, show};
use crate::config::Config;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::log::kafka::PartitionReader;
use crate::log::{LogError, Record};
use crate::replay::logs;

/// Arguments of `certificates`.
#[derive(Debug, Args)]
pub(crate) struct CertificatesArgs {
    #[command(subcommand)]
    what: CertificatesVerb,
}

#[derive(Debug, Subcommand)]
enum CertificatesVerb {
    /// One line for each certificate and store: how many hosts have the certificate, of how many with a known store.
    List {
        #[command(flatten)]
        place: InventoriesFrom,
        /// The stores Root and CA too.
        #[arg(long)]
        all: bool,
    },
    /// The hosts that have a certificate, and those that lack it.
    Show {
        /// Its SHA-1 thumbprint, or the beginning of it.
        thumbprint: String,
        #[command(flatten)]
        place: InventoriesFrom,
    },
    /// Certificates that some hosts have in Trusted Publishers and others lack.
    Missing {
        #[command(flatten)]
        place: InventoriesFrom,
    },
}

/// Where inventories are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct InventoriesFrom {
    /// The topic of signals, as this configuration says.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Files of gathered hosts: DIR/HOST/certutil-STORE.txt and DIR/HOST/certificates.json.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

impl CertificatesArgs {
    /// Runs the command and prints the page.
    ///
    /// # Errors
    /// When inventories cannot be read, or no host has the certificate.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let page = match &self.what {
            CertificatesVerb::List { place, all } => list(&place.book()?, *all),
            CertificatesVerb::Show { thumbprint, place } => show(&place.book()?, thumbprint)
                .with_context(|| format!("no host has a certificate whose thumbprint begins with {thumbprint}"))?,
            CertificatesVerb::Missing { place } => missing(&place.book()?),
        };
        print!("{page}");
        Ok(())
    }
}

impl InventoriesFrom {
    fn book(&self) -> anyhow::Result<NewestInventories> {
        let mut book = NewestInventories::default();
        if let Some(dir) = &self.logs {
            of_files(dir, &mut book)?;
        } else if let Some(db) = &self.db {
            of_signals(embedded::Records::open(&EmbeddedConfig::of_file(db)?, Topic::Signals)?, &mut book)?;
        } else if let Some(file) = &self.config {
            let config = Config::read(file)?;
            of_signals(PartitionReader::open(&config.kafka, Topic::Signals, 0)?, &mut book)?;
        }
        Ok(book)
    }
}

fn of_signals<E: Into<LogError>>(
    records: impl Iterator<Item = Result<Record, E>>,
    book: &mut NewestInventories,
) -> anyhow::Result<()> {
    for record in records {
        let record = record.map_err(Into::into)?;
        if let Ok(Signal { fact: Fact::Certificates(facts), .. }) = Signal::from_bytes(&record.value) {
            book.add(facts);
        }
    }
    Ok(())
}

fn of_files(dir: &Path, book: &mut NewestInventories) -> anyhow::Result<()> {
    for found in logs::inventories(dir)? {
        let read = gathered::of_folder(&found.folder, &Fence::at(&found.folder));
        let inventory = read.with_context(|| format!("{}: cannot be read", found.folder.display()))?;
        let host = HostRef { id: found.host_id.as_str().to_owned(), name: found.host };
        if let Some(inventory) = inventory {
            book.add(CertificateFacts::of(host, &inventory));
        }
    }
    Ok(())
}
