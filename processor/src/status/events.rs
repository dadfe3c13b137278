//! `/api/v1/events`: server-sent events with a version counter. A page that shows another version is out of date.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::sync::watch;

use super::{Status, api};

/// Duration of a stream, less than that of a connection: the stream ends between two events, and the browser opens
/// another.
const STREAM_MAX: Duration = Duration::from_secs(25);
/// Interval of keep-alive messages.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Minimum interval of events, so that a busy log does not make every open page load all the time.
const EVENT_EVERY: Duration = Duration::from_secs(2);
/// The delay after which a browser reconnects.
const RETRY: &str = "retry: 3000\n";

/// A stream and its state between two events.
struct Stream {
    versions: watch::Receiver<u64>,
    until: Instant,
    told: Option<u64>,
    /// Holds a slot among the streams.
    _place: StreamSlot,
}

/// A slot among the streams, which becomes free when the stream ends.
struct StreamSlot(Arc<Status>);

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.streams.add_permits(1);
    }
}

pub(super) async fn stream(State(status): State<Arc<Status>>) -> Response {
    match status.streams.try_acquire() {
        Ok(permit) => permit.forget(),
        Err(_) => return api::error(StatusCode::SERVICE_UNAVAILABLE, "too many streams of events; load pages instead"),
    }
    let stream = Stream {
        versions: status.version.subscribe(),
        until: Instant::now() + STREAM_MAX,
        told: None,
        _place: StreamSlot(Arc::clone(&status)),
    };
    let body = Body::from_stream(unfold(stream, next));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn next(mut stream: Stream) -> Option<(Result<Bytes, Infallible>, Stream)> {
    if stream.told.is_some() {
        let left = stream.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        tokio::time::sleep(EVENT_EVERY.min(left)).await;
        let changed = tokio::time::timeout(ALIVE_EVERY.min(left), stream.versions.changed()).await;
        match changed {
            Ok(Ok(())) => {}
            // The process stops.
            Ok(Err(_)) => return None,
            Err(_) => return Some((Ok(Bytes::from_static(b":\n\n")), stream)),
        }
    }
    let version = *stream.versions.borrow_and_update();
    let retry = if stream.told.is_none() { RETRY } else { "" };
    stream.told = Some(version);
    Some((Ok(Bytes::from(format!("{retry}event: version\ndata: {version}\n\n"))), stream))
}
