//! Orders of operators: acknowledgements, silences and notes, and the part of a document that repeats them.
//!
//! An order is a signal, so a replay of the signals repeats it. An order moves no clock, since the operator's machine
//! may be wrong about the time.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Alert, Handling, Note, State, Transition, UtcTime};
use wulog_schemas::handling::{Order, OrderKind, Scope};
use wulog_schemas::hresult::Family;

use super::{Detector, factors};
use crate::machine::Output;

/// Most orders that are kept; the oldest gives way. Operators write some a day, and most orders end with their
/// incident.
const ORDERS_MAX: usize = 1_000;
/// Most notes of one incident in a document.
const NOTES_MAX: usize = 20;
/// Most silences of one incident in a document.
const SILENCES_MAX: usize = 20;
/// Most characters of a name and of a reason, since every document of the incident repeats them.
const BY_CHARS_MAX: usize = 100;
const WHY_CHARS_MAX: usize = 500;

/// An order as a snapshot holds it: without the optional fields that the JSON leaves out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Received {
    action: OrderKind,
    incident: Option<String>,
    family: Option<Family>,
    label: Option<String>,
    update: Option<String>,
    by: String,
    at: i64,
    until: Option<i64>,
    why: String,
}

/// The orders in force, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Orders {
    orders: VecDeque<Received>,
}

impl Received {
    fn of(order: &Order, at: i64) -> Received {
        let cut = |text: &str, chars_max: usize| text.chars().take(chars_max).collect();
        let Scope { incident, family, label, update } = order.scope.clone();
        Received {
            action: order.action,
            incident,
            family,
            label,
            update,
            by: cut(&order.by, BY_CHARS_MAX),
            at,
            until: order.until,
            why: cut(&order.why, WHY_CHARS_MAX),
        }
    }

    /// Whether the document fits every given part of the scope.
    fn covers(&self, alert: &Alert) -> bool {
        let is_it = |id: &String| alert.id == *id || alert.related.merged_from.contains(id);
        let has_label = |label: &String| {
            alert.common_factors.iter().any(|factor| format!("{}={}", factor.dimension, factor.value) == *label)
        };
        let fails_at = |update: &String| {
            let subject = format!("update:{}", update.to_ascii_lowercase());
            alert.subjects.iter().any(|count| count.subject == subject)
                || alert.common_factors.iter().any(|factor| {
                    matches!(factor.dimension.as_str(), "update" | "kb") && factor.value.eq_ignore_ascii_case(update)
                })
        };
        !self.is_for_all()
            && self.incident.as_ref().is_none_or(is_it)
            && self.family.is_none_or(|family| alert.families.contains(&family))
            && self.label.as_ref().is_none_or(has_label)
            && self.update.as_ref().is_none_or(fails_at)
    }

    fn is_for_all(&self) -> bool {
        self.incident.is_none() && self.family.is_none() && self.label.is_none() && self.update.is_none()
    }

    fn same_scope(&self, other: &Received) -> bool {
        let scope =
            |order: &Received| (order.incident.clone(), order.family, order.label.clone(), order.update.clone());
        scope(self) == scope(other)
    }

    fn note(&self) -> Note {
        Note { by: self.by.clone(), at: UtcTime(self.at), until: self.until.map(UtcTime), why: self.why.clone() }
    }
}

impl Orders {
    fn add(&mut self, received: Received) {
        if received.action == OrderKind::Clear {
            self.orders.retain(|order| order.action == OrderKind::Note || !order.same_scope(&received));
            return;
        }
        if self.orders.len() >= ORDERS_MAX {
            self.orders.pop_front();
        }
        self.orders.push_back(received);
    }

    /// The orders in force for the incident of `alert`, at the log time of the document.
    pub(super) fn handling_of(&self, alert: &Alert) -> Handling {
        let now = alert.time.updated.0;
        let in_force = |order: &&Received| order.until.is_none_or(|until| until > now) && order.covers(alert);
        let of = |action: OrderKind| {
            self.orders.iter().filter(move |order| order.action == action).filter(in_force).map(Received::note)
        };
        let newest = |mut notes: Vec<Note>, most: usize| notes.split_off(notes.len().saturating_sub(most));
        Handling {
            acknowledged: of(OrderKind::Acknowledge).next_back(),
            silenced: newest(of(OrderKind::Silence).collect(), SILENCES_MAX),
            notes: newest(of(OrderKind::Note).collect(), NOTES_MAX),
        }
    }

    /// Drops the orders without an end time for an incident that has ended: if the incident is reopened, it is news.
    pub(super) fn end_with(&mut self, alert: &Alert) {
        if alert.state != State::Open {
            self.orders.retain(|order| order.incident.as_ref() != Some(&alert.id) || order.until.is_some());
        }
    }
}

impl Detector {
    /// Takes an order, and writes a document of each open incident that it covers.
    pub(super) fn handle(&mut self, order: &Order, at: i64, out: &mut Vec<Output>) {
        let received = Received::of(order, at);
        self.state.orders.add(received.clone());
        for key in self.state.incidents.keys() {
            let incident = &self.state.incidents[key];
            // An operator cannot mean an incident that has no document yet.
            if incident.is_open() && incident.seq > 0 {
                let before = incident.clone();
                let mut written = Vec::new();
                // The hosts are only compared: an order is no reason to release hosts.
                let comparison = factors::compare(incident, self.view());
                self.write_document(key, Transition::Handled, comparison, &mut written);
                let covered = |output: &Output| {
                    serde_json::from_slice::<Alert>(&output.value).is_ok_and(|alert| received.covers(&alert))
                };
                if written.iter().any(covered) {
                    out.append(&mut written);
                } else {
                    self.state.incidents[key] = before;
                }
            }
        }
        self.handle_warnings(|alert| received.covers(alert), out);
    }
}
