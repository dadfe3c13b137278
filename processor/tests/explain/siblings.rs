//! Logs of the kinds that administrators really have, in other spellings, languages and products than those of the
//! parser's first samples. The required and the forbidden texts of a page are read off the lines.

use super::{Verdict, expect, of_bytes};

/// One log.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) file: &'static str,
    pub(super) log: &'static str,
    pub(super) verdict: Verdict,
    pub(super) has: &'static [&'static str],
    pub(super) lacks: &'static [&'static str],
}

pub(super) const WU: &str = "WindowsUpdate.log";
pub(super) const RE: &str = "ReportingEvents.log";

pub(super) fn check(cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        let page = of_bytes(case.file, case.log.as_bytes());
        let outcome = std::panic::catch_unwind(|| expect(case.name, &page, case.verdict, case.has, case.lacks));
        failed.extend(outcome.err().map(|_| case.name));
    }
    assert!(failed.is_empty(), "{} of {} logs are read wrongly: {failed:?}", failed.len(), cases.len());
}

/// Lines without a readable time, and lines of other programs, are not failures of the update client.
#[test]
fn lines_without_time_or_of_other_programs_are_not_failures_of_the_client() {
    use Verdict::Unreadable;
    check(&[
        Case {
            name: "a helpdesk note",
            file: "notes.log",
            log: "User says updates fail since Monday.\nFailed to download updates. Error = 0x8024b303.\n",
            verdict: Unreadable,
            has: &["cannot be read"],
            lacks: &["CHECK"],
        },
        Case {
            name: "a service in JSON",
            file: "agent.log",
            log: "{\"ts\":\"2024-05-02T07:11:09Z\",\"level\":\"error\",\"msg\":\"install failed\",\"hr\":\"0x800b0109\"}\n",
            verdict: Unreadable,
            has: &["cannot be read"],
            lacks: &["CHECK"],
        },
        Case {
            name: "servicing in French",
            file: "CBS.log",
            log: "2024-05-02 07:11:09, Info                  CBS    Échec de la vérification du catalogue [HRESULT = 0x800b0100 - TRUST_E_NOSIGNATURE]\n\
                  2024-05-02 07:11:09, Error                 CBS    Failed to verify the package [HRESULT = 0x800b0109 - CERT_E_UNTRUSTEDROOT]\n",
            verdict: Unreadable,
            has: &["cannot be read"],
            lacks: &["CHECK"],
        },
        Case {
            name: "deployment image servicing",
            file: "dism.log",
            log: "2024-05-02 07:11:09, Error                 DISM   DISM Package Manager: PID=4020 TID=4032 Failed to open package. - CDISMPackageManager::Internal_Finalize(hr:0x800b0109)\n",
            verdict: Unreadable,
            has: &["cannot be read"],
            lacks: &["CHECK"],
        },
        Case {
            name: "a web server",
            file: "u_ex240502.log",
            log: "#Software: Microsoft Internet Information Services 10.0\n#Date: 2024-05-02 07:11:09\n\
                  #Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip sc-status\n\
                  2024-05-02 07:11:09 192.0.2.8 POST /ClientWebService/client.asmx - 8530 - 192.0.2.77 500\n",
            verdict: Unreadable,
            has: &["cannot be read"],
            lacks: &["CHECK"],
        },
        Case {
            name: "undecoded traces of another zone",
            file: WU,
            log: "1600/12/31 16:00:00.0000000 1092  6220                  Unknown( 11): GUID=d1317ae8-ec05-8e09-4a50-d3b2ce02f784 (No Format Information found).\n\
                  1600/12/31 16:00:00.0000000 1092  6220                  Unknown( 27): GUID=e26dfe10-35bf-3106-db9d-9a51a6a0981f (No Format Information found).\n",
            verdict: Unreadable,
            has: &["cannot be read", "Get-WindowsUpdateLog", "ReportingEvents.log"],
            lacks: &["CHECK"],
        },
    ]);
}

/// In a scan the code concerns the server's certificate, in a download the signer's.
#[test]
fn the_remedy_follows_operation_and_server() {
    use Verdict::Failing;
    check(&[
        Case {
            name: "Windows 7: scan against WSUS ends with 800B0109",
            file: WU,
            log: "2016-03-08\t09:12:01:100\t 988\t1a4c\tAgent\t*************\n\
                  2016-03-08\t09:12:01:100\t 988\t1a4c\tAgent\t** START **  Agent: Finding updates [CallerId = AutomaticUpdates]\n\
                  2016-03-08\t09:12:01:101\t 988\t1a4c\tPT\t+++++++++++  PT: Synchronizing server updates  +++++++++++\n\
                  2016-03-08\t09:12:01:101\t 988\t1a4c\tPT\t  + ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://updates.branch.example:8531/ClientWebService/client.asmx\n\
                  2016-03-08\t09:12:01:220\t 988\t1a4c\tMisc\tWARNING: Send failed with hr = 800b0109.\n\
                  2016-03-08\t09:12:01:221\t 988\t1a4c\tPT\tWARNING: PTError: 0x800b0109\n\
                  2016-03-08\t09:12:01:221\t 988\t1a4c\tAgent\t  * WARNING: Failed to synchronize, error = 0x800B0109\n\
                  2016-03-08\t09:12:01:225\t 988\t1a4c\tAgent\t  * WARNING: Exit code = 0x800B0109\n\
                  2016-03-08\t09:12:01:225\t 988\t1a4c\tAgent\t** END **  Agent: Finding updates [CallerId = AutomaticUpdates]\n",
            verdict: Failing,
            has: &[
                "TLS certificate of its WSUS server",
                "updates.branch.example:8531",
                "netsh http show sslcert",
                "trust yes: TLS to the WSUS server",
            ],
            lacks: &["TrustedPublisher", "certutil -store WSUS"],
        },
        Case {
            name: "Windows 10: scan against WSUS ends with 800B0101",
            file: WU,
            log: "2021/11/03 08:00:10.1000000 4412  6120  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 12\n\
                  2021/11/03 08:00:10.1100000 4412  6120  WebServices     Auto proxy settings for this web service call.\n\
                  2021/11/03 08:00:10.1200000 4412  6120  ProtocolTalker  ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://sus-a.corp.example:8531/ClientWebService/client.asmx\n\
                  2021/11/03 08:00:10.3000000 4412  6120  WebServices     WS error: There was an error communicating with the endpoint at 'https://sus-a.corp.example:8531/ClientWebService/client.asmx'.\n\
                  2021/11/03 08:00:10.3000000 4412  6120  WebServices     *FAILED* [800B0101] Web service call\n\
                  2021/11/03 08:00:10.3100000 4412  6120  Agent           Failed to synchronize, error = 0x800B0101\n\
                  2021/11/03 08:00:10.3200000 4412  6120  Agent           Exit code = 0x800B0101\n\
                  2021/11/03 08:00:10.3200000 4412  6120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 12\n",
            verdict: Failing,
            has: &[
                "TLS certificate of its WSUS server",
                "sus-a.corp.example:8531",
                "0x800B0101 CERT_E_EXPIRED",
                "certutil -v -store My",
            ],
            lacks: &["TrustedPublisher", "Get-AuthenticodeSignature"],
        },
        Case {
            name: "Windows 11: a proxy stands between host and Microsoft",
            file: WU,
            log: "2023/06/20 13:30:00.0000000 2040  7712  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 3\n\
                  2023/06/20 13:30:00.5000000 2040  7712  SLS             Making request with URL HTTPS://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.22621.1848/0?CH=1\n\
                  2023/06/20 13:30:00.9000000 2040  7712  Misc            *FAILED* [80072F8F] Send request\n\
                  2023/06/20 13:30:00.9100000 2040  7712  SLS             *FAILED* [80072F8F] GetDownloadedOnWeakSSLCert\n\
                  2023/06/20 13:30:01.0000000 2040  7712  Agent           Failed to synchronize, error = 0x80072F8F\n\
                  2023/06/20 13:30:01.0000000 2040  7712  Agent           Exit code = 0x80072F8F\n\
                  2023/06/20 13:30:01.0000000 2040  7712  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 3\n",
            verdict: Failing,
            has: &[
                "Microsoft's update service",
                "0x80072F8F",
                "trust yes: TLS to Microsoft's services",
                "netsh winhttp show proxy",
            ],
            lacks: &["on the WSUS server", "TrustedPublisher"],
        },
        Case {
            name: "the same code in a download is the signer's",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t161\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t800b0109\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.\tabc.1\n",
            verdict: Failing,
            has: &[
                "does not trust the certificate that signed the update",
                "1c0b7a52-9e4d-4f83-a61b-20d7c5e8f3a4",
                "TrustedPublisher",
            ],
            lacks: &["sslcert"],
        },
    ]);
}

/// ReportingEvents.log after it was copied, pasted, searched or wrapped.
#[test]
fn a_copied_reporting_events_log_keeps_its_failures() {
    use Verdict::{Failing, Healthy};
    let has: &[&str] = &["The installation of", "0x80070643"];
    check(&[
        Case {
            name: "runs of blanks for tabs",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}    2020-02-11 10:00:00:100+0100    1    182 [AGENT_INSTALLING_FAILED]    101    {1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}    2    80070643    AutomaticUpdates    Failure    Content Install    Installation Failure: Windows failed to install the following update with error 0x80070643: Reader 4.1 (KB9990002).\n",
            verdict: Failing,
            has: &["Reader 4.1 (KB9990002)", "0x80070643"],
            lacks: &["KB9990002)."],
        },
        Case {
            name: "a leading blank",
            file: RE,
            log: "  {5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t80070643\tAutomaticUpdates\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x80070643: Reader 4.1.\n",
            verdict: Failing,
            has,
            lacks: &["Reader 4.1."],
        },
        Case {
            name: "one blank among tabs",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901} 2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t80070643\tAutomaticUpdates\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x80070643: Reader 4.1.\n",
            verdict: Failing,
            has,
            lacks: &[],
        },
        Case {
            name: "a search tool's prefix",
            file: "found.log",
            log: "C:\\Windows\\SoftwareDistribution\\ReportingEvents.log:{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t80070643\tAutomaticUpdates\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x80070643: Reader 4.1.\n",
            verdict: Failing,
            has,
            lacks: &[],
        },
        Case {
            name: "failure, then success of the same update",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t80070643\tAutomaticUpdates\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x80070643: Reader 4.1.\n\
                  {5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A902}\t2020-02-11 11:00:00:100+0100\t1\t183\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t0\tAutomaticUpdates\tSuccess\tContent Install\tInstallation Successful: Windows successfully installed the following update: Reader 4.1\n",
            verdict: Healthy,
            has: &["1 installed", "Reader 4.1"],
            lacks: &["0x80070643"],
        },
    ]);
}

/// Titles in other languages, without a KB, and with a full stop that belongs to the sentence.
#[test]
fn an_update_has_its_name_in_every_language() {
    use Verdict::Failing;
    check(&[
        Case {
            name: "German",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t800b0109\tAutomaticUpdates\tFailure\tContent Install\tInstallationsfehler: Die Installation des folgenden Updates ist mit Fehler 0x800b0109 fehlgeschlagen: Zeiterfassung 7 für Büros.\n",
            verdict: Failing,
            has: &["Zeiterfassung 7 für Büros", "does not trust the certificate"],
            lacks: &["Büros.", "Die Installation des folgenden"],
        },
        Case {
            name: "French",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t800b0109\tAutomaticUpdates\tFailure\tContent Install\tÉchec de l'installation : Windows n'a pas pu installer la mise à jour suivante avec l'erreur 0x800b0109 : Lecteur vidéo 3.\n",
            verdict: Failing,
            has: &["Lecteur vidéo 3", "does not trust the certificate"],
            lacks: &["vidéo 3.", "pas pu installer"],
        },
        Case {
            name: "the title stands on the thread, the failure has the id alone",
            file: WU,
            log: "2016-03-08\t09:12:01:100\t 988\t1a4c\tDnldMgr\t*************\n\
                  2016-03-08\t09:12:01:100\t 988\t1a4c\tDnldMgr\t** START **  DnldMgr: Downloading updates [CallerId = AutomaticUpdates]\n\
                  2016-03-08\t09:12:01:100\t 988\t1a4c\tAgent\t  * Title = VideoTool 3.2 (KB9990001)\n\
                  2016-03-08\t09:12:01:100\t 988\t1a4c\tAgent\t  * UpdateId = {1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}.101\n\
                  2016-03-08\t09:12:05:000\t 988\t1a4c\tMisc\tValidating signature for C:\\Windows\\SoftwareDistribution\\Download\\77\\v.cab:\n\
                  2016-03-08\t09:12:05:000\t 988\t1a4c\tMisc\tWARNING: Error: 0x800b0109 when verifying trust for C:\\Windows\\SoftwareDistribution\\Download\\77\\v.cab\n\
                  2016-03-08\t09:12:05:001\t 988\t1a4c\tMisc\tWARNING: Digital Signatures on file C:\\Windows\\SoftwareDistribution\\Download\\77\\v.cab are not trusted: Error 0x800b0109\n\
                  2016-03-08\t09:12:05:001\t 988\t1a4c\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109\n\
                  2016-03-08\t09:12:05:002\t 988\t1a4c\tDnldMgr\tError 0x800b0109 occurred while downloading update; notifying dependent calls.\n\
                  2016-03-08\t09:12:10:000\t 988\t0c1c\tReport\tREPORT EVENT: {5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2016-03-08 09:12:05:002+0100\t1\t161\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t101\t800b0109\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.\n",
            verdict: Failing,
            has: &["VideoTool 3.2 (KB9990001)", "2016-03-08 09:12", "UTC+01:00"],
            lacks: &["(KB9990001) (KB9990001)"],
        },
    ]);
}

/// Several codes in one line, and outcomes in words.
#[test]
fn codes_and_words_are_exact() {
    use Verdict::{Failing, Healthy};
    check(&[
        Case {
            name: "the trust code wins over the handler's",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t182\t101\t{1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4}\t2\t8024200b\tAutomaticUpdates\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x8024200b: Reader 4.1 (KB9990002), resultUnMapped=800B0109\n",
            verdict: Failing,
            has: &["0x800B0109 CERT_E_UNTRUSTEDROOT", "trust yes"],
            lacks: &[],
        },
        Case {
            name: "a download that was not successful",
            file: WU,
            log: "2023/03/01 22:19:01.4037009 19924 14968 DownloadManager Update 1C0B7A52-9E4D-4F83-A61B-20D7C5E8F3A4.2 was not successfully downloaded, error 0x80246008\n",
            verdict: Failing,
            has: &["0x80246008"],
            lacks: &["1 downloaded"],
        },
        Case {
            name: "healthy Windows 11 with test keys and a cancelled call",
            file: WU,
            log: "2023/03/01 22:19:01.4037009 19924 14968 Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 3\n\
                  2023/03/01 22:19:02.4037009 19924 14968 Misc            Test keys are not allowed\n\
                  2023/03/01 22:19:03.4037009 19924 14968 Agent           Found 0 updates and 61 categories in search; evaluated appl. rules of 914 out of 1384 deployed entities\n\
                  2023/03/01 22:19:03.4037009 19924 14968 Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 3\n",
            verdict: Healthy,
            has: &["nothing fails", "succeeded", "UTC offset not told"],
            lacks: &["CHECK"],
        },
    ]);
}

/// WUAHandler.log of Configuration Manager.
#[test]
fn configuration_manager_is_read_too() {
    use Verdict::{Failing, Healthy};
    check(&[
        Case {
            name: "a scan that failed, code in hexadecimal",
            file: "WUAHandler.log",
            log: "<![LOG[OnSearchComplete - Failed to end search job. Error = 0x80072f8f.]LOG]!><time=\"05:10:11.123-60\" date=\"03-01-2023\" component=\"WUAHandler\" context=\"\" type=\"3\" thread=\"4120\" file=\"cwuahandler.cpp:3123\">\n\
                  <![LOG[Scan failed with error = 0x80072f8f.]LOG]!><time=\"05:10:11.133-60\" date=\"03-01-2023\" component=\"WUAHandler\" context=\"\" type=\"3\" thread=\"4120\" file=\"cwuahandler.cpp:3712\">\n",
            verdict: Failing,
            has: &["The scan", "0x80072F8F", "2023-03-01 05:10"],
            lacks: &["TrustedPublisher"],
        },
        Case {
            name: "a scan that succeeded",
            file: "WUAHandler.log",
            log: "<![LOG[Async searching completed.]LOG]!><time=\"05:10:11.123-60\" date=\"03-01-2023\" component=\"WUAHandler\" context=\"\" type=\"1\" thread=\"4120\" file=\"cwuahandler.cpp:2068\">\n\
                  <![LOG[Successfully completed scan.]LOG]!><time=\"05:10:12.123-60\" date=\"03-01-2023\" component=\"WUAHandler\" context=\"\" type=\"1\" thread=\"4120\" file=\"cwuahandler.cpp:3698\">\n",
            verdict: Healthy,
            has: &["nothing fails"],
            lacks: &["CHECK"],
        },
    ]);
}
