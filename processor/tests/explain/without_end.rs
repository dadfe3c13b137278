//! Logs in which no scan, download or installation ends: excerpts that people copy, and logs of a start. The verdict of
//! each is read off its lines.

use super::siblings::{Case, RE, WU, check};
use super::{Verdict, corpus};

/// Logs of the corpus without the end of an operation.
#[test]
fn pieces_of_real_logs_are_judged_by_their_failed_steps() {
    use Verdict::{Failing, Healthy};
    let cases = [
        // A proxy's certificate in place of Microsoft's, on each of 24 lines.
        ("w10-ja-80072f8f-sls", Failing),
        // The downloaded cabinet differs from the hash in its name.
        ("w8-ecp-digest-80246003", Failing),
        ("vista-legacyupdate-80072efe", Failing),
        ("w10-pywsus-80240439", Failing),
        ("w10-rtm-80240438-webservices", Failing),
        ("w10-newlines-in-message", Failing),
        // Names are not resolved; the search tool has wrapped the lines.
        ("w2012r2-ps-selectstring-wrapped", Failing),
        ("w2022-mslearn-80072efe-failed-noasterisk", Failing),
        ("w2k8r2-8024402c-natwsus", Failing),
        // Calls of a web service end in a fault, in Russian and without a code.
        ("w2019-ru-questionmarks-wserror", Failing),
        // The check for a newer client fails fatally; the later installation concerns another update.
        ("xp-kb902093-docs", Failing),
        // Missing registry values and a refused caller at the start of the service.
        ("w2k8r2-startup-shutdown-tabs", Healthy),
        // A service that is not registered yet, and no ticket for it.
        ("w11-2025-80248014-authtoken-80092004", Healthy),
        ("w2025-startup-sls-cache", Healthy),
        ("w2016-dc-wsus-14393", Healthy),
        ("w2016-de-dotdate-8024401c", Healthy),
        // Express installation saves its state and goes on.
        ("w81-2020-cbs-express", Healthy),
        ("w10-2004-startup", Healthy),
        // The scan is under way, the cookie is only out of date.
        ("w81-sccm-80244007-tabs", Healthy),
    ];
    let wrong: Vec<_> = cases.into_iter().filter(|(name, verdict)| corpus(name).verdict != *verdict).collect();
    assert!(wrong.is_empty(), "expected: {wrong:?}");
}

#[test]
fn a_failed_step_counts_until_it_succeeds() {
    use Verdict::{Failing, Healthy};
    check(&[
        Case {
            name: "Windows 2000: the proxy refuses the check for a newer client",
            file: WU,
            log: "2008-06-17\t08:01:12:100\t 800\t7cc\tSetup\t***********  Setup: Checking whether self-update is required  ***********\n\
                  2008-06-17\t08:01:13:210\t 800\t7cc\tMisc\tWARNING: SendRequest failed with hr = 80244017. Proxy List used: <proxy.corp.example:3128> Bypass List used : <(null)> Auth Schemes used : <NTLM>\n\
                  2008-06-17\t08:01:13:220\t 800\t7cc\tSetup\tFATAL: IsUpdateRequired failed with error 0x80244017\n",
            verdict: Failing,
            has: &["0x80244017", "no matter of certificate trust", "netsh winhttp show proxy"],
            lacks: &["certutil"],
        },
        Case {
            name: "Windows 7: the second try of a download of the redirector works",
            file: WU,
            log: "2015-01-20\t07:30:00:100\t 920\t1f0c\tMisc\tWARNING: Send failed with hr = 80072ee2.\n\
                  2015-01-20\t07:30:00:110\t 920\t1f0c\tMisc\tWARNING: WinHttp: SendRequestToServerForFileInformation failed with 0x80072ee2\n\
                  2015-01-20\t07:30:09:400\t 920\t1f0c\tAgent\t** START **  Agent: Finding updates [CallerId = AutomaticUpdates]\n\
                  2015-01-20\t07:30:12:900\t 920\t1f0c\tAgent\t  * Found 0 updates and 71 categories in search; evaluated appl. rules of 700 out of 1200 deployed entities\n\
                  2015-01-20\t07:30:12:910\t 920\t1f0c\tAgent\t** END **  Agent: Finding updates [CallerId = AutomaticUpdates]\n",
            verdict: Healthy,
            has: &["nothing fails"],
            lacks: &["CHECK", "80072EE2"],
        },
        Case {
            name: "Windows 8.1: no reply from the server, then an end that names no code",
            file: WU,
            log: "2016-09-14\t22:15:40:001\t 1024\t2b8\tWS\tWARNING: Nws Failure: errorCode=0x803d0006\n\
                  2016-09-14\t22:15:40:001\t 1024\t2b8\tWS\tWARNING: The operation timed out\n\
                  2016-09-14\t22:15:40:001\t 1024\t2b8\tWS\tFATAL: OnCallFailure failed with hr=0x8024401C\n\
                  2016-09-14\t22:15:40:002\t 1024\t2b8\tPT\tWARNING: PTError: 0x8024401c\n",
            verdict: Failing,
            has: &["0x8024401C", "no matter of certificate trust"],
            lacks: &["certutil"],
        },
        Case {
            name: "Windows 10 1809, French dates: a start without a token for the proxy",
            file: WU,
            log: "2019/04/02 06:58:00.1000000 3320  3344  Agent           WU client version 10.0.17763.404\n\
                  2019/04/02 06:58:00.2000000 3320  3344  Misc            *FAILED* [800703F0] Failed to get proxy settings token, not impersonating user\n\
                  2019/04/02 06:58:00.3000000 3320  3344  Agent           *FAILED* [80070490] Method failed [CAgentServiceManager::LoadOptional:77]\n",
            verdict: Healthy,
            has: &["nothing fails", "10.0.17763.404"],
            lacks: &["CHECK"],
        },
        Case {
            name: "Windows 11: the server of Delivery Optimization does not answer",
            file: WU,
            log: "2024/02/08 10:00:01.1000000 5112  6004  DownloadManager *FAILED* [80D02002] DO job {3F0A4D5E-0B7C-4C51-9F1B-2A6D9D0E8B11} makes no progress\n",
            verdict: Failing,
            has: &["0x80D02002"],
            lacks: &["certutil"],
        },
        Case {
            name: "Windows 11: a service that the host does not have",
            file: WU,
            log: "2024/02/08 10:00:01.1000000 5112  6004  Agent           *FAILED* [80248014] GetServiceObject couldn't find service '7971F918-A847-4430-9279-4A52D1EFE18D'.\n\
                  2024/02/08 10:00:01.2000000 5112  6004  Misc            *FAILED* [80092004] Method failed to get auth token. [CUpdateEndpointProvider::GenerateSecurityTokenWithAuthTickets:1674]\n",
            verdict: Healthy,
            has: &["nothing fails"],
            lacks: &["CHECK"],
        },
        Case {
            name: "Windows 10: a web service call whose answer the log cuts off, in German",
            file: WU,
            log: "2020/10/15 14:20:11.3000000 2208  9120  WebServices     WS error: Fehler bei der Kommunikation mit dem Endpunkt \"https://wsus02.corp.example:8531/ClientWebService/client.asmx\".\n",
            verdict: Failing,
            has: &["The update client fails"],
            lacks: &["certutil -store WSUS"],
        },
        Case {
            name: "Windows 10: TLS to the intranet's server, no end of the scan",
            file: WU,
            log: "2020/10/15 14:20:11.1000000 2208  9120  ProtocolTalker  ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = https://wsus02.corp.example:8531/ClientWebService/client.asmx\n\
                  2020/10/15 14:20:11.3000000 2208  9120  WebServices     *FAILED* [80072F8F] Web service call\n",
            verdict: Failing,
            has: &["wsus02.corp.example:8531", "TLS to the WSUS server", "netsh http show sslcert"],
            lacks: &["TrustedPublisher"],
        },
        Case {
            name: "Vista: no rights to make a restore point, the installation goes on",
            file: WU,
            log: "2012-07-11\t03:00:19:500\t 1100\t9a4\tAgent\tWARNING: failed to calculate prior restore point time with error 0x80070002; setting restore point\n\
                  2012-07-11\t03:00:20:700\t 1100\t9a4\tAgent\tWARNING: LoadLibrary failed for srclient.dll with hr:8007007e\n",
            verdict: Healthy,
            has: &["nothing fails"],
            lacks: &["CHECK"],
        },
        Case {
            name: "an installation proves nothing of the server",
            file: WU,
            log: "2016-03-08\t09:12:01:100\t 988\t1a4c\tMisc\tWARNING: Send failed with hr = 80072ee7.\n\
                  2016-03-08\t09:15:00:000\t1804\t70c\tHandler\t:: START ::  Handler: Command Line Install\n\
                  2016-03-08\t09:15:09:000\t1804\t70c\tHandler\t  : Command line install completed. Return code = 0x00000000, Result = Succeeded, Reboot required = false\n",
            verdict: Failing,
            has: &["0x80072EE7", "nslookup"],
            lacks: &["certutil"],
        },
        Case {
            name: "the next scan of the report succeeds",
            file: RE,
            log: "{5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A901}\t2020-02-11 10:00:00:100+0100\t1\t148\t101\t{00000000-0000-0000-0000-000000000000}\t0\t8024402c\tAutomaticUpdates\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x8024402c.\n\
                  {5E1C9A70-41B2-4A3D-9C5E-77D1F0B2A902}\t2020-02-11 12:00:00:100+0100\t1\t147\t101\t{00000000-0000-0000-0000-000000000000}\t0\t0\tAutomaticUpdates\tSuccess\tSoftware Synchronization\tWindows Update Client successfully detected 3 updates.\n",
            verdict: Healthy,
            has: &["nothing fails", "2020-02-11 12:00 succeeded"],
            lacks: &["8024402C"],
        },
    ]);
}
