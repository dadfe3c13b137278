//! Mail and syslog as their receivers read them: a small mail server, and Debian's rsyslog.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::kafka::{Skip, or_skip};
use wulog_tests::process::{Running, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const RSYSLOG: &str = "/usr/sbin/rsyslogd";

type Mails = Arc<Mutex<Vec<String>>>;

/// Speaks as much SMTP as a client needs, and answers 451 to the first mail.
fn mail_server(listener: TcpListener, mails: &Mails) {
    let mut refused = false;
    for stream in listener.incoming().flatten() {
        let _ = talk(&stream, mails, &mut refused);
    }
}

fn talk(mut stream: &TcpStream, mails: &Mails, refused: &mut bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    stream.write_all(b"220 test\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        if word == "DATA" {
            stream.write_all(b"354 go on\r\n")?;
            let body: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
            if std::mem::replace(refused, true) {
                mails.lock().unwrap_or_else(PoisonError::into_inner).push(body.join("\n"));
                stream.write_all(b"250 taken\r\n")?;
            } else {
                stream.write_all(b"451 later\r\n")?;
            }
        } else {
            stream.write_all(if word == "QUIT" { b"221 bye\r\n" } else { b"250 test\r\n" })?;
        }
    }
    Ok(())
}

/// The recipients that were accepted for each text, and the text.
type Taken = Vec<(Vec<String>, String)>;

/// A mail server that answers each `RCPT` and each text as functions say; `None` means silence until the client goes.
/// Records the recipients of each text that it read.
struct MailServer {
    port: u16,
    taken: Arc<Mutex<Taken>>,
}

impl MailServer {
    fn start(
        recipient: impl Fn(&str) -> &'static str + Send + 'static,
        text: impl Fn(usize) -> Option<&'static str> + Send + 'static,
    ) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = MailServer { port: listener.local_addr().unwrap().port(), taken: Arc::default() };
        let taken = Arc::clone(&server.taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = MailServer::talk(&stream, &taken, &recipient, &text);
            }
        });
        server
    }

    fn talk(
        mut stream: &TcpStream,
        taken: &Mutex<Taken>,
        recipient: &impl Fn(&str) -> &'static str,
        text: &impl Fn(usize) -> Option<&'static str>,
    ) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let mut accepted = Vec::new();
        stream.write_all(b"220 test\r\n")?;
        while let Some(line) = lines.next().transpose()? {
            let answer = if let Some(rest) = line.strip_prefix("RCPT TO:<") {
                let address = rest.split('>').next().unwrap_or_default().to_owned();
                let answer = recipient(&address);
                if answer.starts_with('2') {
                    accepted.push(address);
                }
                answer
            } else if line == "DATA" {
                stream.write_all(b"354 go on\r\n")?;
                let body: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                taken.push((std::mem::take(&mut accepted), body.join("\n")));
                let count = taken.len();
                drop(taken);
                match text(count) {
                    Some(answer) => answer,
                    None => return lines.next().map_or(Ok(()), |line| line.map(drop)),
                }
            } else if line == "QUIT" {
                "221 bye"
            } else {
                "250 test"
            };
            stream.write_all(format!("{answer}\r\n").as_bytes())?;
        }
        Ok(())
    }

    fn taken(&self) -> Taken {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A desk whose channel sends to `good` and `bad`.
    fn desk(&self) -> Desk {
        Desk::new(&format!(
            "[[channels]]\nname = \"team\"\nkind = \"mail\"\nserver = \"127.0.0.1:{}\"\ntls = \"none\"\ntimeout_secs = 2\n\
             from = \"wulog@corp.example\"\nto = [\"good@corp.example\", \"bad@corp.example\"]\n",
            self.port
        ))
    }
}

fn two_alerts() -> [wulog_schemas::alert::Alert; 2] {
    [1, 2].map(|number| document(number, 1, Transition::Opened, Level::High))
}

/// Each alert went to `good` once, and the header names both recipients.
#[track_caller]
fn went_to_good_once(taken: &[(Vec<String>, String)]) {
    let ids: Vec<&str> = taken.iter().map(|(_, mail)| header(mail, "Message-ID")).collect();
    let expected = [1, 2].map(|number: u32| format!("<wu-{number:016x}.1@corp.example>"));
    assert_eq!(ids, expected);
    for (to, mail) in taken {
        assert_eq!(to, &["good@corp.example"]);
        assert!(header(mail, "To").contains("bad@corp.example"), "{mail}");
    }
}

/// Sends two alerts while the mail server gives this answer to the recipient `bad`, until the backlog is empty and
/// `good` has both.
#[track_caller]
fn sent_beside_a_recipient_who_is_answered(answer: &'static str) -> (Desk, Running) {
    let recipient = move |address: &str| if address.starts_with("bad") { answer } else { "250 ok" };
    let server = MailServer::start(recipient, |_| Some("250 taken"));
    let desk = server.desk();
    let running = desk.start(1);
    desk.append(&two_alerts());
    eventually("both mails", LIMIT, || server.taken().len() >= 2);
    eventually("an empty backlog", LIMIT, || desk.channels(&["status"]).stdout.contains("backlog        0"));
    went_to_good_once(&server.taken());
    (desk, running)
}

#[test]
fn a_recipient_who_does_not_exist_keeps_the_mail_from_nobody_else() {
    let (desk, running) = sent_beside_a_recipient_who_is_answered("550 5.1.1 no such user");
    let status = || desk.channels(&["status"]).stdout;
    let refused = "refused        bad@corp.example, last wu-0000000000000002/1";
    assert!(status().contains(refused) && status().contains("no such user"), "{}", status());
    assert!(!status().contains("parked"), "{}", status());
    assert!(running.terminate().stderr.contains("bad@corp.example"));
}

#[test]
fn a_recipient_who_is_refused_for_now_gets_the_mail_later_and_nobody_waits() {
    let (desk, running) = sent_beside_a_recipient_who_is_answered("450 4.2.0 greylisted");
    let status = || desk.channels(&["status"]).stdout;
    let waiting = "waiting        wu-0000000000000001/1 for bad@corp.example, again at ";
    assert!(status().contains(waiting) && status().contains("greylisted"), "{}", status());
    running.terminate().expect_success();
}

#[test]
fn a_mail_whose_answer_is_lost_is_not_sent_again_at_once() {
    let server = MailServer::start(|_| "250 ok", |count| (count > 1).then_some("250 taken"));
    let desk = server.desk();
    let running = desk.start(1);
    desk.append(&two_alerts());
    eventually("the second mail", LIMIT, || server.taken().len() >= 2);
    std::thread::sleep(Duration::from_secs(4)); // the first pauses after a failure are shorter together
    let ids: Vec<String> = server.taken().iter().map(|(_, mail)| header(mail, "Message-ID").to_owned()).collect();
    assert_eq!(ids, [1, 2].map(|number: u32| format!("<wu-{number:016x}.1@corp.example>")));
    let status = desk.channels(&["status"]).stdout;
    assert!(status.contains("wu-0000000000000001/1 for good@corp.example, bad@corp.example, again at "), "{status}");
    running.terminate().expect_success();
}

#[test]
fn a_server_that_refuses_the_sender_parks_nothing() {
    let server = MailServer::start(|_| "550 relay access denied", |_| Some("250 taken"));
    let desk = server.desk();
    let running = desk.start(1);
    desk.append(&two_alerts());
    // Some attempts, of which each is refused.
    std::thread::sleep(Duration::from_secs(4));
    let status = desk.channels(&["status"]).stdout;
    assert!(status.contains("backlog        2") && !status.contains("parked"), "{status}");
    assert!(server.taken().is_empty());
    running.terminate().expect_success();
}

/// The value of a header.
fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let start = format!("{name}: ");
    mail.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(&start)).unwrap_or_default()
}

#[test]
fn the_mails_of_an_incident_are_one_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Mails::default();
    let server = Arc::clone(&mails);
    std::thread::spawn(move || mail_server(listener, &server));
    let desk = Desk::new(&format!(
        "[[channels]]\nname = \"team\"\nkind = \"mail\"\nserver = \"127.0.0.1:{port}\"\ntls = \"none\"\nlanguage = \"de\"\n\
         from = \"Wächter <wulog@corp.example>\"\nto = [\"soc@corp.example\", \"ops@corp.example\"]\n"
    ));
    let running = desk.start(1);
    desk.append(&[
        document(1, 1, Transition::Opened, Level::High),
        document(2, 1, Transition::Opened, Level::High),
        document(1, 2, Transition::Resolved, Level::High),
    ]);
    let taken = || mails.lock().unwrap_or_else(PoisonError::into_inner).clone();
    eventually("three mails, the first after a refusal for now", LIMIT, || taken().len() == 3);
    let mails = taken();
    let id = |number: u32, seq: u32| format!("<wu-{number:016x}.{seq}@corp.example>");
    let ids: Vec<&str> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    assert_eq!(ids, [id(1, 1), id(2, 1), id(1, 2)], "{}", mails[0]);
    assert_eq!(header(&mails[0], "References"), "");
    assert_eq!(header(&mails[2], "References"), id(1, 1));
    for mail in &mails {
        assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
        assert!(header(mail, "Subject").is_ascii() && header(mail, "From").is_ascii(), "{mail}");
        assert!(header(mail, "Content-Type").starts_with("multipart/alternative"), "{mail}");
        assert!(mail.contains("text/plain; charset=utf-8") && mail.contains("text/html; charset=utf-8"), "{mail}");
    }
    running.terminate().expect_success();
}

#[test]
fn rsyslog_reads_the_structured_data_back() {
    let found = if Path::new(RSYSLOG).exists() { Ok(()) } else { Err(Skip::NoPackage("rsyslog")) };
    if or_skip("rsyslog_reads_the_structured_data_back", found).is_none() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let desk = Desk::new(&format!(
        "[[channels]]\nname = \"siem\"\nkind = \"syslog\"\nserver = \"127.0.0.1:{port}\"\ntls = \"none\"\n\
         source = \"proc-1\"\nlanguage = \"de\"\n"
    ));
    let (config, out) = (desk.path("rsyslog.conf"), desk.path("out.txt"));
    let text = format!(
        "module(load=\"imtcp\")\nmodule(load=\"mmpstrucdata\")\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
         action(type=\"mmpstrucdata\")\n\
         template(name=\"t\" type=\"string\" string=\"%pri%|%hostname%|%app-name%|%msgid%|%$!rfc5424-sd!wulog@32473!id%|\
         %$!rfc5424-sd!wulog@32473!seq%|%$!rfc5424-sd!wulog@32473!severity%|%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
        out.display()
    );
    std::fs::write(&config, text).unwrap();
    let pid = desk.path("rsyslog.pid");
    let words: [&Path; 5] = ["-n".as_ref(), "-f".as_ref(), &config, "-i".as_ref(), &pid];
    let mut rsyslog = Running::start_program(Path::new(RSYSLOG), &words);
    rsyslog.until("rsyslog", LIMIT, |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let running = desk.start(1);
    desk.append(&[document(1, 1, Transition::Opened, Level::High), document(1, 2, Transition::Resolved, Level::High)]);
    let lines = || std::fs::read_to_string(&out).unwrap_or_default();
    eventually("two messages", LIMIT, || lines().lines().count() == 2);
    let lines: Vec<String> = lines().lines().map(str::to_owned).collect();
    // Facility 13: 13 * 8 + 3 (error), and + 6 (informational) for the end.
    let starts = [
        "107|proc-1|wulog|opened|wu-0000000000000001|1|high|",
        "110|proc-1|wulog|resolved|wu-0000000000000001|2|high|",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && line.contains("aktiven Rechnern"), "{line}");
    }
    running.terminate().expect_success();
}
