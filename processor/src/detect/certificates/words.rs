//! The sentences of findings.

use wulog_schemas::alert::{CertificateFinding, CertificateName, Condition, FileSigner, UtcTime};

/// `CN=Example Publishing (thumbprint 9595..., valid until 2027-01-01)`
pub(super) fn certificate(name: &CertificateName) -> String {
    let until = name.not_after.map(|until| format!(", valid until {}", day(until))).unwrap_or_default();
    let subject = if name.subject.is_empty() { "a certificate" } else { &name.subject };
    format!("{subject} (thumbprint {}{until})", name.sha1)
}

/// The value of the factor: short, and the same for all documents of one cause.
pub(super) fn value(finding: &CertificateFinding) -> String {
    let Some(certificate) = &finding.certificate else {
        return match finding.condition {
            Condition::SiteUntrusted => "does not trust the TLS certificate of the WSUS site".to_owned(),
            _ => "policy AcceptTrustedPublisherCerts is off".to_owned(),
        };
    };
    let store = finding.store.as_deref().unwrap_or_default();
    let subject = &certificate.subject;
    let name = if subject.is_empty() { certificate.sha1.clone() } else { format!("{} {subject}", certificate.sha1) };
    match finding.condition {
        Condition::Missing => format!("lacks {name} in {store}"),
        Condition::Distrusted => format!("has {name} in {store}"),
        Condition::Expired => format!("expired {name}"),
        Condition::Expires => format!("expires {name}"),
        Condition::SiteUntrusted => format!("does not trust {name}, the TLS certificate of the WSUS site"),
        Condition::PolicyOff => "policy AcceptTrustedPublisherCerts is off".to_owned(),
    }
}

/// One sentence with the numbers of hosts.
pub(super) fn says(finding: &CertificateFinding) -> String {
    let CertificateFinding { affected_hosts, affected_known, healthy_hosts, healthy_known, .. } = finding;
    let healthy_without = healthy_known - healthy_hosts;
    let affected_without = affected_known - affected_hosts;
    let name = finding.certificate.as_ref().map(certificate).unwrap_or_default();
    let store = finding.store.as_deref().map(shown_store).unwrap_or_default();
    match finding.condition {
        Condition::Missing => {
            let mut text = format!(
                "the certificate {name} is in {store} on {healthy_without} of {} and on {affected_without} of {}",
                healthy(*healthy_known),
                affected(*affected_known)
            );
            if let Some(former) = &finding.former {
                text.push_str(&format!("; those have only the former certificate {}", certificate(former)));
            } else if let Some(other) = finding.present_in.first() {
                text.push_str(&format!("; those have it in {}", shown_store(other)));
            } else if let Some(other) = finding.also_missing_in.first() {
                text.push_str(&format!("; it is not in {} either", shown_store(other)));
            }
            let lost = |since: UtcTime| format!("; an inventory of {} shows it removed", day(since));
            text.push_str(&finding.since.map_or_else(String::new, lost));
            text.push_str(&of_wsus(finding));
            text.push_str(&of_files(finding));
            text + "."
        }
        Condition::Distrusted => {
            let since = finding.since.map(|since| format!(", since {} at the latest", day(since))).unwrap_or_default();
            format!(
                "the certificate {name} is in {store} on {affected_hosts} of {} and on {healthy_hosts} of {}{since}{}.",
                affected(*affected_known),
                healthy(*healthy_known),
                of_files(finding)
            )
        }
        Condition::Expired => format!(
            "the certificate {name} has expired; {affected_hosts} of {} have it in {store}, and {healthy_hosts} of {}{}{}.",
            affected(*affected_known),
            healthy(*healthy_known),
            of_wsus(finding),
            of_files(finding)
        ),
        Condition::SiteUntrusted => {
            let elsewhere = |other| format!("; hosts that trust the server are shown {}", certificate(other));
            let shown = finding.shown_elsewhere.as_ref().map_or_else(String::new, elsewhere);
            format!(
                "the TLS certificate of the WSUS server{} is not trusted on {affected_hosts} of {} and on {healthy_hosts} of \
                 {}{shown}.",
                if name.is_empty() { String::new() } else { format!(", {name},") },
                affected(*affected_known),
                healthy(*healthy_known)
            )
        }
        // A condition of warnings, which no failing hosts show.
        Condition::Expires => String::new(),
        Condition::PolicyOff => format!(
            "the policy \"Allow signed updates from an intranet Microsoft update service location\" is off on \
             {affected_hosts} of {} and on {healthy_hosts} of {}.",
            affected(*affected_known),
            healthy(*healthy_known)
        ),
    }
}

/// One sentence of a warning.
pub(super) fn warns(finding: &CertificateFinding, now: i64) -> String {
    let name = finding.certificate.as_ref().map(certificate).unwrap_or_default();
    let CertificateFinding { affected_hosts, affected_known, .. } = finding;
    let signs = match &finding.wsus {
        Some(copy) => format!("with which the WSUS machine {} signs updates", copy.host),
        None => "which hosts trust for signing updates".to_owned(),
    };
    let hosts = format!("{affected_hosts} of {affected_known} hosts with an inventory");
    if finding.condition == Condition::Expires {
        let end = finding.certificate.as_ref().and_then(|name| name.not_after).map_or(now, |end| end.0);
        let when = if end > now { format!("expires in {}", days(end - now)) } else { "has expired".to_owned() };
        return format!("the certificate {name}, {signs}, {when}; {hosts} have it in Trusted Publishers.");
    }
    let since = finding.since.map(|since| format!(" since {}", day(since))).unwrap_or_default();
    let store = finding.store.as_deref().map(shown_store).unwrap_or_default();
    format!(
        "the certificate {name}, {signs}{since}, is missing in {store} on {affected_hosts} of {affected_known} clients whose inventory tells."
    )
}

/// A time that is left, to the nearest day, or to the hour where it is less than two days.
pub(super) fn days(millis: i64) -> String {
    let hours = (millis + 30 * 60 * 1000) / (60 * 60 * 1000);
    match hours {
        1 => "1 hour".to_owned(),
        ..48 => format!("{hours} hours"),
        _ => format!("{} days", (hours + 12) / 24),
    }
}

fn of_wsus(finding: &CertificateFinding) -> String {
    let Some(copy) = &finding.wsus else { return String::new() };
    let has = if copy.has_certificate { "has it" } else { "does not have it" };
    format!("; the WSUS machine {} {has} in its store WSUS", copy.host)
}

/// The clause about the signer of the files that affected hosts did not trust.
fn of_files(finding: &CertificateFinding) -> String {
    let Some(signer) = &finding.file_signer else { return String::new() };
    let is_own = finding.certificate.as_ref().is_some_and(|certificate| certificate.sha1 == signer.sha1);
    let what = if is_own { "it is" } else { &format!("it issued the certificate {},", signer.sha1) };
    let FileSigner { hosts, hosts_known, .. } = signer;
    let stamp = match finding.condition {
        Condition::Expired => ", without a time stamp",
        _ => "",
    };
    format!("; {what} the signer of the failing file on {hosts} of {hosts_known} affected hosts that name one{stamp}")
}

/// The answer of inventories to the question who signed a file.
pub(super) fn signer(name: &str, FileSigner { hosts, hosts_known, has_timestamp, .. }: &FileSigner) -> String {
    let stamp = if *has_timestamp { "with" } else { "without" };
    format!(
        "{name} is the signer of the failing file, {stamp} a time stamp, on {hosts} of {hosts_known} affected hosts that name one"
    )
}

/// The one step that repairs the fault. `on_wsus` says whether the WSUS machine has the certificate, where that is
/// known.
pub(super) fn fix(finding: &CertificateFinding, on_wsus: Option<bool>) -> String {
    let store = finding.store.as_deref().map(shown_store).unwrap_or_default();
    match finding.condition {
        Condition::Missing if on_wsus == Some(false) && finding.store.as_deref() == Some("TrustedPublisher") => {
            "Import the certificate with its key into the store WSUS of the WSUS machine, then add it to the Group Policy \
             that delivers certificates to its clients (Trusted Root and Trusted Publishers)."
                .to_owned()
        }
        Condition::Missing => {
            let also = finding.also_missing_in.iter().map(|other| format!(" and to {}", shown_store(other)));
            format!(
                "Deliver the certificate to {store}{} of the affected computers by Group Policy (Computer Configuration, \
                 Public Key Policies), and check that this Group Policy applies to them.",
                also.collect::<String>()
            )
        }
        Condition::Distrusted => {
            "Remove the certificate from Untrusted Certificates, in the Group Policy that distributes it or on the hosts."
                .to_owned()
        }
        Condition::Expired => {
            "Sign the updates again with a valid publishing certificate and a time stamp, publish them again, and deliver \
             that certificate to Trusted Root and Trusted Publishers."
                .to_owned()
        }
        Condition::SiteUntrusted if finding.shown_elsewhere.is_some() => {
            "Find what replaces the server's certificate on the way of the affected computers (a proxy that inspects TLS), and \
             let connections to the WSUS server pass it; or deliver the proxy's CA to Trusted Root of these computers by \
             Group Policy."
                .to_owned()
        }
        Condition::SiteUntrusted => {
            "Bind a valid certificate for the server's name to the WSUS site in IIS, and deliver the certificate of the CA \
             that issued it to Trusted Root of the clients by Group Policy."
                .to_owned()
        }
        Condition::Expires => {
            "Make the successor of the certificate, deliver it to Trusted Root and Trusted Publishers by Group Policy, and sign \
             with it once clients have it."
                .to_owned()
        }
        Condition::PolicyOff => {
            "Turn on the policy \"Allow signed updates from an intranet Microsoft update service location\" for the \
             affected computers."
                .to_owned()
        }
    }
}

/// The answer to a step that asks whether a certificate is in a store.
pub(super) fn is_there(name: &str, with: u64, all: usize, of_affected: bool) -> String {
    let hosts = if of_affected { "affected" } else { "healthy" };
    format!("{name} is there on {with} of {all} {hosts} hosts with an inventory")
}

fn shown_store(store: &str) -> String {
    let name = match store {
        "TrustedPublisher" => "Trusted Publishers",
        "Disallowed" => "Untrusted Certificates",
        "Root" => "Trusted Root",
        "CA" => "Intermediate Certification Authorities",
        other => other,
    };
    name.to_owned()
}

fn affected(hosts: u64) -> String {
    format!("{hosts} affected hosts with an inventory")
}

fn healthy(hosts: u64) -> String {
    format!("{hosts} healthy hosts with an inventory")
}

fn day(time: UtcTime) -> String {
    time.to_string()[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postmortem::has_german;

    #[test]
    fn every_fix_and_every_answer_has_a_german_sentence() {
        let name = CertificateName { sha1: "e6b6".to_owned(), subject: "CN=A".to_owned(), not_after: Some(UtcTime(0)) };
        let conditions = [
            Condition::Missing,
            Condition::Distrusted,
            Condition::Expired,
            Condition::Expires,
            Condition::SiteUntrusted,
            Condition::PolicyOff,
        ];
        for condition in conditions {
            for (on_wsus, other) in [(None, None), (Some(false), Some(name.clone())), (Some(true), Some(name.clone()))]
            {
                let finding = CertificateFinding {
                    condition,
                    says: String::new(),
                    fix: String::new(),
                    certificate: Some(name.clone()),
                    store: Some("TrustedPublisher".to_owned()),
                    also_missing_in: other.iter().map(|_| "Root".to_owned()).collect(),
                    present_in: Vec::new(),
                    former: None,
                    shown_elsewhere: other,
                    affected_hosts: 1,
                    affected_known: 1,
                    healthy_hosts: 0,
                    healthy_known: 1,
                    p_value: 0.0,
                    since: None,
                    wsus: None,
                    file_signer: None,
                };
                let fix = fix(&finding, on_wsus);
                assert!(has_german(&fix), "{fix:?}");
            }
        }
        for of_affected in [true, false] {
            let answer = is_there(&certificate(&name), 1, 2, of_affected);
            assert!(has_german(&answer), "{answer:?}");
        }
        assert!(has_german(&certificate(&name)));
    }
}
