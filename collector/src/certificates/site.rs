//! Asks the WSUS server for its TLS certificate, on a thread beside the collector's passes, since a server that does
//! not answer takes half a minute.

use wulog_schemas::certificate::Site;

use super::background_task::BackgroundTask;

/// A function that asks the WSUS server of this machine; `None` where the machine has no server with TLS.
pub type AskSite = fn() -> Option<Site>;

/// A certificate stays in the inventory until the server has failed to answer so many times in succession: a server
/// that restarts must not make each of its clients send two inventories.
const MISSES_MAX: usize = 4;

/// The question to the server, and its last answer.
#[derive(Debug)]
pub(crate) struct SiteQuestion {
    ask: Option<AskSite>,
    /// The running question, which WinHTTP's timeouts end.
    task: BackgroundTask<Option<Site>>,
    /// The last answer.
    answer: Option<Site>,
    /// How many times in succession the server has not answered since the last answer.
    misses: usize,
}

impl SiteQuestion {
    /// Returns a question that calls the function `ask`, or never asks.
    pub(crate) fn by(ask: Option<AskSite>) -> SiteQuestion {
        SiteQuestion { ask, task: BackgroundTask::new("wsus-site"), answer: None, misses: 0 }
    }

    /// Starts the question, unless the previous one still runs.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        self.take_answer();
        if let Some(ask) = self.ask {
            self.task.begin(ask, now_ms);
        }
    }

    /// Whether an inventory need not wait for an answer.
    pub(crate) fn is_settled(&mut self, now_ms: i64) -> bool {
        self.take_answer();
        !self.task.is_awaited(now_ms)
    }

    /// The last answer.
    pub(crate) fn answer(&self) -> Option<Site> {
        self.answer.clone()
    }

    fn take_answer(&mut self) {
        let Some(answer) = self.task.answer() else { return };
        let judged = self.answer.as_ref().filter(|before| before.trusted.is_some());
        let is_miss = judged
            .zip(answer.as_ref())
            .is_some_and(|(before, after)| after.trusted.is_none() && after.server == before.server);
        self.misses = if is_miss { self.misses + 1 } else { 0 };
        if !is_miss || self.misses >= MISSES_MAX {
            self.answer = answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::super::background_task::WAIT_MS;
    use super::*;

    const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;

    fn site(server: &str, trusted: Option<bool>) -> Option<Site> {
        Some(Site { server: server.to_owned(), trusted, ..Site::default() })
    }

    /// Asks by that function, and waits for the answer.
    fn ask(question: &mut SiteQuestion, ask: AskSite) -> Option<Site> {
        question.ask = Some(ask);
        question.begin(0);
        let begun = Instant::now();
        while !question.is_settled(0) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no answer");
            std::thread::yield_now();
        }
        question.answer()
    }

    #[test]
    fn an_answer_outlives_a_server_that_is_away_for_less_than_an_hour() {
        let mut question = SiteQuestion::by(None);
        let away: AskSite = || site("a", None);
        assert_eq!(ask(&mut question, away), site("a", None));
        assert_eq!(ask(&mut question, || site("a", Some(false))), site("a", Some(false)));
        for _ in 0..2 {
            for _ in 1..MISSES_MAX {
                assert_eq!(ask(&mut question, away), site("a", Some(false)));
            }
            assert_eq!(ask(&mut question, || site("a", Some(false))), site("a", Some(false)));
        }
        for _ in 1..MISSES_MAX {
            ask(&mut question, away);
        }
        assert_eq!(ask(&mut question, away), site("a", None));
        // The certificate of another server is not kept for this server, nor any certificate where the policy names no
        // server.
        assert_eq!(ask(&mut question, || site("a", Some(true))), site("a", Some(true)));
        assert_eq!(ask(&mut question, || site("b", None)), site("b", None));
        assert_eq!(ask(&mut question, || None), None);
    }

    #[test]
    fn a_panic_leaves_the_answer_before() {
        let mut question = SiteQuestion::by(None);
        ask(&mut question, || site("a", Some(true)));
        assert_eq!(ask(&mut question, || panic!("a fault")), site("a", Some(true)));
    }

    static SERVER: Mutex<usize> = Mutex::new(0);

    /// Answers when the test lets go of the server.
    fn slow() -> Option<Site> {
        let mut asked = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        *asked += 1;
        site("a", Some(true))
    }

    #[test]
    fn a_server_that_hangs_is_waited_for_a_minute_and_asked_by_one_thread() {
        let server = SERVER.lock().unwrap();
        let mut question = SiteQuestion::by(Some(slow));
        assert!(question.is_settled(0));
        question.begin(0);
        assert!(!question.is_settled(0) && !question.is_settled(WAIT_MS - 1));
        assert!(question.is_settled(WAIT_MS));
        assert_eq!(question.answer(), None);
        question.begin(QUARTER_HOUR_MS);
        drop(server);
        let begun = Instant::now();
        while question.task.is_under_way() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no answer");
            question.is_settled(QUARTER_HOUR_MS);
        }
        assert_eq!((question.answer(), *SERVER.lock().unwrap()), (site("a", Some(true)), 1));
    }
}
