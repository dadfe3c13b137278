//! `deploy/kafka/acls.sh` on a real Kafka with passwords: with the rights that it grants, collector, processor and reader do
//! their work, and each is refused everything else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode, RDKafkaErrorCode as Refusal};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use wulog_tests::kafka::{KafkaTestbed, SCRAM_PASSWORD, or_skip};
use wulog_tests::process::{Running, run};

const LIMIT: Duration = Duration::from_secs(60);
const TOPICS: [&str; 5] = ["raw", "events", "signals", "alerts", "state"];
const PREFIX: &str = "rights";

/// Kafka's answer to a request of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Done,
    Denied,
    Other(String),
}

impl Said {
    /// Only the expected refusal counts: a client may be refused another request before.
    fn of(error: &KafkaError, refusal: RDKafkaErrorCode) -> Said {
        if error.rdkafka_error_code() == Some(refusal) { Said::Denied } else { Said::Other(error.to_string()) }
    }
}

/// The answer to one record, by a channel.
struct Answers(std::sync::mpsc::SyncSender<Said>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let said = result
            .as_ref()
            .map_or_else(|(error, _)| Said::of(error, Refusal::TopicAuthorizationFailed), |_| Said::Done);
        // The test may have given up waiting.
        let _ = self.0.send(said);
    }
}

struct Bench {
    broker: KafkaTestbed,
    folder: tempfile::TempDir,
}

impl Bench {
    fn login(&self, user: &str) -> Vec<(&'static str, String)> {
        let ca = self.broker.certificates().join("ca.pem").display().to_string();
        vec![
            ("bootstrap.servers", self.broker.scram()),
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanisms", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", user.to_owned()),
            ("sasl.password", SCRAM_PASSWORD.to_owned()),
            ("ssl.ca.location", ca),
        ]
    }

    fn client(&self, user: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        self.login(user).into_iter().for_each(|(name, value)| {
            config.set(name, value);
        });
        config
    }

    /// A configuration of one of the binaries.
    fn config(&self, user: &str, more: &str) -> PathBuf {
        let kafka: String = self.login(user).iter().map(|(name, value)| format!("'{name}' = '{value}'\n")).collect();
        let path = self.folder.path().join(format!("{user}.toml"));
        let (head, tail) = more.split_once("---").unwrap_or((more, ""));
        std::fs::write(&path, format!("topic_prefix = '{PREFIX}'\n{head}\n[kafka]\n{kafka}\n{tail}\n")).unwrap();
        path
    }

    /// Whether metadata names the topic: without the right to describe it librdkafka would only wait.
    fn describes(&self, consumer: &BaseConsumer, topic: &str) -> Said {
        let metadata = match consumer.fetch_metadata(Some(topic), LIMIT) {
            Ok(metadata) => metadata,
            Err(error) => return Said::Other(error.to_string()),
        };
        match metadata.topics()[0].error() {
            None => Said::Done,
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => Said::Denied,
            Some(other) => Said::Other(format!("{other:?}")),
        }
    }

    fn reads(&self, user: &str, topic: &str) -> Said {
        let topic = format!("{PREFIX}.{topic}");
        let mut config = self.client(user);
        config.set("group.id", format!("{PREFIX}-reader-probe")).set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let described = self.describes(&consumer, &topic);
        if described != Said::Done {
            return described;
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&place).unwrap();
        answered(&consumer, Refusal::TopicAuthorizationFailed, |polled| {
            matches!(polled, Some(Ok(_) | Err(KafkaError::PartitionEOF(_))))
        })
    }

    fn writes(&self, user: &str, topic: &str) -> Said {
        let topic = format!("{PREFIX}.{topic}");
        let consumer: BaseConsumer = self.client(user).create().unwrap();
        let described = self.describes(&consumer, &topic);
        if described != Said::Done {
            return described;
        }
        let (answer, answers) = std::sync::mpsc::sync_channel(1);
        let producer: ThreadedProducer<Answers> = self.client(user).create_with_context(Answers(answer)).unwrap();
        // No processor runs at this time that could take the record for one of a host.
        producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key("probe").payload("probe")).unwrap();
        answers.recv_timeout(LIMIT).unwrap_or_else(|_| Said::Other("no answer".to_owned()))
    }

    /// Takes the transactional id of a processor, which would fence that processor.
    fn fences(&self, user: &str) -> Said {
        let mut config = self.client(user);
        config.set("transactional.id", format!("{PREFIX}-normalizer-other"));
        let (answer, _answers) = std::sync::mpsc::sync_channel(1);
        let producer: ThreadedProducer<Answers> = config.create_with_context(Answers(answer)).unwrap();
        producer
            .init_transactions(LIMIT)
            .map_or_else(|error| Said::of(&error, Refusal::TransactionalIdAuthorizationFailed), |()| Said::Done)
    }

    /// Joins a group that reads `topic`. The topic must be one that the principal may describe, so that the answer
    /// concerns the group.
    fn joins(&self, user: &str, group: &str, topic: &str) -> Said {
        let mut config = self.client(user);
        config.set("group.id", group).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[&format!("{PREFIX}.{topic}")]).unwrap();
        let is_member = |_: &Polled<'_>| consumer.assignment().is_ok_and(|assigned| assigned.count() > 0);
        answered(&consumer, Refusal::GroupAuthorizationFailed, is_member)
    }
}

type Polled<'a> = Option<Result<BorrowedMessage<'a>, KafkaError>>;

/// Polls until `done`, or until the expected refusal. Other errors do not count: the client looks for a group beside
/// the records, and a connection may be lost.
fn answered(consumer: &BaseConsumer, refusal: RDKafkaErrorCode, done: impl Fn(&Polled<'_>) -> bool) -> Said {
    let (until, mut last) = (Instant::now() + LIMIT, Said::Other("no answer".to_owned()));
    while Instant::now() < until {
        let polled = consumer.poll(Duration::from_millis(100));
        if done(&polled) {
            return Said::Done;
        }
        if let Some(Err(error)) = &polled {
            last = Said::of(error, refusal);
        }
        if last == Said::Denied {
            break;
        }
    }
    last
}

/// The rights in the table of `deploy/kafka/README.md`.
fn may_read(user: &str, topic: &str) -> bool {
    match user {
        "processor" => topic != "events",
        "reader" => matches!(topic, "events" | "alerts"),
        _ => false,
    }
}

fn may_write(user: &str, topic: &str) -> bool {
    user == "processor" || (user == "collector" && topic == "raw")
}

/// Kafka's answers to a principal that differ from the table.
fn differences(bench: &Bench, user: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, said: Said, allowed: bool| {
        if said != (if allowed { Said::Done } else { Said::Denied }) {
            wrong.push(format!("{user} {what}: {said:?}"));
        }
    };
    for topic in TOPICS {
        expect(&format!("reads {topic}"), bench.reads(user, topic), may_read(user, topic));
        expect(&format!("writes {topic}"), bench.writes(user, topic), may_write(user, topic));
    }
    let is_processor = user == "processor";
    expect("takes a processor's transactions", bench.fences(user), is_processor);
    let (group, topic) = (format!("{PREFIX}-normalizer"), if user == "reader" { "events" } else { "raw" });
    expect("joins the processors' group", bench.joins(user, &group, topic), is_processor);
    wrong
}

#[test]
fn each_principal_does_its_work_and_nothing_else() {
    let Some(broker) = or_skip("each_principal_does_its_work", KafkaTestbed::start_secure()) else { return };
    let bench = Bench { broker, folder: tempfile::tempdir().unwrap() };
    let administrator = bench.folder.path().join("administrator.toml");
    let address = bench.broker.bootstrap();
    let text = format!(
        "topic_prefix = '{PREFIX}'\n[topics]\nraw_partitions = 1\n[kafka]\n'bootstrap.servers' = '{address}'\n"
    );
    std::fs::write(&administrator, text).unwrap();
    run("wulog-processor", &["topics".as_ref(), "create".as_ref(), "--config".as_ref(), administrator.as_path()])
        .expect_success();

    let began = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let granted = Command::new(root.join("../deploy/kafka/acls.sh"))
        .args(["--bootstrap-server", address])
        .env("PREFIX", PREFIX)
        .env("KAFKA_ACLS", format!("{} acls", root.join("kafka/bin/tool.sh").display()))
        .output()
        .unwrap();
    assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
    eprintln!("acls.sh took {:?}", began.elapsed());

    // All principals do their work: a line becomes an event, and the reader sees it.
    let log = bench.folder.path().join("WindowsUpdate.log");
    std::fs::write(&log, "2023/03/01 22:19:01.8143606 1132 4 Agent a line with rights\n").unwrap();
    let state = bench.folder.path().join("state");
    let collector = format!("state_dir = '{}'\n---\n[[input]]\npaths = ['{}']\n", state.display(), log.display());
    let start = |program: &str, config: &Path| Running::start(program, &["run".as_ref(), "--config".as_ref(), config]);
    let collector = start("wulog-collector", &bench.config("collector", &collector));
    let topics = "---\n[topics]\nraw_partitions = 1\n";
    let mut processor = start("wulog-processor", &bench.config("processor", &format!("instance = 'one'\n{topics}")));
    let has_event = || {
        let events = bench.broker.read_topic(&format!("{PREFIX}.events"));
        events
            .iter()
            .any(|event| String::from_utf8_lossy(event.value.as_deref().unwrap_or_default()).contains("with rights"))
    };
    processor.until("the line is an event", LIMIT, |_| has_event());
    let reader = bench.config("reader", topics);
    run("wulog-processor", &["alerts".as_ref(), "list".as_ref(), "--config".as_ref(), reader.as_path()])
        .expect_success();
    // A stop writes snapshots, which needs the rights on `state`.
    for running in [collector, processor] {
        let ended = running.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("was refused"), "{}", ended.stderr);
    }

    // Side by side, since each question waits for a login over TLS.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let users = ["collector", "processor", "reader"].map(|user| {
            scope.spawn({
                let bench = &bench;
                move || differences(bench, user)
            })
        });
        users.into_iter().flat_map(|user| user.join().unwrap()).collect()
    });
    assert_eq!(wrong, Vec::<String>::new(), "Kafka's answer differs from the table");
    assert_eq!(
        bench.joins("reader", &format!("{PREFIX}-reader-siem"), "events"),
        Said::Done,
        "a group of the reader's own"
    );
}
