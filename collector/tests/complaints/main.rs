//! What users of other log shippers complain of, each a test: [`TABLE`] names for each complaint the tests that say what
//! happens here instead. Tests without a path are in this file and its neighbours.

#![cfg(not(windows))] // symbolic links, and open files that are replaced and deleted
#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "../bench/mod.rs"]
mod bench;
mod broker;
mod files;
mod state;

use std::fs;
use std::path::Path;

/// Issues, what they complain of, and the tests: `FILE::TEST`, files by their path from the crate's folder.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        "vector#25079, vector#5833, beats#38003, otel-contrib#46496",
        "a file that begins as another one is skipped",
        &["tests/complaints/files.rs::files_with_the_same_head_are_all_read"],
    ),
    (
        "vector#2701, vector#643, beats#50116",
        "small files are not read",
        &["tests/complaints/files.rs::a_file_of_a_few_bytes_is_read"],
    ),
    (
        "fluent-bit#1875, fluent-bit#4895, fluent-bit#8025, fluent-bit#11455",
        "a file id is used again: reading starts at the old file's offset",
        &["tests/complaints/files.rs::a_file_id_that_is_used_again_proves_nothing"],
    ),
    (
        "rsyslog#3918, rsyslog#1090",
        "a truncation is missed when the file grows past its old size before the next look",
        &[
            "tests/complaints/files.rs::a_truncation_is_noticed_at_any_size",
            "tests/collect.rs::a_truncated_file_begins_a_new_epoch",
        ],
    ),
    (
        "beats#39731, otel-contrib#43693",
        "copytruncate repeats or stalls",
        &[
            "tests/complaints/files.rs::copytruncate_neither_repeats_nor_stalls",
            "tests/model/known.rs::a_copy_is_no_new_file",
        ],
    ),
    (
        "fluent-bit#2110, fluent-bit#9580, vector#15885",
        "lines are lost in a rotation",
        &[
            "tests/complaints/files.rs::rotations_while_no_broker_is_there_lose_nothing",
            "tests/complaints/files.rs::a_chain_of_rotated_files_is_read_once",
            "tests/collect.rs::a_rotated_file_is_read_to_its_end",
            "tests/model/known.rs::a_rotation_while_no_collector_runs",
        ],
    ),
    (
        "vector#13193, otel-contrib#40523",
        "a rotated file is read again when it is compressed",
        &["tests/complaints/files.rs::a_compressed_file_is_not_read_as_lines"],
    ),
    (
        "otel-contrib#7593, log-courier#119",
        "an open handle blocks rotation on Windows",
        &["tests/complaints/files.rs::handles_of_quiet_files_are_closed"],
    ),
    (
        "fluent-bit#7497, fluent-bit#9321, loki#6235, beats#2500, alloy#5423",
        "UTF-16 comes out as garbage, or after a restart",
        &[
            "tests/complaints/files.rs::utf_16_is_text_after_a_restart_too",
            "tests/collect.rs::utf_16_with_a_mark_is_read",
        ],
    ),
    (
        "fluent-bit#3256",
        "the byte order mark is in the first record",
        &["tests/complaints/files.rs::a_byte_order_mark_is_no_text"],
    ),
    (
        "beats#25135, beats#3537, beats#4733",
        "a corrupt checkpoint stops the start",
        &[
            "tests/complaints/state.rs::corrupt_positions_never_stop_the_start",
            "src/checkpoint.rs::without_a_whole_one_the_start_is_not_refused",
        ],
    ),
    (
        "beats#19634",
        "a failed rename loses all positions",
        &[
            "tests/complaints/state.rs::the_other_generation_is_used",
            "src/checkpoint.rs::the_newest_whole_generation_is_read",
        ],
    ),
    (
        "beats#35893",
        "checkpoints keep the disk busy",
        &["tests/complaints/state.rs::positions_are_written_once_a_second"],
    ),
    (
        "vector#13714, otel-contrib#45120",
        "positions move while the sink is down",
        &[
            "tests/complaints/broker.rs::positions_move_only_with_deliveries",
            "src/ack.rs::only_a_contiguous_prefix_is_acknowledged",
        ],
    ),
    (
        "vector#14259",
        "of a long outage only the last five minutes arrive",
        &["tests/complaints/broker.rs::an_outage_of_days_loses_nothing"],
    ),
    ("vector#24193", "purged messages are lost", &["src/kafka/reports.rs::an_error_is_a_decision"]),
    (
        "fluent-bit#3766, fluent-bit#4271, fluent-bit#514",
        "stuck once the queue was full",
        &["tests/collect.rs::whatever_the_sink_does_every_line_arrives_in_the_end"],
    ),
    (
        "fluent-bit#2247, fluent-bit#9536, rsyslog#2586",
        "out of memory while the broker is away",
        &["tests/collect.rs::reading_stops_when_too_much_is_on_its_way"],
    ),
    (
        "vector#7277, fluent-bit#915, fluent-bit#1746",
        "lines out of order",
        &["tests/complaints/broker.rs::lines_arrive_in_order_whatever_the_broker_does"],
    ),
    (
        "rsyslog#1052, vector#18820",
        "a stop loses what is on its way",
        &["tests/complaints/broker.rs::a_stop_keeps_the_acknowledged_prefix_and_sends_the_rest_later"],
    ),
    (
        "otel-collector#15677",
        "a stop deletes the queue",
        &["tests/collect.rs::lines_written_while_the_broker_is_away_and_the_collector_restarts_arrive"],
    ),
    ("rsyslog#4111", "does not stop", &["tests/complaints/broker.rs::a_stop_ends_within_its_grace"]),
    (
        "beats#22437, beats#2945",
        "the CPU spins while the broker is away",
        &["tests/complaints/broker.rs::tries_are_few_while_the_broker_is_away"],
    ),
    ("vector#3567, beats#1457", "many files", &["tests/complaints/files.rs::ten_thousand_files_need_few_handles"]),
    (
        "librdkafka#3584",
        "a fatal error of the idempotent producer",
        &[
            "src/kafka/reports.rs::an_error_is_a_decision",
            "tests/kafka.rs::a_producer_that_fails_for_good_is_recreated",
        ],
    ),
    (
        "vector#25375, vector#1842",
        "a sink that is stuck and says nothing",
        &["tests/kafka.rs::a_producer_that_reports_nothing_is_recreated"],
    ),
    (
        "unreadable and locked files",
        "one of them stops the others, or is never tried again",
        &["tests/complaints/files.rs::an_unreadable_file_is_tried_again_and_stops_no_other"],
    ),
    (
        "a share that goes away",
        "its files are read again when it is back, or never",
        &[
            "tests/complaints/files.rs::a_share_that_comes_back_goes_on",
            "tests/collect.rs::a_file_that_vanishes_and_comes_back_goes_on",
        ],
    ),
];

/// What stands in an attribute, where a line is one.
fn attribute(line: &str) -> Option<&str> {
    line.trim().strip_prefix("#[")?.strip_suffix(']')
}

#[test]
fn every_complaint_has_its_tests() {
    for (issues, complaint, tests) in TABLE {
        assert!(!tests.is_empty(), "{issues}: {complaint}");
        for name in *tests {
            let (file, test) = name.split_once("::").unwrap();
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            let before = text.split_once(&format!("fn {test}()")).map(|(before, _)| before);
            let before = before.unwrap_or_else(|| panic!("{issues}: there is no {name}"));
            let attributes: Vec<&str> =
                before.lines().rev().skip(usize::from(!before.ends_with('\n'))).map_while(attribute).collect();
            let runs = attributes.contains(&"test") && !attributes.iter().any(|name| name.starts_with("ignore"));
            assert!(runs, "{issues}: {name} does not run: {attributes:?}");
        }
    }
}
