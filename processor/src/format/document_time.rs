//! The event time of a finished document, in any of the formats.

use serde::Deserialize;
use serde_json::Number;

use super::time::Instant;

/// The fields that hold the event time in the formats.
#[derive(Deserialize)]
struct TimeFields<'a> {
    /// ECS.
    #[serde(rename = "@timestamp", borrow, default)]
    timestamp: Option<std::borrow::Cow<'a, str>>,
    /// OCSF: milliseconds. Splunk's envelope: seconds.
    #[serde(default)]
    time: Option<Number>,
    /// Splunk's envelope only.
    #[serde(default)]
    sourcetype: Option<serde::de::IgnoredAny>,
    /// OTLP.
    #[serde(rename = "resourceLogs", default)]
    resource_logs: Vec<TimedResourceLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimedResourceLogs {
    #[serde(default)]
    scope_logs: Vec<TimedScopeLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimedScopeLogs {
    #[serde(default)]
    log_records: Vec<TimedLogRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimedLogRecord {
    #[serde(default)]
    time_unix_nano: Option<String>,
}

/// The event time of a document in milliseconds since 1970 UTC; `None` where the document has none.
pub(crate) fn event_time_ms(document: &[u8]) -> Option<i64> {
    let times: TimeFields<'_> = serde_json::from_slice(document).ok()?;
    if let Some(text) = times.timestamp {
        return Instant::of(&text).map(Instant::millis);
    }
    match (times.time, times.sourcetype) {
        #[expect(clippy::cast_possible_truncation, reason = "a year of four digits has few milliseconds")]
        (Some(secs), Some(_)) => secs.as_f64().map(|secs| ((secs * 1e6).round() as i64).div_euclid(1_000)),
        (Some(ms), None) => ms.as_i64(),
        (None, _) => {
            let mut scopes = times.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
            let record = scopes.find_map(|scope| scope.log_records.first())?;
            let nanos: i64 = record.time_unix_nano.as_ref()?.parse().ok()?;
            Some(nanos.div_euclid(1_000_000))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Format, from_ecs};
    use super::*;
    use crate::detect::DetectorConfig;
    use crate::machine::InRecord;
    use crate::normalize::NormalizerConfig;
    use crate::pipeline::Pipeline;
    use wulog_schemas::raw::{RawHeader, VERSION};
    use wulog_schemas::topic::Topic;

    /// The document of a line that was written at 2023-03-01 22:19:01.5 UTC.
    fn ecs() -> Bytes {
        let normalizer = NormalizerConfig::default();
        let mut pipeline = Pipeline::new(&normalizer, &DetectorConfig::default(), 1);
        let header = RawHeader {
            v: VERSION,
            host: "pc-1".to_owned(),
            file: "WindowsUpdate.log".to_owned(),
            end: 73,
            utc: Some(0),
            read: 1_677_709_200_000,
            ..RawHeader::default()
        };
        let line = b"2023/03/01 22:19:01.5000000 1234  5678  Agent  * START * Finding updates";
        let header = header.to_bytes();
        let record = InRecord {
            partition: 0,
            offset: 0,
            timestamp_ms: 1_677_709_200_000,
            key: b"00000000000000000000000000000001",
            header: Some(&header),
            value: line,
        };
        let mut outputs = Vec::new();
        pipeline.apply(&record, &mut outputs);
        outputs.into_iter().find(|output| output.topic == Topic::Events).unwrap().value
    }

    #[test]
    fn every_format_has_the_event_time() {
        for format in [Format::Ecs, Format::Ocsf, Format::Otlp, Format::Hec] {
            let document = from_ecs(format, ecs());
            assert_eq!(event_time_ms(&document), Some(1_677_709_141_500), "{}", String::from_utf8_lossy(&document));
        }
    }

    #[test]
    fn other_documents_have_none() {
        for document in ["", "{}", "[]", r#"{"@timestamp":"soon"}"#, r#"{"resourceLogs":[{"scopeLogs":[]}]}"#] {
            assert_eq!(event_time_ms(document.as_bytes()), None, "{document}");
        }
    }
}
