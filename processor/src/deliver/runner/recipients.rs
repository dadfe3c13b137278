//! Documents that some recipients have and others do not. The position moves on, so that no document waits for one
//! recipient, and the lacking recipients are tried again separately.

use std::time::Instant;

use tracing::{error, info, warn};

use super::work::{LateDocument, PAUSE, Runner};
use crate::deliver::backlog::Item;
use crate::deliver::channel::{DeliveryOutcome, MissingRecipient};
use crate::deliver::set_aside::{RECIPIENT, SetAside};
use crate::log::LogError;

/// Most documents that wait for single recipients. At this number, a further document waits at the head.
const LATE_MAX: usize = 100;
/// Time after which a recipient is given up for a document: an alert that is a day late helps nobody.
const GIVEN_UP_AFTER_MS: i64 = 24 * 3_600_000;
impl Runner {
    /// Settles a document that some recipients have, and notes the other recipients.
    pub(super) fn delivered_to_some(
        &mut self,
        item: &Item,
        answer: Option<String>,
        lacking: Vec<MissingRecipient>,
        began: Instant,
    ) -> Result<(), LogError> {
        let Some(work) = &self.work else { return Ok(()) };
        let waits = lacking.iter().any(|one| one.again.is_some());
        if waits && work.late.len() >= LATE_MAX {
            let pause = lacking.iter().filter_map(|one| one.again).max();
            return self.try_later(item, &reasons(&lacking), pause);
        }
        self.recipients_refused(item, &lacking, None)?;
        if waits {
            let now_ms = self.clock.now_ms();
            let late =
                LateDocument { item: item.clone(), aside: SetAside::new(item, now_ms, None, ""), pause: PAUSE.0 };
            self.note_late(late, &lacking)?;
        }
        if answer.is_some() {
            self.metrics.delivered(began.elapsed());
        } else {
            self.metrics.failed();
        }
        let last = answer.is_some().then(|| self.last(item));
        self.settle(item, last)
    }

    /// Tries the late recipients of one document again, if their time has come.
    pub(super) fn deliver_late(&mut self) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return Ok(()) };
        // One attempt a round, since a consumer that is silent for minutes loses its partition. The head goes first,
        // unless the list of late documents is full and the head waits for room in it.
        let head_goes_first = work.backlog.len() > 0 || work.backoff.failures() > 0;
        if head_goes_first && work.late.len() < LATE_MAX {
            return Ok(());
        }
        let due = work.late.iter().position(|late| late.aside.until_ms.is_none_or(|until_ms| until_ms <= now_ms));
        let Some(mut late) = due.map(|index| work.late.remove(index)) else { return Ok(()) };
        late.pause = (late.pause * 2).min(PAUSE.1);
        let to: Vec<String> = late.aside.recipients.clone();
        let all = |why: &str, again| {
            let one =
                |recipient: &String| MissingRecipient { recipient: recipient.clone(), why: why.to_owned(), again };
            to.iter().map(one).collect::<Vec<_>>()
        };
        let pause = Some(late.pause);
        let mut lacking = match self.attempt(&late.item) {
            DeliveryOutcome::Delivered(answer) => {
                info!(channel = self.config.name, key = late.item.key(), to = to.join(", "), answer, "delivered later");
                Vec::new()
            }
            DeliveryOutcome::Partly { lacking, .. } => lacking,
            DeliveryOutcome::Retry { why, .. } | DeliveryOutcome::Barred(why) => all(&why, pause),
            DeliveryOutcome::Refused(why) => all(&why, None),
        };
        if now_ms.saturating_sub(late.aside.at_ms) >= GIVEN_UP_AFTER_MS {
            lacking.iter_mut().for_each(|one| one.again = None);
        }
        if !lacking.is_empty() {
            self.metrics.failed();
        }
        self.recipients_refused(&late.item, &lacking, Some(&to))?;
        if lacking.iter().any(|one| one.again.is_some()) {
            return self.note_late(late, &lacking);
        }
        self.channel.send_only_to(&late.item.key(), &[]);
        self.queue.note(&late.key(), None)
    }

    /// Notes the recipients that are to get a document later, and the time of the next attempt.
    fn note_late(&mut self, mut late: LateDocument, lacking: &[MissingRecipient]) -> Result<(), LogError> {
        let waiting: Vec<MissingRecipient> = lacking.iter().filter(|one| one.again.is_some()).cloned().collect();
        late.pause = waiting.iter().filter_map(|one| one.again).max().unwrap_or(late.pause).max(late.pause);
        let now_ms = self.clock.now_ms();
        let pause_ms = i64::try_from(late.pause.as_millis()).unwrap_or(i64::MAX);
        let since_ms = late.aside.at_ms;
        late.aside = SetAside::new(&late.item, since_ms, Some(now_ms.saturating_add(pause_ms)), &reasons(&waiting));
        late.aside.recipients = waiting.iter().map(|one| one.recipient.clone()).collect();
        warn!(
            channel = self.config.name,
            key = late.item.key(),
            retry_in_ms = late.pause.as_millis(),
            "not delivered to every recipient; the others do not wait: {}",
            late.aside.reason
        );
        self.queue.note(&late.key(), Some(&late.aside.to_bytes()))?;
        self.channel.send_only_to(&late.item.key(), &late.aside.recipients);
        if let Some(work) = &mut self.work {
            work.late.push(late);
        }
        Ok(())
    }

    /// Notes the recipients for whom a document is given up, and drops the notes of recipients that have it: those of
    /// `tried`, or all.
    pub(super) fn recipients_refused(
        &mut self,
        item: &Item,
        lacking: &[MissingRecipient],
        tried: Option<&[String]>,
    ) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return Ok(()) };
        for one in lacking.iter().filter(|one| one.again.is_none()) {
            error!(
                channel = self.config.name,
                key = item.key(),
                recipient = one.recipient,
                "the alert is given up for this recipient; later ones are tried again: {}",
                one.why
            );
            let note = SetAside::new(item, now_ms, None, &one.why);
            self.queue.note(&format!("{RECIPIENT}{}", one.recipient), Some(&note.to_bytes()))?;
            work.refused_recipients.insert(one.recipient.clone());
        }
        let has_it = |recipient: &&String| {
            tried.is_none_or(|tried| tried.contains(recipient))
                && lacking.iter().all(|one| one.recipient != **recipient)
        };
        let taken: Vec<String> = work.refused_recipients.iter().filter(has_it).cloned().collect();
        for recipient in taken {
            self.queue.note(&format!("{RECIPIENT}{recipient}"), None)?;
            work.refused_recipients.remove(&recipient);
        }
        Ok(())
    }
}

fn reasons(lacking: &[MissingRecipient]) -> String {
    let each = lacking.iter().map(|one| format!("{}: {}", one.recipient, one.why));
    each.collect::<Vec<_>>().join("; ")
}
