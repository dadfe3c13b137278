//! The pages of `certificates`.

use chrono::DateTime;
use wulog_schemas::certificate::STORES;
use wulog_schemas::visible::visible;

use super::{NewestInventories, StoreRow};

/// Hosts named in a line.
const HOSTS_NAMED: usize = 20;

/// Stores that `list` shows: what somebody put there for updates. Root and CA hold what every Windows has.
const LISTED: [&str; 3] = ["TrustedPublisher", "Disallowed", "WSUS"];

/// A line for each certificate of each store: hosts that have it, of those that can tell.
#[must_use]
pub(crate) fn list(book: &NewestInventories, all: bool) -> String {
    let mut text = String::new();
    for store in STORES.into_iter().filter(|store| all || LISTED.contains(store)) {
        for (sha1, row) in book.rows(store) {
            let hosts = format!("{}/{}", row.with.len(), row.with.len() + row.without.len());
            text.push_str(&format!("{store:16} {sha1} {hosts:>13} {} {}\n", until(&row), subject(&row)));
        }
    }
    if !text.is_empty() {
        text.insert_str(0, &format!("{:16} {:40} {:>13} {:10} SUBJECT\n", "STORE", "THUMBPRINT", "HOSTS", "UNTIL"));
    }
    text.push_str(&format!("{} hosts with an inventory\n", book.len()));
    text
}

/// The hosts that have a certificate in each store, and those that lack it. The beginning of a thumbprint will do.
#[must_use]
pub(crate) fn show(book: &NewestInventories, thumbprint: &str) -> Option<String> {
    let wanted: String = thumbprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let mut text = String::new();
    for store in STORES {
        for (sha1, row) in book.rows(store) {
            if !wanted.is_empty() && sha1.starts_with(&wanted) {
                text.push_str(&format!("{sha1} {}, valid until {}\n", subject(&row), until(&row)));
                text.push_str(&format!("  in {store}: {}\n", names(&row.with)));
                text.push_str(&format!("  not in {store}: {}\n", names(&row.without)));
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Certificates of Trusted Publishers, and of the WSUS machines, that some hosts lack in Trusted Publishers.
#[must_use]
pub(crate) fn missing(book: &NewestInventories) -> String {
    let (publishers, signing) = (book.rows("TrustedPublisher"), book.rows("WSUS"));
    let mut text = String::new();
    for (sha1, row) in &publishers {
        let signs = if signing.contains_key(sha1) { ", in the store WSUS of a server" } else { "" };
        if !row.without.is_empty() {
            let all = row.with.len() + row.without.len();
            text.push_str(&format!("{sha1} {}, valid until {}{signs}\n", subject(row), until(row)));
            text.push_str(&format!("  missing on {} of {all}: {}\n", row.without.len(), names(&row.without)));
        }
    }
    for (sha1, row) in signing.iter().filter(|(sha1, _)| !publishers.contains_key(*sha1)) {
        text.push_str(&format!("{sha1} {}, valid until {}\n", subject(row), until(row)));
        text.push_str(&format!("  in the store WSUS of {} and in Trusted Publishers of no host\n", names(&row.with)));
    }
    if text.is_empty() {
        text.push_str("no host lacks a certificate that others have in Trusted Publishers\n");
    }
    text
}

fn until(row: &StoreRow<'_>) -> String {
    let end = row.certificate().and_then(|certificate| certificate.not_after);
    let day = end.and_then(DateTime::from_timestamp_millis).map(|end| end.format("%Y-%m-%d").to_string());
    day.unwrap_or_else(|| "unknown".to_owned())
}

fn subject(row: &StoreRow<'_>) -> String {
    visible(row.certificate().map_or("", |certificate| &certificate.subject)).into_owned()
}

fn names(hosts: &[&str]) -> String {
    if hosts.is_empty() {
        return "none".to_owned();
    }
    let mut text: Vec<String> = hosts.iter().take(HOSTS_NAMED).map(|host| visible(host).into_owned()).collect();
    if hosts.len() > HOSTS_NAMED {
        text.push(format!("and {} more", hosts.len() - HOSTS_NAMED));
    }
    text.join(" ")
}
