//! Sentences about certificates in the language of the report. They are built from the fields of a finding, whose own
//! sentences are English.

use wulog_schemas::alert::{Alert, CertificateFinding, CertificateName, Condition, IncidentKind, UtcTime};

use super::wording::Wording;

impl Wording {
    /// One sentence with the numbers of hosts, and the thumbprints of certificates.
    pub(super) fn finding(&self, finding: &CertificateFinding, alert: &Alert) -> String {
        self.said(finding, alert, |name| self.certificate(name))
    }

    /// Returns the sentence of a finding without thumbprints.
    pub(super) fn brief(&self, finding: &CertificateFinding, alert: &Alert) -> String {
        self.said(finding, alert, |name| self.named("certificate_brief", name))
    }

    fn said(
        &self,
        finding: &CertificateFinding,
        alert: &Alert,
        name: impl Fn(&CertificateName) -> String + Copy,
    ) -> String {
        match alert.kind {
            IncidentKind::Failures => self.of_failures(finding, name),
            IncidentKind::Warning => self.of_warning(finding, alert, name),
        }
    }

    fn of_failures(&self, finding: &CertificateFinding, name: impl Fn(&CertificateName) -> String + Copy) -> String {
        let affected = self.among("with_affected", finding.affected_hosts, finding.affected_known);
        let healthy = self.among("with_healthy", finding.healthy_hosts, finding.healthy_known);
        let certificate = finding.certificate.as_ref().map(name);
        let store = finding.store.as_deref().map(|store| self.store(store)).unwrap_or_default();
        let said = |name: &str| {
            let certificate = certificate.as_deref().unwrap_or_default();
            let values =
                [("certificate", certificate), ("store", &store), ("affected", &affected), ("healthy", &healthy)];
            self.with(name, &values)
        };
        let mut text = match finding.condition {
            Condition::Missing => self.missing(finding, &store, name),
            Condition::Distrusted => said("says_distrusted"),
            Condition::Expired => said("says_expired"),
            Condition::SiteUntrusted if certificate.is_none() => said("says_site"),
            Condition::SiteUntrusted => said("says_site_named"),
            Condition::PolicyOff => said("says_policy"),
            // A condition of warnings, which no failing hosts show.
            Condition::Expires => return String::new(),
        };
        match (finding.condition, finding.since) {
            (Condition::Distrusted, Some(since)) => text += &self.with("says_since", &[("day", &day(since))]),
            (Condition::Missing, Some(since)) => text += &self.with("says_removed", &[("day", &day(since))]),
            _ => {}
        }
        if let Some(other) = &finding.shown_elsewhere {
            text += &self.with("says_shown", &[("certificate", &name(other))]);
        }
        if let Some(copy) = &finding.wsus {
            let has = if copy.has_certificate { "says_wsus_has" } else { "says_wsus_lacks" };
            text += &self.with(has, &[("host", &copy.host)]);
        }
        text + &self.signer(finding) + "."
    }

    /// The signer of the files that affected hosts did not trust.
    fn signer(&self, finding: &CertificateFinding) -> String {
        let Some(signer) = &finding.file_signer else { return String::new() };
        let is_own = finding.certificate.as_ref().is_some_and(|certificate| certificate.sha1 == signer.sha1);
        let (affected, known) = (signer.hosts.to_string(), signer.hosts_known.to_string());
        let values = [("certificate", signer.sha1.as_str()), ("affected", &affected), ("known", &known)];
        let text = self.with(if is_own { "says_signer" } else { "says_issuer" }, &values);
        let has_no_stamp = finding.condition == Condition::Expired;
        text + if has_no_stamp { self.get("says_no_stamp") } else { "" }
    }

    /// Hosts that have the certificate, and the certificates that affected hosts have in its place.
    fn missing(
        &self,
        finding: &CertificateFinding,
        store: &str,
        name: impl Fn(&CertificateName) -> String + Copy,
    ) -> String {
        let certificate = finding.certificate.as_ref().map(name).unwrap_or_default();
        let has = |all: u64, lack: u64| all.saturating_sub(lack);
        let healthy =
            self.among("with_healthy", has(finding.healthy_known, finding.healthy_hosts), finding.healthy_known);
        let affected =
            self.among("with_affected", has(finding.affected_known, finding.affected_hosts), finding.affected_known);
        let values =
            [("certificate", certificate.as_str()), ("store", store), ("healthy", &healthy), ("affected", &affected)];
        let mut text = self.with("says_missing", &values);
        if let Some(former) = &finding.former {
            text += &self.with("says_former", &[("certificate", &name(former))]);
        } else if let Some(other) = finding.present_in.first() {
            text += &self.with("says_elsewhere", &[("store", &self.store(other))]);
        } else if let Some(other) = finding.also_missing_in.first() {
            text += &self.with("says_neither", &[("store", &self.store(other))]);
        }
        text
    }

    fn of_warning(
        &self,
        finding: &CertificateFinding,
        alert: &Alert,
        name: impl Fn(&CertificateName) -> String + Copy,
    ) -> String {
        let certificate = finding.certificate.as_ref().map(name).unwrap_or_default();
        let store = finding.store.as_deref().map(|store| self.store(store)).unwrap_or_default();
        let signs = match &finding.wsus {
            Some(copy) => self.with("signs", &[("host", &copy.host)]),
            None => self.get("signs_somewhere").to_owned(),
        };
        let not_after = finding.certificate.as_ref().and_then(|name| name.not_after);
        let end = not_after.map(|end| self.moment(end.0)).unwrap_or_default();
        let sentence = match finding.condition {
            Condition::Expires if not_after.is_some_and(|end| end <= alert.time.updated) => "warns_expired",
            Condition::Expires => "warns_expires",
            _ => "warns_missing",
        };
        let (affected, known) = (finding.affected_hosts.to_string(), finding.affected_known.to_string());
        let values = [
            ("certificate", certificate.as_str()),
            ("store", &store),
            ("signs", &signs),
            ("end", &end),
            ("affected", &affected),
            ("known", &known),
        ];
        self.with(sentence, &values) + "."
    }

    /// The condition as the value of a factor.
    pub(super) fn condition(&self, finding: &CertificateFinding) -> String {
        let certificate = finding.certificate.as_ref().map(|name| self.certificate(name));
        let store = finding.store.as_deref().map(|store| self.store(store)).unwrap_or_default();
        let name = match finding.condition {
            Condition::Missing => "value_missing",
            Condition::Distrusted => "value_distrusted",
            Condition::Expired => "value_expired",
            Condition::Expires => "value_expires",
            Condition::SiteUntrusted if certificate.is_none() => "value_site_unnamed",
            Condition::SiteUntrusted => "value_site",
            Condition::PolicyOff => "value_policy",
        };
        self.with(name, &[("certificate", certificate.as_deref().unwrap_or_default()), ("store", &store)])
    }

    /// `CN=Example Publishing (thumbprint 9595..., valid until 2027-01-01)`
    pub(super) fn certificate(&self, name: &CertificateName) -> String {
        self.named("certificate_name", name)
    }

    /// A certificate by a pattern; a second pattern includes the end of the validity.
    fn named(&self, pattern: &str, name: &CertificateName) -> String {
        let subject = if name.subject.is_empty() { self.get("a_certificate") } else { &name.subject };
        let end = name.not_after.map(day).unwrap_or_default();
        let values = [("subject", subject), ("sha1", &name.sha1), ("day", &end)];
        match name.not_after {
            None => self.with(pattern, &values),
            Some(_) => self.with(&format!("{pattern}_until"), &values),
        }
    }

    fn among(&self, name: &str, with: u64, all: u64) -> String {
        self.with(name, &[("with", &with.to_string()), ("all", &all.to_string())])
    }
}

/// The date in UTC.
fn day(time: UtcTime) -> String {
    time.to_string()[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use wulog_schemas::alert::WsusCopy;

    use super::*;
    use crate::language::Language;
    use crate::postmortem::Style;

    fn finding(condition: Condition) -> CertificateFinding {
        let name = |sha1: &str, subject: &str, day: i64| CertificateName {
            sha1: sha1.to_owned(),
            subject: subject.to_owned(),
            not_after: Some(UtcTime(day * 24 * 3600 * 1000)),
        };
        CertificateFinding {
            condition,
            says: "a sentence of the Detector".to_owned(),
            fix: String::new(),
            certificate: Some(name("e6b6", "CN=New", 20_000)),
            store: Some("TrustedPublisher".to_owned()),
            also_missing_in: Vec::new(),
            present_in: Vec::new(),
            former: (condition == Condition::Missing).then(|| name("a8a4", "CN=Old", 19_000)),
            shown_elsewhere: None,
            affected_hosts: 7,
            affected_known: 8,
            healthy_hosts: 1,
            healthy_known: 27,
            p_value: 0.0,
            since: None,
            wsus: Some(WsusCopy { host: "wsus-ber".to_owned(), has_certificate: true }),
            file_signer: None,
        }
    }

    /// The numbers are those of the finding: 8 - 7 affected and 27 - 1 healthy hosts have the certificate that the
    /// others lack.
    #[test]
    fn a_finding_is_told_in_both_languages() {
        for (language, condition, expect) in [
            (
                Language::En,
                Condition::Missing,
                "The certificate CN=New (thumbprint e6b6, valid until 2024-10-04) is in Trusted Publishers on 26 of 27 \
                 healthy hosts with an inventory and on 1 of 8 affected hosts with an inventory; hosts without it have only \
                 the former certificate CN=Old (thumbprint a8a4, valid until 2022-01-08); the WSUS machine wsus-ber has it \
                 in its store WSUS.",
            ),
            (
                Language::De,
                Condition::Missing,
                "Das Zertifikat CN=New (Fingerabdruck e6b6, g\u{fc}ltig bis 2024-10-04) ist in \u{201e}Vertrauensw\u{fc}rdige \
                 Herausgeber\u{201c} auf 26 von 27 gesunden Rechnern mit Inventar und auf 1 von 8 betroffenen Rechnern mit \
                 Inventar; wo es fehlt, gibt es nur das fr\u{fc}here Zertifikat CN=Old (Fingerabdruck a8a4, g\u{fc}ltig bis \
                 2022-01-08); der WSUS-Rechner wsus-ber hat es in seinem Speicher WSUS.",
            ),
            (
                Language::De,
                Condition::Distrusted,
                "Das Zertifikat CN=New (Fingerabdruck e6b6, g\u{fc}ltig bis 2024-10-04) ist in \u{201e}Vertrauensw\u{fc}rdige \
                 Herausgeber\u{201c} auf 7 von 8 betroffenen Rechnern mit Inventar und auf 1 von 27 gesunden Rechnern mit \
                 Inventar; der WSUS-Rechner wsus-ber hat es in seinem Speicher WSUS.",
            ),
        ] {
            let wording = Wording::of(Style { language, zone: Tz::UTC });
            let said = wording.of_failures(&finding(condition), |name| wording.certificate(name));
            assert_eq!(said, expect);
        }
    }

    #[test]
    fn no_condition_quotes_the_detector() {
        let conditions = [
            Condition::Missing,
            Condition::Distrusted,
            Condition::Expired,
            Condition::SiteUntrusted,
            Condition::PolicyOff,
        ];
        let wording = Wording::of(Style { language: Language::De, zone: Tz::UTC });
        for condition in conditions {
            for certificate in [finding(condition).certificate, None] {
                let finding = CertificateFinding { certificate, ..finding(condition) };
                let texts =
                    [wording.of_failures(&finding, |name| wording.certificate(name)), wording.condition(&finding)];
                for text in texts {
                    assert!(
                        !text.contains("says_") && !text.contains("value_") && !text.contains("Detector"),
                        "{text}"
                    );
                }
            }
        }
    }
}
