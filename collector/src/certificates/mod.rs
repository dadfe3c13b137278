//! Files of a gathered host, or the machine's own stores on Windows -> the inventory of the host's certificate stores.
//!
//! ```text
//! HOST/certutil-STORE.txt, HOST/certificates.json -> certificates -> Inventory -> raw record
//!                       the stores of the machine -> windows::stores -^
//!               the WSUS server's TLS certificate -> windows::site ---^
//!   lines about files that are not trusted -> failed_files -> windows::signer -^
//! ```
//!
//! The module `due` decides which inventories are sent now.
//!
//! Administrators write the files of gathered hosts themselves: `certutil -store STORE > certutil-STORE.txt`, where
//! `certutil -grouppolicy -store STORE` goes to `certutil-grouppolicy-STORE.txt` and tells what Group Policy delivered.
//! The time of an inventory of files is the time at which the newest file was written.

mod background_task;
mod certutil;
pub(crate) mod due;
#[cfg(any(windows, test))]
pub(crate) mod embedded_signature;
pub(crate) mod failed_files;
pub mod gathered;
mod site;
mod sources;
#[cfg(windows)]
mod windows;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::certificate::{
    Certificate, FailedFile, Inventory, Origin, STORES, Site, Store, VERSION, store_name,
};

pub use self::failed_files::{FailedLine, ReadFailed};
pub use self::site::AskSite;
pub use self::sources::{CertificateSources, ReadMachine};

/// Bytes of an inventory as JSON. A host has 3 to 40 kB; a topic takes records of 1 MB.
pub const INVENTORY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a distinguished name; a longer one is cut. Names of certificates in use have some 200 bytes.
const NAME_BYTES_MAX: usize = 512;

/// Bytes of all failed files of an inventory as JSON. A file with the chain of its signer has some 3 kB.
const FAILED_FILES_BYTES_MAX: usize = 64 * 1024;

/// The name of the file that the PowerShell script writes.
const JSON_NAME: &str = "certificates.json";

/// The kind of an inventory file of a gathered host, by the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// The output of `certutil -store`, for the whole store or for the part of one origin.
    Certutil(&'static str, Option<Origin>),
    /// `certificates.json`: an [`Inventory`] as JSON.
    Json,
}

impl FileKind {
    /// Returns the kind of the file with this name; `None` for a file that belongs to no inventory. The store `My` is
    /// left out.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<FileKind> {
        if name.eq_ignore_ascii_case(JSON_NAME) {
            return Some(FileKind::Json);
        }
        let name = name.to_ascii_lowercase();
        let store = name.strip_prefix("certutil-")?.strip_suffix(".txt")?;
        let (store, origin) = if let Some(store) = store.strip_prefix("grouppolicy-") {
            (store, Some(Origin::GroupPolicy))
        } else if let Some(store) = store.strip_prefix("enterprise-") {
            (store, Some(Origin::Enterprise))
        } else {
            (store, None)
        };
        Some(FileKind::Certutil(store_name(store)?, origin))
    }
}

/// One file of an inventory.
#[derive(Clone, Debug)]
pub struct InventoryFile {
    /// The kind of the file.
    pub kind: FileKind,
    /// When the file was written, in milliseconds since 1970 UTC.
    pub modified_ms: i64,
    /// The content of the file, or its beginning.
    pub bytes: Vec<u8>,
    /// Why the content is incomplete.
    pub error: Option<String>,
}

/// Returns the inventory of the files of one host. Where two files list the same store, the newer one counts.
#[must_use]
pub fn inventory(mut files: Vec<InventoryFile>) -> Inventory {
    files.sort_by_key(|file| (file.modified_ms, file.kind));
    let taken = files.last().map_or(0, |file| file.modified_ms);
    let (mut stores, mut rest) = (BTreeMap::new(), Inventory { taken, ..Inventory::default() });
    let mut origins: BTreeMap<(&str, String), Origin> = BTreeMap::new();
    let read =
        |file: &InventoryFile| matches!(file.kind, FileKind::Certutil(..)).then(|| certutil::read(&text(&file.bytes)));
    let outputs: Vec<Option<certutil::CertutilOutput>> = files.iter().map(read).collect();
    let order = certutil::common_order(outputs.iter().flatten());
    for (file, output) in files.into_iter().zip(outputs) {
        match file.kind {
            FileKind::Json => match serde_json::from_str::<Inventory>(&without_lone_surrogates(&text(&file.bytes))) {
                Ok(said) if said.v == VERSION && file.error.is_none() => {
                    rest.policy = said.policy.or(rest.policy);
                    rest.wsus_site = said.wsus_site.or(rest.wsus_site);
                    rest.failed_files = said.failed_files;
                    for store in said.stores {
                        if let Some(name) = store_name(&store.name) {
                            stores.insert(name, checked(name, store));
                        }
                    }
                }
                Ok(said) if file.error.is_none() => {
                    tracing::warn!(version = said.v, "certificates.json has a version that is not supported");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "certificates.json is not JSON of its schema and is not used"),
            },
            FileKind::Certutil(store, origin) => {
                let Some(output) = output else { continue };
                let order = order.unwrap_or_else(|| output.order());
                let listing = output.listing(order);
                let error = file.error.or(listing.incomplete);
                if let Some(origin) = origin {
                    let thumbprints = listing.certificates.iter().map(|certificate| certificate.sha1.clone());
                    origins.extend(thumbprints.map(|sha1| ((store, sha1), origin)));
                    stores.entry(store).or_insert_with(|| only_in_part(store, listing.certificates));
                } else {
                    let read = Store {
                        name: store.to_owned(),
                        complete: error.is_none(),
                        error,
                        unlisted: 0,
                        certificates: listing.certificates,
                    };
                    stores.insert(store, checked(store, read));
                }
            }
        }
    }
    for ((store, sha1), origin) in origins {
        let certificates = stores.get_mut(store).into_iter().flat_map(|store| &mut store.certificates);
        certificates.filter(|certificate| certificate.sha1 == sha1).for_each(|found| found.origin = Some(origin));
    }
    of_stores(rest, stores)
}

/// Returns the function that reads the machine's own stores; `None` on a system without certificate stores.
#[must_use]
pub fn machine_reader() -> Option<ReadMachine> {
    #[cfg(windows)]
    {
        Some(|| {
            let stores = STORES.into_iter().map(|name| (name, checked(name, windows::stores::read(name))));
            let policy = windows::update_policy::read();
            of_stores(Inventory { policy, ..Inventory::default() }, stores.collect())
        })
    }
    #[cfg(not(windows))]
    {
        None
    }
}

/// Returns the function that asks the machine's WSUS server for its TLS certificate; `None` on other systems than
/// Windows.
#[must_use]
pub fn site_asker() -> Option<AskSite> {
    #[cfg(windows)]
    {
        Some(|| windows::site::ask().map(checked_site))
    }
    #[cfg(not(windows))]
    {
        None
    }
}

/// Returns the function that reads the signers of downloaded files that the update client did not trust; `None` on
/// other systems than Windows.
#[must_use]
pub fn failed_file_reader() -> Option<ReadFailed> {
    #[cfg(windows)]
    {
        Some(|lines| checked_files(windows::signer::read(lines)))
    }
    #[cfg(not(windows))]
    {
        None
    }
}

/// Returns the inventory of these stores, without Microsoft's root program and within the size of an inventory; `rest`
/// has all fields but the stores.
fn of_stores(rest: Inventory, mut stores: BTreeMap<&str, Store>) -> Inventory {
    without_root_program(&mut stores);
    let stores = STORES.into_iter().filter_map(|name| stores.remove(name)).collect();
    let (wsus_site, failed_files) = (rest.wsus_site.map(checked_site), checked_files(rest.failed_files));
    bounded(Inventory { v: VERSION, stores, wsus_site, failed_files, ..rest }, INVENTORY_BYTES_MAX)
}

/// A store of which only the part of Group Policy was listed.
fn only_in_part(name: &str, certificates: Vec<Certificate>) -> Store {
    let error = Some("only a part of the store was listed".to_owned());
    checked(name, Store { name: name.to_owned(), error, certificates, ..Store::default() })
}

/// Returns the certificate with bounded names; `None` where its thumbprint is invalid.
fn checked_certificate(mut certificate: Certificate) -> Option<Certificate> {
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    certificate.sha1.make_ascii_lowercase();
    if let Some(sha256) = &mut certificate.sha256 {
        sha256.make_ascii_lowercase();
    }
    certificate.sha256 = certificate.sha256.filter(|sha256| is_hex(sha256, 64));
    for name in [&mut certificate.subject, &mut certificate.issuer, &mut certificate.serial] {
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    }
    is_hex(&certificate.sha1, 40).then_some(certificate)
}

/// Returns the site with bounded texts and a bounded chain.
fn checked_site(mut site: Site) -> Site {
    for text in std::iter::once(&mut site.server).chain(&mut site.error) {
        text.truncate(text.floor_char_boundary(NAME_BYTES_MAX));
    }
    site.chain.truncate(failed_files::CHAIN_MAX);
    site.chain = site.chain.into_iter().filter_map(checked_certificate).collect();
    site
}

/// Returns the files with bounded texts and chains, and with valid thumbprints; a file without a valid code is left
/// out.
fn checked_files(files: Vec<FailedFile>) -> Vec<FailedFile> {
    let checked = |mut file: FailedFile| {
        let digits = file.error.strip_prefix("0x").filter(|digits| digits.len() == 8)?;
        file.error = format!("0x{:08x}", u32::from_str_radix(digits, 16).ok()?);
        file.path.truncate(file.path.floor_char_boundary(failed_files::PATH_BYTES_MAX));
        file.signer = file.signer.and_then(checked_certificate);
        file.chain.truncate(failed_files::CHAIN_MAX);
        file.chain = file.chain.into_iter().filter_map(checked_certificate).collect();
        Some(file)
    };
    let mut left = FAILED_FILES_BYTES_MAX;
    let fits = |file: &FailedFile| {
        let size = serde_json::to_vec(file).map_or(0, |json| json.len());
        left.checked_sub(size).map(|rest| left = rest).is_some()
    };
    files.into_iter().take(failed_files::FILES_MAX).filter_map(checked).filter(fits).collect()
}

/// Returns the store without certificates of invalid thumbprints and without duplicates, in the order of thumbprints.
fn checked(name: &str, store: Store) -> Store {
    let count = store.certificates.len();
    let mut certificates: Vec<Certificate> = store.certificates.into_iter().filter_map(checked_certificate).collect();
    let invalid = count - certificates.len();
    certificates.sort_by(|a, b| a.sha1.cmp(&b.sha1));
    certificates.dedup_by(|a, b| a.sha1 == b.sha1);
    let error = store.error.or((invalid > 0).then(|| format!("{invalid} thumbprints are not valid")));
    Store {
        name: name.to_owned(),
        complete: store.complete && invalid == 0 && store.unlisted == 0,
        error,
        unlisted: store.unlisted,
        certificates,
    }
}

/// Removes the certificates of Microsoft's root program from Root, where that program's store was read completely:
/// every machine has them or gets them when needed.
fn without_root_program(stores: &mut BTreeMap<&str, Store>) {
    let Some(program) = stores.get("AuthRoot").filter(|program| program.complete) else { return };
    let program: BTreeSet<String> = program.certificates.iter().map(|known| known.sha1.clone()).collect();
    if let Some(root) = stores.get_mut("Root") {
        root.certificates.retain(|certificate| !program.contains(&certificate.sha1));
    }
    stores.remove("AuthRoot");
}

/// Returns the inventory with at most so many bytes as JSON. Stores are ordered by their importance for updates, so
/// that the least important one is cut first; a store that was cut says so.
fn bounded(mut inventory: Inventory, bytes_max: usize) -> Inventory {
    let size = |certificate: &Certificate| serde_json::to_vec(certificate).map_or(0, |json| json.len() + 1);
    let mut left = bytes_max;
    for store in &mut inventory.stores {
        let fits = |certificate: &&Certificate| left.checked_sub(size(certificate)).map(|rest| left = rest).is_some();
        let kept = store.certificates.iter().take_while(fits).count();
        let cut = store.certificates.len() - kept;
        if cut > 0 {
            store.certificates.truncate(kept);
            store.unlisted += cut as u64;
            store.complete = false;
            store.error.get_or_insert_with(|| "the inventory is larger than a record may be".to_owned());
            tracing::warn!(store = store.name, left_out = cut, "an inventory of certificates is too large and is cut");
        }
    }
    inventory
}

/// Returns the text of a file: UTF-8, or UTF-16 as PowerShell redirects output. In a code page of the console only
/// ASCII is decoded; letters beyond ASCII occur in names alone.
fn text(bytes: &[u8]) -> String {
    use encoding_rs::{UTF_16BE, UTF_16LE};
    if encoding_rs::Encoding::for_bom(bytes).is_some() {
        return encoding_rs::UTF_8.decode(bytes).0.into_owned();
    }
    match bytes {
        [first, 0, ..] if *first != 0 => UTF_16LE.decode(bytes).0.into_owned(),
        [0, second, ..] if *second != 0 => UTF_16BE.decode(bytes).0.into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// JSON in which each escape for half of a surrogate pair alone, such as `\ud800`, is U+FFFD. A name in a certificate may
/// hold any UTF-16, and the JSON reader refuses the whole file for one half without the other.
fn without_lone_surrogates(json: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (String::new(), json);
    let mut is_changed = false;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let keeps = match (escaped_unit(escape), escape.get(ESCAPE_LEN..).and_then(escaped_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => Some(2 * ESCAPE_LEN),
            (Some(0xD800..=0xDFFF), _) => None,
            // The backslash and the next character form one escape: in `\\ud800` the second backslash begins no escape.
            _ => Some(escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end)),
        };
        is_changed |= keeps.is_none();
        out.push_str(keeps.map_or("\u{fffd}", |len| &escape[..len]));
        rest = &escape[keeps.unwrap_or(ESCAPE_LEN)..];
    }
    if is_changed { Cow::Owned(out + rest) } else { Cow::Borrowed(json) }
}

/// Bytes of an escape like `\u00e4`.
const ESCAPE_LEN: usize = 6;

/// The UTF-16 code unit of the `\uXXXX` that a text begins with.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests;
