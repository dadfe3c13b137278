//! Channels over TLS to independent peers, with a company's own CA: the servers that channels trust, and the
//! certificates that they show.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::kafka::{Skip, or_skip};
use wulog_tests::peer::{Certificates, Peer};
use wulog_tests::process::{Running, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const RSYSLOG: &str = "/usr/sbin/rsyslogd";
const RSYSLOG_TLS: &str = "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so";

/// A channel `name` with these lines, which trusts `ca` and shows a certificate if `shows` is set.
fn channel(name: &str, lines: &str, certificates: &Certificates, ca: &str, shows: bool) -> String {
    let mut text = format!("[[channels]]\nname = \"{name}\"\n{lines}\ntimeout_secs = 5\n");
    text += &format!("ca_file = \"{}\"\n", certificates.path(ca).display());
    if shows {
        let (chain, key) = (certificates.path("client.pem"), certificates.path("client.key"));
        text += &format!("client_certificate = \"{}\"\nclient_key = \"{}\"\n", chain.display(), key.display());
    }
    text
}

/// Expects that `channels test NAME` succeeds.
#[track_caller]
fn delivers(desk: &Desk, name: &str) {
    let ended = desk.channels(&["test", name]);
    assert_eq!(ended.code, Some(0), "{name}: {}{}", ended.stdout, ended.stderr);
}

/// Expects that `channels test NAME` fails with these words.
#[track_caller]
fn fails(desk: &Desk, name: &str, said: &[&str]) {
    let ended = desk.channels(&["test", name]);
    assert_eq!(ended.code, Some(1), "{name}: {}{}", ended.stdout, ended.stderr);
    let told = ended.stderr.to_lowercase();
    assert!(said.iter().any(|part| told.contains(&part.to_lowercase())), "{name}: {}", ended.stderr);
}

#[test]
fn a_webhook_trusts_the_companys_ca_and_shows_its_certificate() {
    let name = "a_webhook_trusts_the_companys_ca_and_shows_its_certificate";
    let Some(certificates) = or_skip(name, Certificates::make()) else { return };
    let peer = Peer::start("https", &certificates, true);
    let lines = format!("kind = \"webhook\"\nurl = \"https://127.0.0.1:{}/hook\"", peer.port());
    let of = |name, ca, shows| channel(name, &lines, &certificates, ca, shows);
    let desk =
        Desk::new(&(of("good", "ca.pem", true) + &of("stranger", "other.pem", true) + &of("mute", "ca.pem", false)));
    let running = desk.start(3);
    fails(&desk, "stranger", &["UnknownIssuer", "unknown issuer", "invalid peer certificate"]);
    // With TLS 1.3 the refusal may come as an alert, or the connection may break before it is read.
    fails(&desk, "mute", &["certificate", "handshake", "broken pipe", "reset"]);
    assert_eq!(peer.taken(), [] as [Value; 0], "nothing is said to a peer that is not trusted");
    delivers(&desk, "good");
    assert_eq!(peer.taken()[0]["client"], "client");
    running.terminate().expect_success();
}

#[test]
fn mail_is_sent_over_tls_or_not_at_all() {
    let name = "mail_is_sent_over_tls_or_not_at_all";
    let Some(certificates) = or_skip(name, Certificates::make()) else { return };
    let peer = |mode| Peer::start(mode, &certificates, false);
    let (implicit, upgraded, plain) = (peer("smtps"), peer("starttls"), peer("smtp"));
    let of = |name: &str, peer: &Peer, tls: &str, ca: &str| {
        let lines = format!(
            "kind = \"mail\"\nserver = \"127.0.0.1:{}\"\ntls = \"{tls}\"\nfrom = \"wulog@corp.example\"\nto = [\"soc@corp.example\"]",
            peer.port()
        );
        channel(name, &lines, &certificates, ca, false)
    };
    let desk = Desk::new(
        &[
            of("implicit", &implicit, "tls", "ca.pem"),
            of("implicit-stranger", &implicit, "tls", "other.pem"),
            of("upgraded", &upgraded, "starttls", "ca.pem"),
            of("upgraded-stranger", &upgraded, "starttls", "other.pem"),
            of("stripped", &plain, "starttls", "ca.pem"),
        ]
        .concat(),
    );
    let running = desk.start(5);
    for name in ["implicit-stranger", "upgraded-stranger"] {
        fails(&desk, name, &["UnknownIssuer", "unknown issuer", "invalid peer certificate"]);
    }
    fails(&desk, "stripped", &["STARTTLS"]);
    for peer in [&implicit, &upgraded, &plain] {
        assert_eq!(peer.taken(), [] as [Value; 0]);
    }
    for (name, peer) in [("implicit", &implicit), ("upgraded", &upgraded)] {
        delivers(&desk, name);
        assert_eq!(peer.taken()[0]["secured"], true);
    }
    running.terminate().expect_success();
}

#[test]
fn rsyslog_takes_messages_over_tls_of_both_sides() {
    let name = "rsyslog_takes_messages_over_tls_of_both_sides";
    let missing = [(RSYSLOG, "rsyslog"), (RSYSLOG_TLS, "rsyslog-gnutls")];
    let missing = missing.into_iter().find(|(path, _)| !Path::new(path).exists());
    let found = missing.map_or(Ok(()), |(_, package)| Err(Skip::NoPackage(package)));
    let Some(certificates) = or_skip(name, found.and_then(|()| Certificates::make())) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lines = format!("kind = \"syslog\"\nserver = \"127.0.0.1:{port}\"\ntls = \"tls\"\nsource = \"proc-1\"");
    let of = |name, ca, shows| channel(name, &lines, &certificates, ca, shows);
    let desk =
        Desk::new(&(of("good", "ca.pem", true) + &of("stranger", "other.pem", true) + &of("mute", "ca.pem", false)));
    let (config, out, pid) = (desk.path("rsyslog.conf"), desk.path("out.txt"), desk.path("rsyslog.pid"));
    let text = format!(
        "global(DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"{}\" DefaultNetstreamDriverCertFile=\"{}\" \
         DefaultNetstreamDriverKeyFile=\"{}\")\n\
         module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"x509/certvalid\")\n\
         input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
         template(name=\"t\" type=\"string\" string=\"%hostname%|%app-name%|%structured-data%\\n\")\n\
         if $app-name == 'wulog' then action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
        certificates.path("ca.pem").display(),
        certificates.path("server.pem").display(),
        certificates.path("server.key").display(),
        out.display()
    );
    std::fs::write(&config, text).unwrap();
    let words: [&Path; 5] = ["-n".as_ref(), "-f".as_ref(), &config, "-i".as_ref(), &pid];
    let mut rsyslog = Running::start_program(Path::new(RSYSLOG), &words);
    rsyslog.until("rsyslog", LIMIT, |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let running = desk.start(3);
    fails(&desk, "stranger", &["UnknownIssuer", "unknown issuer", "invalid peer certificate"]);
    fails(&desk, "mute", &["certificate", "handshake", "broken pipe", "reset"]);
    delivers(&desk, "good");
    let lines = || std::fs::read_to_string(&out).unwrap_or_default();
    eventually("a message", LIMIT, || !lines().is_empty());
    assert!(
        lines().lines().next().unwrap().starts_with("proc-1|wulog|[wulog@32473 id=\"wu-test000000000000\""),
        "{}",
        lines()
    );
    running.terminate().expect_success();
}

#[test]
fn a_mail_program_shows_an_incident_as_one_thread() {
    let name = "a_mail_program_shows_an_incident_as_one_thread";
    let Some(certificates) = or_skip(name, Certificates::make()) else { return };
    let peer = Peer::start("smtps", &certificates, false);
    let lines = format!(
        "kind = \"mail\"\nserver = \"127.0.0.1:{}\"\ntls = \"tls\"\nlanguage = \"de\"\nfrom = \"Wächter <wulog@corp.example>\"\n\
         to = [\"soc@corp.example\"]",
        peer.port()
    );
    let desk = Desk::new(&channel("team", &lines, &certificates, "ca.pem", false));
    let running = desk.start(1);
    let mut alerts = [
        document(1, 1, Transition::Opened, Level::Medium),
        document(2, 1, Transition::Opened, Level::High),
        document(1, 2, Transition::Growing, Level::Critical),
        document(1, 3, Transition::Resolved, Level::Critical),
    ];
    alerts.iter_mut().for_each(|alert| "Zürich".clone_into(&mut alert.common_factors[0].value));
    desk.append(&alerts);
    eventually("four mails", LIMIT, || peer.taken().len() == 4);
    let mails = peer.taken();
    let header = |mail: &Value, name: &str| mail["headers"][name].as_str().unwrap_or_default().to_owned();
    let id = |number: u32, seq: u32| format!("<wu-{number:016x}.{seq}@corp.example>");
    let found: Vec<[String; 3]> =
        mails.iter().map(|mail| ["Message-ID", "In-Reply-To", "References"].map(|name| header(mail, name))).collect();
    let answer = |number, seq| [id(number, seq), id(number, 1), id(number, 1)];
    let first = |number| [id(number, 1), String::new(), String::new()];
    assert_eq!(found, [first(1), first(2), answer(1, 2), answer(1, 3)]);
    let subjects: Vec<String> = mails.iter().map(|mail| header(mail, "Subject")).collect();
    let answered = format!("Re: {}", subjects[0]);
    assert_eq!([&subjects[2], &subjects[3]], [&answered, &answered], "an incident keeps its subject");
    assert_ne!(subjects[0], subjects[1], "another incident has another");
    for (mail, mark) in mails.iter().zip(["MEDIUM", "HIGH", "CRITICAL", "resolved"]) {
        assert_eq!(mail["defects"].as_array().map(Vec::len), Some(0), "{mail}");
        assert_eq!(
            (header(mail, "Auto-Submitted"), header(mail, "From")),
            ("auto-generated".into(), "Wächter <wulog@corp.example>".into())
        );
        assert_eq!(mail["type"], "multipart/alternative");
        let [plain, html] = ["text/plain", "text/html"].map(|kind| mail["parts"][kind].as_str().unwrap());
        assert!(plain.starts_with(mark) && plain.contains("aktiven Rechnern (") && plain.contains("Zürich"), "{plain}");
        assert!(html.contains(mark) && html.contains("aktiven Rechnern ("), "{html}");
    }
    running.terminate().expect_success();
}
