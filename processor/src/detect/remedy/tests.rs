//! Each cause has its own remedy, whatever the code; each command is one that Windows has.

use super::*;

const WSUS: &str = "wsus01.corp.example:8531";

fn trouble(cause: Option<Cause>, family: Family, codes: &'static [&'static str]) -> Vec<Step> {
    let server = match cause {
        Some(Cause::MicrosoftTls) => Some("slscr.update.microsoft.com"),
        Some(Cause::WsusTls) => Some(WSUS),
        _ => None,
    };
    let families = BTreeSet::from([family]);
    let (wsus, of_microsoft, affected) = (Some(WSUS), false, "a client");
    steps(&Trouble { cause, family, families: &families, codes, wsus, server, of_microsoft, affected })
}

fn commands(steps: &[Step]) -> Vec<&str> {
    steps.iter().filter_map(|step| step.command.as_deref()).collect()
}

fn position(steps: &[Step], part: &str) -> usize {
    let found = steps.iter().position(|step| step.command.as_deref().is_some_and(|command| command.contains(part)));
    found.unwrap_or_else(|| panic!("no step has {part}: {steps:#?}"))
}

#[test]
fn an_untrusted_signer_is_looked_for_in_both_stores_in_policy_and_in_the_update() {
    let steps = trouble(Some(Cause::UpdateSignature), Family::UntrustedRoot, &["0x800b0109"]);
    assert_eq!((position(&steps, "-store WSUS"), position(&steps, "-store Root")), (0, 1));
    assert_eq!(steps[0].on.as_deref(), Some("the WSUS server (wsus01.corp.example:8531)"));
    for part in [
        "-store TrustedPublisher",
        "AcceptTrustedPublisherCerts",
        "gpresult",
        "Get-AuthenticodeSignature",
        "-store Disallowed",
    ] {
        position(&steps, part);
    }
    assert!(!commands(&steps).iter().any(|command| command.contains("sslcert")), "IIS has no part in it");
}

/// Without its place in Trusted Publishers, Windows 10 says 8024B303 and Windows 7 800B0004: this store comes first.
#[test]
fn the_codes_of_a_missing_trusted_publisher_put_this_store_first() {
    for code in [&["0x8024b303"], &["0x800b0004"]] {
        let steps = trouble(Some(Cause::UpdateSignature), Family::UntrustedRoot, code);
        assert!(position(&steps, "-store TrustedPublisher") < position(&steps, "-store Root"), "{code:?}");
    }
    let both = trouble(Some(Cause::UpdateSignature), Family::UntrustedRoot, &["0x8024b303", "0x800b0109"]);
    assert!(position(&both, "-store Root") < position(&both, "-store TrustedPublisher"));
}

/// The three causes of 800B0109 and 800B0101 share no first step.
#[test]
fn one_code_has_a_remedy_for_each_cause() {
    for family in [Family::UntrustedRoot, Family::Expired, Family::Revocation, Family::Tls] {
        let of = |cause| trouble(Some(cause), family, &[]);
        let (wsus, microsoft) = (of(Cause::WsusTls), of(Cause::MicrosoftTls));
        position(&wsus, "netsh http show sslcert");
        position(&wsus, "-v -store My");
        assert!(!commands(&wsus).iter().any(|it| it.contains("-store WSUS") || it.contains("TrustedPublisher")));
        assert_eq!(position(&microsoft, "netsh winhttp show proxy"), 0);
        assert!(
            microsoft.iter().all(|step| step.on.as_deref() == Some("a client")),
            "nothing to do on the WSUS server"
        );
    }
}

#[test]
fn tls_to_wsus_begins_with_what_the_code_tells() {
    let of = |family, codes| trouble(Some(Cause::WsusTls), family, codes);
    assert_eq!(position(&of(Family::UntrustedRoot, &["0x800b0109"]), "show sslcert"), 0);
    assert_eq!(position(&of(Family::Expired, &["0x800b0101"]), "-store My"), 0);
    assert_eq!(position(&of(Family::Tls, &["0x80072f06"]), "WUServer"), 0);
    assert_eq!(position(&of(Family::Tls, &["0x80072f19"]), "-urlfetch"), 0);
    let attempt = of(Family::Tls, &[]);
    let command = commands(&attempt)[position(&attempt, "DownloadString")];
    assert!(command.contains("https://wsus01.corp.example:8531/ClientWebService/client.asmx"), "{command}");
}

#[test]
fn a_server_that_nobody_names_is_asked_for_first() {
    assert_eq!(position(&trouble(None, Family::Tls, &["0x80072f8f"]), "WUServer"), 0);
}

#[test]
fn each_family_of_an_update_begins_with_its_own_cause() {
    for (family, part) in [
        (Family::UntrustedRoot, "certutil -store WSUS"),
        (Family::Chain, "certutil -store WSUS 0 PUBLISHING.cer"),
        (Family::Expired, "certutil -store WSUS"),
        (Family::Signature, "certutil -hashfile FILE SHA1"),
        (Family::Revocation, "certutil -store WSUS 0 PUBLISHING.cer"),
        (Family::Distrust, "certutil -store Disallowed"),
        (Family::Metadata, "w32tm /query /status"),
        (Family::Policy, "certutil -v -store WSUS"),
    ] {
        let steps = trouble(Some(Cause::UpdateSignature), family, &[]);
        assert_eq!(steps[0].command.as_deref(), Some(part), "{family}");
        assert!(steps.len() >= 3, "{family}: {steps:?}");
    }
    position(&trouble(Some(Cause::UpdateSignature), Family::Signature, &[]), "KB4474419");
}

/// Programs that every Windows since 7 has, with the verbs that they know.
#[test]
fn every_command_begins_with_a_program_that_windows_has() {
    const KNOWN: [&str; 13] = [
        "certutil -store ",
        "certutil -v -store ",
        "certutil -grouppolicy -store ",
        "certutil -verify -urlfetch ",
        "certutil -hashfile ",
        "certutil -dump ",
        "gpresult /scope computer /h ",
        "reg query HKLM\\",
        "netsh winhttp show proxy",
        "netsh http show sslcert",
        "w32tm /query /status",
        "powershell -Command \"",
        "nslookup ",
    ];
    for cause in [None, Some(Cause::UpdateSignature), Some(Cause::WsusTls), Some(Cause::MicrosoftTls)] {
        for family in Family::ALL {
            for step in trouble(cause, family, &[]) {
                let command = step.command.expect("each step has a command");
                assert!(KNOWN.iter().any(|known| command.starts_with(known)), "{command}");
                assert_eq!(command.matches('"').count() % 2, 0, "{command}");
            }
        }
    }
}

/// What more than one family asks for is asked once.
#[test]
fn several_families_give_each_command_once() {
    let families = BTreeSet::from([Family::UntrustedRoot, Family::Chain, Family::Expired]);
    let all = steps(&Trouble {
        cause: Some(Cause::UpdateSignature),
        family: Family::Expired,
        families: &families,
        codes: &[],
        of_microsoft: false,
        wsus: None,
        server: None,
        affected: "a client",
    });
    let mut seen: Vec<_> = all.iter().map(|step| (&step.command, &step.on)).collect();
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    assert!(count <= STEPS_MAX);
    assert_eq!(all[0].on.as_deref(), Some("the WSUS server"));
}

/// Titles as Microsoft's catalog has them, and as organizations name what they publish themselves.
#[test]
fn an_update_that_microsoft_signed_needs_no_publishing_certificate() {
    let of_microsoft = [
        "Windows Malicious Software Removal Tool x64 - November 2019 (KB890830)",
        "2019-09 Servicing Stack Update for Windows 7 for x64-based Systems (KB4516655)",
        "2024-03 Cumulative Update for Windows 10 Version 22H2 for x64-based Systems (KB5035845)",
        "2024-03 Kumulatives Update für Windows 10 Version 22H2 für x64-basierte Systeme (KB5035845)",
        "Security Update for Microsoft Office 2016 (KB5002575) 64-Bit Edition",
        "Security Intelligence Update for Microsoft Defender Antivirus - KB2267602",
        "Windows-Tool zum Entfernen bösartiger Software x64 – v5.122 (KB890830)",
    ];
    let own = ["VideoTool 3.2 (KB9990001)", "7-Zip for Windows 23.01 (x64)", "Contoso VPN Client 4.2.1 (x64)"];
    for title in of_microsoft {
        assert!(is_of_microsoft(Some(WSUS), [title]), "{title}");
    }
    for title in own {
        assert!(!is_of_microsoft(Some(WSUS), [title]), "{title}");
        assert!(!is_of_microsoft(Some(WSUS), [of_microsoft[0], title]), "{title}");
        assert!(is_of_microsoft(Some(NO_WSUS), [title]), "a host without WSUS has all updates from Microsoft");
    }
    assert!(!is_of_microsoft(Some(WSUS), []) && !is_of_microsoft(None, []), "nobody knows");
    for family in [Family::UntrustedRoot, Family::Chain, Family::Signature, Family::Expired, Family::Distrust] {
        let subject = SubjectCount { subject: "update:1".to_owned(), name: Some(of_microsoft[0].to_owned()), hosts: 5 };
        let families = BTreeSet::from([family]);
        let steps = of_incident(family, &families, &[], &[subject], Some(WSUS), false);
        position(&steps, "KB4474419");
        position(&steps, "Microsoft Root Certificate Authority");
        let has = |part: &str| commands(&steps).iter().any(|command| command.contains(part));
        assert!(!has("-store WSUS") && !has("TrustedPublisher") && !has("AcceptTrusted"), "{family:?}");
        assert!(steps.iter().all(|step| step.on.as_deref() == Some("an affected host")), "{steps:#?}");
    }
}

/// Where no line names the server, hosts that have none asked Microsoft's services.
#[test]
fn a_scan_of_hosts_without_wsus_never_leads_to_iis() {
    let subject = SubjectCount { subject: "server:unknown".to_owned(), name: None, hosts: 5 };
    let steps = of_incident(Family::Tls, &BTreeSet::from([Family::Tls]), &[], &[subject], Some(NO_WSUS), false);
    assert_eq!(position(&steps, "netsh winhttp show proxy"), 0);
    assert!(!commands(&steps).iter().any(|command| command.contains("sslcert")), "{steps:#?}");
}
