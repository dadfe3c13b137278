//! Each cause has its own remedy, whatever the code; each command is one that Windows has.

use wulog_schemas::hresult::{lookup, parse_hresult};

use super::*;

const WSUS: &str = "wsus01.corp.example:8531";

fn trouble(cause: Option<Cause>, family: Family, codes: &'static [&'static str]) -> Vec<Step> {
    let server = match cause {
        Some(Cause::MicrosoftTls) => Some("slscr.update.microsoft.com"),
        Some(Cause::WsusTls) => Some(WSUS),
        _ => None,
    };
    let families = BTreeSet::from([family]);
    steps(&RemedyFacts {
        cause,
        family,
        families: &families,
        codes,
        wsus: Some(WSUS),
        server,
        signer: UpdateSigner::Organization,
        builds: &Builds::default(),
        is_accepted_elsewhere: false,
        affected: "a client",
    })
}

/// An incident with one family, code and subject, at a host of each version.
fn incident(code: &str, subject: &str, name: Option<&str>, versions: &[&str], succeeded_elsewhere: u64) -> Vec<Step> {
    let family = lookup(parse_hresult(code).expect("a code")).and_then(|known| known.family).expect("a trust failure");
    of_incident(&RemedyState {
        family,
        families: &BTreeSet::from([family]),
        codes: &[CodeCount { code: code.to_owned(), symbol: None, hosts: 9 }],
        subjects: &[SubjectCount { subject: subject.to_owned(), name: name.map(str::to_owned), hosts: 9 }],
        wsus: Some(WSUS),
        has_publisher: false,
        builds: &Builds::of(versions.iter().map(|version| Some(*version).filter(|it| !it.is_empty()))),
        succeeded_elsewhere,
    })
}

fn has(steps: &[Step], part: &str) -> bool {
    commands(steps).iter().any(|command| command.contains(part))
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
    const KNOWN: [&str; 14] = [
        "certutil -store ",
        "certutil -v -store ",
        "certutil -grouppolicy -store ",
        "certutil -verify -urlfetch ",
        "certutil -hashfile ",
        "certutil -dump ",
        "gpresult /scope computer /h ",
        "reg query HKLM\\",
        "reg query \"HKLM\\",
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

/// A step of several families is listed once.
#[test]
fn several_families_give_each_command_once() {
    let families = BTreeSet::from([Family::UntrustedRoot, Family::Chain, Family::Expired]);
    let all = steps(&RemedyFacts {
        cause: Some(Cause::UpdateSignature),
        family: Family::Expired,
        families: &families,
        codes: &[],
        signer: UpdateSigner::Organization,
        builds: &Builds::default(),
        is_accepted_elsewhere: false,
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
        assert_eq!(signer(Some(WSUS), [title]), UpdateSigner::Microsoft, "{title}");
    }
    for title in own {
        assert_eq!(signer(Some(WSUS), [title]), UpdateSigner::Organization, "{title}");
        assert_eq!(signer(Some(WSUS), [of_microsoft[0], title]), UpdateSigner::Organization, "{title}");
        assert_eq!(
            signer(Some(NO_WSUS), [title]),
            UpdateSigner::Microsoft,
            "a host without WSUS has all from Microsoft"
        );
    }
    assert_eq!([signer(Some(WSUS), []), signer(None, [])], [UpdateSigner::Organization; 2], "nobody knows");
    for family in [Family::UntrustedRoot, Family::Chain, Family::Signature, Family::Expired, Family::Distrust] {
        let steps = of_incident(&RemedyState {
            family,
            families: &BTreeSet::from([family]),
            codes: &[],
            subjects: &[SubjectCount {
                subject: "update:1".to_owned(),
                name: Some(of_microsoft[0].to_owned()),
                hosts: 5,
            }],
            wsus: Some(WSUS),
            has_publisher: false,
            builds: &Builds::default(),
            succeeded_elsewhere: 0,
        });
        position(&steps, "KB4474419");
        position(&steps, "Microsoft Root Certificate Authority");
        for part in ["-store WSUS", "TrustedPublisher", "AcceptTrusted"] {
            assert!(!has(&steps, part), "{family:?} {part}");
        }
        assert!(steps.iter().all(|step| step.on.as_deref() == Some("an affected host")), "{steps:#?}");
    }
}

/// Where no line names the server, hosts that have none asked Microsoft's services.
#[test]
fn a_scan_of_hosts_without_wsus_never_leads_to_iis() {
    let subject = SubjectCount { subject: "server:unknown".to_owned(), name: None, hosts: 5 };
    let steps = of_incident(&RemedyState {
        family: Family::Tls,
        families: &BTreeSet::from([Family::Tls]),
        codes: &[],
        subjects: &[subject],
        wsus: Some(NO_WSUS),
        has_publisher: false,
        builds: &Builds::default(),
        succeeded_elsewhere: 0,
    });
    assert_eq!(position(&steps, "netsh winhttp show proxy"), 0);
    assert!(!commands(&steps).iter().any(|command| command.contains("sslcert")), "{steps:#?}");
}

/// SEC_E_ALGORITHM_MISMATCH, SEC_E_ILLEGAL_MESSAGE and the channel error of WinHTTP say that a handshake found no
/// common ground, or broke: no store of certificates mends that.
#[test]
fn a_handshake_without_common_ground_is_looked_for_in_protocols_and_cipher_suites() {
    for code in ["0x80090331", "0x80090326", "0x80072f7d"] {
        let steps = incident(code, "server:wsus01.corp.example:8531", None, &["10.0.20348.2113"], 50);
        assert!(position(&steps, r"SCHANNEL\Protocols") < 2, "{code}");
        for part in ["Get-TlsCipherSuite", r"SSL\00010002", "Schannel"] {
            assert!(position(&steps, part) < position(&steps, "sslcert"), "{code} {part}");
        }
        let ons: Vec<_> = steps.iter().filter(|it| commands(&[(*it).clone()])[0].contains("SCHANNEL")).collect();
        assert_eq!(ons.len(), 2, "both ends have protocols: {ons:?}");
        assert!(!has(&steps, "DefaultSecureProtocols"), "Server 2022 has no use for KB3140245");
        let old = incident(code, "server:wsus01.corp.example:8531", None, &["7.6.7601.23806"], 50);
        assert_eq!(position(&old, "DefaultSecureProtocols"), 0);
        assert!(!has(&old, "Get-TlsCipherSuite"), "Windows 7 does not have this command");
    }
    let microsoft = incident("0x80072f7d", "server:slscr.update.microsoft.com:443", None, &["10.0.19045"], 0);
    assert_eq!(position(&microsoft, r"SCHANNEL\Protocols"), 0);
    let any = incident("0x80072f8f", "server:wsus01.corp.example:8531", None, &[], 0);
    for part in ["sslcert", "-store Root", "w32tm", "winhttp show proxy"] {
        assert!(position(&any, part) < position(&any, r"SCHANNEL\Protocols"), "80072F8F may mean the version: {part}");
    }
}

/// CRYPT_E_REVOKED and CERT_E_REVOKED: the certificate is revoked. CRYPT_E_REVOCATION_OFFLINE: nobody could look.
#[test]
fn a_revoked_certificate_is_replaced_and_revocation_lists_are_for_a_check_that_failed() {
    for code in ["0x80092010", "0x800b010c"] {
        let site = trouble(
            Some(Cause::WsusTls),
            Family::Revocation,
            if code == "0x80092010" { &["0x80092010"] } else { &["0x800b010c"] },
        );
        assert_eq!(position(&site, "sslcert"), 0, "{code}");
        assert!(site[0].check.contains("is revoked") && site[0].check.contains("Bind a new one"), "{}", site[0].check);
        let signer = incident(code, "update:1", Some("VideoTool 3.2"), &[], 0);
        assert_eq!(signer[0].command.as_deref(), Some("certutil -store WSUS 0 PUBLISHING.cer"));
        assert!(signer[0].check.contains("publish the updates again"), "{}", signer[0].check);
    }
    for code in ["0x80092013", "0x80092012"] {
        let steps = incident(code, "update:1", Some("VideoTool 3.2"), &[], 0);
        assert!(steps.iter().all(|step| !step.check.contains("is revoked")), "{code}: {steps:#?}");
        assert!(has(&steps, "-urlfetch"), "{code}");
    }
}

/// Healthy hosts reach the same server: its certificate is neither expired nor misnamed.
#[test]
fn a_server_that_others_trust_leads_to_proxy_root_store_and_clock_of_the_host() {
    for code in ["0x80072f8f", "0x80072f0d", "0x80072f05"] {
        let of = |succeeded| incident(code, "server:wsus01.corp.example:8531", None, &[], succeeded);
        let (alone, contrast) = (of(0), of(40));
        let first = |steps: &[Step]| steps[0].on.clone().unwrap_or_default();
        assert!(first(&alone).starts_with("the WSUS server"), "{code}");
        for part in ["winhttp show proxy", "-store Root", "w32tm"] {
            assert!(position(&contrast, part) < position(&contrast, "sslcert"), "{code} {part}");
            assert!(position(&contrast, part) < position(&contrast, "-v -store My"), "{code} {part}");
        }
        assert!(contrast.iter().any(|step| step.check.contains("Healthy hosts accept the certificate")), "{code}");
    }
}

/// KB4474419 is an update for Windows 7 and Server 2008 alone.
#[test]
fn a_step_for_another_windows_goes_last_or_is_left_out() {
    const LCU: &str = "2026-03 Cumulative Update for Windows 10 Version 22H2 for x64-based Systems (KB5035845)";
    let title = Some(LCU);
    let of = |versions: &[&str]| incident("0x800b0109", "update:1", title, versions, 0);
    let nobody_knows = Builds::of([None]).or_of_titles(["Security Update for Microsoft Office 2016 (KB5002575)"]);
    let mut kept = vec![step("?", signature::SHA2_UPDATES, "a client")];
    nobody_knows.sort(&mut kept);
    assert_eq!(kept.len(), 1, "nobody knows the Windows");
    for (title, is_kept) in [
        (LCU, false),
        ("2026-03 Cumulative Update for Microsoft server operating system version 21H2 (KB5035857)", false),
        ("2020-01 Security Monthly Quality Rollup for Windows 7 for x64-based Systems (KB4534310)", true),
        ("2020-01 Security Monthly Quality Rollup for Windows Server 2008 R2 for x64-based Systems (KB4534310)", true),
        ("2020-01 Security Monthly Quality Rollup for Windows Server 2012 R2 for x64-based Systems (KB4534297)", false),
    ] {
        let mut steps = kept.clone();
        Builds::of([None]).or_of_titles([title]).sort(&mut steps);
        assert_eq!(!steps.is_empty(), is_kept, "{title}");
    }
    assert_eq!(position(&of(&["7.6.7601.23806", "10.0.17763.1192"]), "KB4474419"), 0);
    assert!(!has(&of(&["10.0.17763.1192", "10.0.17763.1192"]), "KB4474419"));
    assert!(!has(&of(&["7.9.9600.18970"]), "KB4474419"), "Windows 8.1 and Server 2012 R2");
    for few in [["10.0.17763.1192", "10.0.19041.1", ""], ["10.0.17763.1", "10.0.17763.1", "6.1.7601"]] {
        let steps = of(&few);
        assert_eq!(position(&steps, "KB4474419"), steps.len() - 1, "{few:?}");
    }
}

/// Titles of drivers as Microsoft's catalog has them. Microsoft signs these, but an organization can publish its own.
#[test]
fn a_driver_is_first_looked_at_as_one_of_microsofts_catalog() {
    let drivers = [
        "Intel - net - 12.19.2.45",
        "Realtek Semiconductor Corp. - MEDIA - 6.0.9285.1",
        "Intel - System - 10/3/2016 12:00:00 AM - 10.1.1.38",
    ];
    for title in drivers {
        assert_eq!(signer(Some(WSUS), [title]), UpdateSigner::Driver, "{title}");
        let steps = incident("0x800b0109", "update:1", Some(title), &["10.0.19041.4046"], 0);
        assert_eq!(position(&steps, "Get-AuthenticodeSignature FILE"), 0);
        assert!(steps[0].check.contains("Microsoft Windows Hardware Compatibility Publisher"));
        assert!(position(&steps, "Microsoft Root Certificate Authority 2010") < position(&steps, "-store WSUS"));
        position(&steps, "-store TrustedPublisher");
    }
    for title in ["Contoso - VPN Client", "7-Zip 23.01", "VideoTool - 3.2", "Contoso - Tools - new"] {
        assert_eq!(signer(Some(WSUS), [title]), UpdateSigner::Organization, "{title}");
    }
    assert_eq!(signer(Some(WSUS), [drivers[0], "VideoTool 3.2"]), UpdateSigner::Organization);
}
