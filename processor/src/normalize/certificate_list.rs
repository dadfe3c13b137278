//! The certificates that a host's inventory listed, as the Normalizer remembers them, and the differences of two lists.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::{FailedFile, Inventory, STORES};
use wulog_schemas::event::Action;
use wulog_schemas::host::hex_digest;

/// Most certificates of a host that are remembered; an inventory of 256 KiB has fewer.
const REMEMBERED_MAX: usize = 4_096;

/// Most untrusted files of one inventory; a collector sends eight.
pub(super) const FILES_MAX: usize = 16;

/// Stores whose certificates get a document each at the first inventory, since these stores decide about updates.
const LISTED_AT_FIRST: [&str; 3] = ["TrustedPublisher", "Disallowed", "WSUS"];

/// SHA-1 of a certificate.
pub(super) type Thumbprint = [u8; 20];

/// The certificates and files that an inventory listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CertificateList {
    /// Place of the store in [`STORES`] and thumbprint, in order.
    certificates: Vec<(u8, Thumbprint)>,
    /// Bit N is set where store N was read completely.
    complete: u8,
    accept_trusted_publisher_certs: Option<bool>,
    /// The TLS certificate of the WSUS server, and whether the host trusts it.
    site: Option<(Thumbprint, bool)>,
    /// Digests of the files that the update client did not trust, over path, signer and presence of a time stamp.
    pub(super) failed_files: Vec<String>,
    /// Log time of the last signal with this list.
    pub(super) sent: i64,
    /// See [`Inventory::hash`].
    pub(super) hash: String,
    /// The latest time at which the stores held this list, as sent to the Detector.
    pub(super) seen: i64,
}

/// A certificate that was found in the first inventory, or added or removed since the inventory before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) action: Action,
    /// Place of the store in [`STORES`].
    pub(super) store: u8,
    pub(super) thumbprint: Thumbprint,
}

impl CertificateList {
    /// Returns the list of an inventory that was read at this log time.
    pub(super) fn of(inventory: &Inventory, log_time: i64) -> CertificateList {
        let mut list = CertificateList {
            accept_trusted_publisher_certs: inventory
                .policy
                .as_ref()
                .map(|policy| policy.accept_trusted_publisher_certs),
            site: inventory
                .wsus_site
                .as_ref()
                .and_then(|site| Some((thumbprint(&site.chain.first()?.sha1)?, site.trusted?))),
            failed_files: inventory.failed_files.iter().take(FILES_MAX).map(digest).collect(),
            sent: log_time,
            hash: inventory.hash(),
            seen: inventory.taken.min(log_time),
            ..CertificateList::default()
        };
        for store in &inventory.stores {
            let Some(place) = place_of(&store.name) else { continue };
            if store.complete {
                list.complete |= 1 << place;
            }
            let thumbprints = store.certificates.iter().filter_map(|certificate| thumbprint(&certificate.sha1));
            list.certificates.extend(thumbprints.map(|thumbprint| (place, thumbprint)));
        }
        list.certificates.sort_unstable();
        list.certificates.dedup();
        list.certificates.truncate(REMEMBERED_MAX);
        list
    }

    /// True where both lists have the same certificates, files, policy and site.
    pub(super) fn lists_as(&self, other: &CertificateList) -> bool {
        (&self.certificates, self.complete, self.accept_trusted_publisher_certs, self.site, &self.failed_files)
            == (
                &other.certificates,
                other.complete,
                other.accept_trusted_publisher_certs,
                other.site,
                &other.failed_files,
            )
    }

    /// Returns the certificates that were added and removed since the previous list. A store that either inventory did
    /// not read completely has no differences.
    pub(super) fn differences(&self, before: Option<&CertificateList>) -> Vec<Difference> {
        let Some(before) = before else {
            let is_listed = |store: u8| LISTED_AT_FIRST.contains(&STORES[usize::from(store)]);
            let found = self.certificates.iter().filter(|(store, _)| is_listed(*store));
            return found
                .map(|(store, thumbprint)| Difference {
                    action: Action::CertificateFound,
                    store: *store,
                    thumbprint: *thumbprint,
                })
                .collect();
        };
        let both = self.complete & before.complete;
        let only = |these: &CertificateList, others: &CertificateList, action: Action| {
            let is_new = |known: &&(u8, Thumbprint)| {
                both >> known.0 & 1 == 1 && others.certificates.binary_search(known).is_err()
            };
            let new = these.certificates.iter().filter(is_new);
            new.map(|(store, thumbprint)| Difference { action, store: *store, thumbprint: *thumbprint })
                .collect::<Vec<_>>()
        };
        let mut differences = only(before, self, Action::CertificateRemoved);
        differences.extend(only(self, before, Action::CertificateAdded));
        differences
    }
}

fn place_of(store: &str) -> Option<u8> {
    (0..).zip(STORES).find(|(_, known)| *known == store).map(|(place, _)| place)
}

fn thumbprint(hex: &str) -> Option<Thumbprint> {
    Thumbprint::try_from(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?).ok()
}

/// Returns the digest by which a file is recognized in a later inventory: 16 hex digits.
pub(super) fn digest(file: &FailedFile) -> String {
    let signer = file.signer.as_ref().map_or("", |signer| signer.sha1.as_str());
    hex_digest(&[&file.path, signer, if file.has_timestamp { "time stamp" } else { "" }])[..16].to_owned()
}
