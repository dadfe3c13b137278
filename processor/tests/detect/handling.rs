//! Orders of operators: documents repeat them, as long as they hold, for the incidents that they cover.

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{Machine, Output};
use wulog_schemas::alert::{Alert, State, Transition};
use wulog_schemas::handling::{Order, OrderKind, Scope};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Fact, RawPosition, Signal, VERSION};

use crate::incidents::outbreak;
use crate::world::{DAY, HOUR, START, apply, bytes, wsus_of};

const ONSET: i64 = START + 3 * DAY;

/// A detector in the middle of an outbreak, and the records after that.
struct Scene {
    detector: Detector,
    rest: std::vec::IntoIter<Vec<u8>>,
    id: String,
    now: i64,
}

fn parse(out: &[Output]) -> Vec<Alert> {
    out.iter().map(|output| serde_json::from_slice(&output.value).expect("a document")).collect()
}

impl Scene {
    fn new() -> Scene {
        let world = outbreak(200, 7, |index| wsus_of(index) == 1, ONSET + 2 * DAY, ONSET + 6 * DAY);
        let mut rest = world.records().into_iter();
        let (mut detector, mut out) = (Detector::new(&DetectorConfig::default(), 0, 1), Vec::new());
        for record in rest.by_ref() {
            apply(&mut detector, &record, &mut out);
            if !out.is_empty() {
                break;
            }
        }
        let opened = parse(&out).remove(0);
        assert_eq!(opened.transition, Transition::Opened);
        assert!(opened.handling.is_empty());
        Scene { detector, rest, id: opened.id, now: opened.time.updated.0 }
    }

    /// The documents that the detector writes because of an order.
    fn order(&mut self, action: OrderKind, scope: Scope, until: Option<i64>) -> Vec<Alert> {
        let order = Order { action, scope, by: "ann".to_owned(), until, why: "a new CA".to_owned() };
        let raw = RawPosition { partition: -1, offset: 0 };
        let mut out = Vec::new();
        let signal = bytes(&Signal { v: VERSION, log_time: self.now, raw, fact: Fact::Handling(order) });
        apply(&mut self.detector, &signal, &mut out);
        parse(&out)
    }

    fn this(&self) -> Scope {
        Scope { incident: Some(self.id.clone()), ..Scope::default() }
    }

    /// The documents until the end.
    fn rest(mut self) -> Vec<Alert> {
        let mut out = Vec::new();
        for record in self.rest.by_ref() {
            apply(&mut self.detector, &record, &mut out);
        }
        parse(&out)
    }
}

#[test]
fn an_acknowledgement_stands_in_documents_until_the_incident_ends() {
    let mut scene = Scene::new();
    let id = scene.id.clone();
    let written = scene.order(OrderKind::Acknowledge, scene.this(), None);
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].transition, written[0].seq, &written[0].id), (Transition::Handled, 2, &id));
    let note = written[0].handling.acknowledged.as_ref().unwrap();
    assert_eq!((note.by.as_str(), note.why.as_str(), note.until), ("ann", "a new CA", None));
    // A snapshot keeps the order.
    let config = DetectorConfig::default();
    scene.detector = Detector::restore(&config, 0, 1, &scene.detector.snapshot()).unwrap();
    let rest: Vec<Alert> = scene.rest().into_iter().filter(|alert| alert.id == id).collect();
    let end = rest.iter().position(|alert| alert.state == State::Resolved).expect("it was repaired");
    assert!(rest[..=end].iter().all(|alert| alert.handling.acknowledged.is_some()));
    assert!(rest[end + 1..].iter().all(|alert| alert.handling.is_empty()), "if it is reopened it is news");
}

#[test]
fn a_silence_covers_what_its_scope_names_as_long_as_it_holds() {
    let mut scene = Scene::new();
    let other = Scope { family: Some(Family::Expired), ..Scope::default() };
    assert!(scene.order(OrderKind::Silence, other, Some(scene.now + DAY)).is_empty(), "another family");
    let all = scene.order(OrderKind::Silence, Scope::default(), Some(scene.now + DAY));
    assert!(all.is_empty(), "a scope of nothing covers nothing");
    let until = scene.now + HOUR;
    let family = Scope { family: Some(Family::UntrustedRoot), ..Scope::default() };
    let written = scene.order(OrderKind::Silence, family.clone(), Some(until));
    assert_eq!(written[0].handling.silenced_until(scene.now), Some(until));
    assert_eq!(written[0].handling.silenced_until(until), None);
    let cleared = scene.order(OrderKind::Clear, family.clone(), None);
    assert!(cleared[0].handling.is_empty());
    scene.order(OrderKind::Silence, family, Some(until));
    let rest = scene.rest();
    assert!(!rest.is_empty());
    for alert in rest {
        let silenced = alert.families.contains(&Family::UntrustedRoot) && alert.time.updated.0 < until;
        assert_eq!(!alert.handling.silenced.is_empty(), silenced, "{} at {}", alert.id, alert.time.updated);
    }
}

#[test]
fn remarks_are_kept_in_order_and_bounded() {
    let mut scene = Scene::new();
    for _ in 0..25 {
        scene.order(OrderKind::Note, scene.this(), None);
    }
    let written = scene.order(OrderKind::Note, scene.this(), None);
    assert_eq!(written[0].handling.notes.len(), 20);
    assert!(
        scene
            .order(OrderKind::Note, Scope { incident: Some("wu-none".to_owned()), ..Scope::default() }, None)
            .is_empty()
    );
}
