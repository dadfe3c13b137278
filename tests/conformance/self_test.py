#!/usr/bin/env python3
"""Tests the conformance checks: valid documents are accepted, and each broken one is refused for its fault.

usage: self_test.py [--write DIR]

Each document is one of the folder valid/, most with one change of the tables below. `--write DIR` also writes the
valid and the broken documents to DIR/FORMAT.valid.jsonl and DIR/FORMAT.broken.jsonl, to compare with another checker.
"""
import copy
import io
import json
import sys
import tempfile
from pathlib import Path

import check

VALID = Path(__file__).resolve().parent / "valid"

# The value of a change that removes the field.
REMOVED = object()

RECORD = "resourceLogs.0.scopeLogs.0.logRecords.0"

# Format -> (path in the valid document, new value, part of the error that must be found).
BROKEN = {
    "ecs": [
        # unknown field
        ("event.colour", "red", "event.colour: not in ecs.json"),
        ("process.thread.state", "running", "process.thread.state: not in ecs.json"),
        ("wulog", {"form": "legacy"}, "wulog.form: not in ecs.json"),
        ("wu", "legacy", "wu: not in ecs.json"),
        ("host", "pc-0042", "host: not in ecs.json"),
        ("message", {"text": "hello"}, "message.text: not in ecs.json"),
        # missing field
        ("@timestamp", REMOVED, "@timestamp: ECS requires"),
        ("ecs", REMOVED, "ecs.version: ECS requires"),
        ("ecs.version", REMOVED, "ecs.version: ECS requires"),
        # wrong type
        ("message", 7, "message: 7 is not of type match_only_text"),
        ("message", None, "message: None is not of type match_only_text"),
        ("event.code", 0x800B0109, "is not of type keyword"),
        ("url.full", 1, "url.full: 1 is not of type wildcard"),
        ("process.pid", "952", "process.pid: '952' is not of type long"),
        ("process.pid", 952.5, "process.pid: 952.5 is not of type long"),
        ("process.pid", True, "process.pid: True is not of type long"),
        ("process.pid", 2**63, "is not of type long"),
        ("file.code_signature.trusted", "false", "is not of type boolean"),
        ("file.code_signature.trusted", 0, "is not of type boolean"),
        ("labels.site", 7, "labels.site: 7 is not of type keyword"),
        ("labels", "hamburg", "labels: 'hamburg' is not an object"),
        # arrays
        ("tags", "cert-trust", "tags: ECS wants an array"),
        ("tags", [7], "tags: 7 is not of type keyword"),
        ("tags", [["cert-trust"]], "is not of type keyword"),
        ("host.name", ["pc-0042"], "host.name: ECS wants one value"),
        ("labels", [{"site": "hamburg"}], "labels: ECS wants one value"),
        # values
        ("event.kind", "line", "event.kind: 'line' is not an allowed value"),
        ("event.outcome", "failed", "event.outcome: 'failed' is not an allowed value"),
        ("event.category", ["packages"], "event.category: 'packages' is not an allowed value"),
        ("event.type", ["update"], "event.type: 'update' is not an allowed value"),
        ("event.type", ["connection"], "event.type: 'connection' is not expected"),
        ("host.os.type", "Windows", "host.os.type: 'Windows' is not an allowed value"),
        ("ecs.version", "8.11.0", "ecs.version: '8.11.0', but the definitions are of"),
        # times
        ("@timestamp", "yesterday", "is not of type date"),
        ("@timestamp", 1305438427169, "is not of type date"),
        ("@timestamp", "2011-02-29T05:47:07.169Z", "is not of type date"),
        ("@timestamp", "2011-05-15T25:47:07.169Z", "is not of type date"),
        ("@timestamp", "2011-05-15T05:47:07.169", "is not of type date"),
        ("@timestamp", "2011-05-15", "is not of type date"),
        ("@timestamp", "2011-05-15T05:47:07.169Z!", "is not of type date"),
        ("event.created", "15.05.2011 05:47:08", "is not of type date"),
        ("file.x509.not_before", "20190816014025Z", "is not of type date"),
    ],
    "ocsf": [
        # unknown attribute
        ("colour", "red", "colour: application_lifecycle has no such attribute"),
        ("device.os.colour", "red", "device.os.colour: os has no such attribute"),
        ("metadata.loggers.0.colour", "red", "metadata.loggers.colour: logger has no such attribute"),
        ("firewall_rule", {"uid": "1"}, "firewall_rule: application_lifecycle has no such attribute, with the"),
        ("metadata.profiles", [], "device: application_lifecycle has no such attribute, with the profiles"),
        # missing attribute
        ("time", REMOVED, "time: application_lifecycle requires"),
        ("app", REMOVED, "app: application_lifecycle requires"),
        ("metadata", REMOVED, "metadata: application_lifecycle requires"),
        ("metadata.version", REMOVED, "metadata.version: metadata requires"),
        ("device.type_id", REMOVED, "device.type_id: device requires"),
        ("device.os.name", REMOVED, "device.os.name: os requires"),
        ("raw_data_hash.value", REMOVED, "raw_data_hash.value: fingerprint requires"),
        ("class_uid", REMOVED, "class_uid: None is not a class"),
        # constraints
        ("app", {"version": "3.2"}, "app: at least one of name, uid must be there"),
        ("actor", {}, "actor: at least one of"),
        ("class_uid", 3003, "document: just one of"),
        ("metadata.tags", [{"name": "site"}], "metadata.tags: at least one of value, values"),
        # wrong type
        ("message", 7, "message: 7 is not of type string_t"),
        ("message", None, "message: None is not of type string_t"),
        ("time", "1305438427169", "is not of type timestamp_t"),
        ("time", 1305438427.169, "is not of type timestamp_t"),
        ("time", True, "time: True is not of type timestamp_t"),
        ("status_code", 7, "status_code: 7 is not of type string_t"),
        ("actor.process.pid", "952", "actor.process.pid: '952' is not of type integer_t"),
        ("device", "pc-0042", "device: 'pc-0042' is not an object"),
        ("unmapped", "wu", "unmapped: 'wu' is not an object"),
        ("metadata.labels", "cert-trust", "metadata.labels: OCSF wants an array"),
        ("metadata.labels", [7], "metadata.labels: 7 is not of type string_t"),
        ("device.hostname", ["pc-0042"], "device.hostname: OCSF wants one value"),
        # values
        ("severity_id", 7, "severity_id: 7 is not an allowed value"),
        ("status_id", 3, "status_id: 3 is not an allowed value"),
        ("activity_id", 9, "activity_id: 9 is not an allowed value"),
        ("device.os.type_id", 55, "device.os.type_id: 55 is not an allowed value"),
        ("category_uid", 5, "category_uid: 5 is not an allowed value"),
        ("class_uid", 6003, "src_endpoint: api_activity requires"),
        ("class_uid", 6999, "class_uid: 6999 is not a class"),
        ("class_uid", [6002], "class_uid: [6002] is not a class"),
        ("type_uid", 600201, "type_uid: 600201 is not class_uid * 100 + activity_id"),
        ("severity", "High", "severity: 'High', but severity_id 3 is 'Medium'"),
        ("device.os.type", "Linux", "device.os.type: 'Linux', but type_id 100 is 'Windows'"),
        ("class_name", "Application Error", "class_name: 'Application Error'"),
        ("category_name", "Findings", "category_name: 'Findings'"),
        ("metadata.version", "1.7.0", "metadata.version: '1.7.0', but the definitions are of"),
        ("metadata.version", "9.9.9", "metadata.version: '9.9.9', but the definitions are of"),
        ("metadata.profiles", ["host", "datetime", "hosts"], "application_lifecycle has no profile 'hosts'"),
        ("device.ip", "10.0.0.256.1", "has not the form of ip_t"),
        ("device.mac", "00-11-22-33-44", "has not the form of mac_t"),
        ("device.network_interfaces", [{"open_ports": [{"port": 65536}]}], "65536 is not in the range [0, 65535]"),
        ("device.subnet", "1" * 43, "43 characters, at most 42"),
        ("actor.process.lineage", ["a"], "actor.process.lineage: deprecated"),
        # times
        ("time_dt", "yesterday", "has not the form of datetime_t"),
        ("time_dt", "15.05.2011 05:47:07", "has not the form of datetime_t"),
        ("time_dt", "2011-02-29T05:47:07.169Z", "is not a time of RFC 3339"),
        ("time_dt", "2011-05-15T05:47:08Z", "time: 1305438427169, but time_dt is 1305438428000"),
        ("time", 1305438427, "time: 1305438427, but time_dt is 1305438427169"),
    ],
    "otlp": [
        # unknown field
        ("colour", "red", "colour"),
        (f"{RECORD}.colour", "red", "colour"),
        (f"{RECORD}.time_unix_nano", "1305438427169000000", "time_unix_nano"),
        (RECORD, {"time_unix_nano": "1", "body": {"stringValue": "a"}}, "timeUnixNano: protobuf writes this field"),
        (f"{RECORD}.body", {"textValue": "hello"}, "textValue"),
        # missing field
        ("resourceLogs", REMOVED, "document: has no log record"),
        ("resourceLogs", [], "document: has no log record"),
        ("resourceLogs.0.scopeLogs.0.logRecords", [], "document: has no log record"),
        (RECORD, {"severityNumber": 17, "body": {"stringValue": "a"}}, "log record: has neither timeUnixNano nor"),
        (f"{RECORD}.body", REMOVED, "log record: has no body"),
        (f"{RECORD}.attributes.0.key", REMOVED, "the key '' is empty"),
        # wrong type
        ("resourceLogs", {"resource": {}}, "resourceLogs"),
        ("resourceLogs", "none", "resourceLogs"),
        (f"{RECORD}.body", "hello", "body"),
        (f"{RECORD}.body", {"stringValue": 7}, "stringValue"),
        (f"{RECORD}.body", {"stringValue": "a", "boolValue": True}, "value"),
        (f"{RECORD}.severityText", 7, "severityText"),
        (f"{RECORD}.severityText", None, "severityText: None is not what OTLP writes"),
        (f"{RECORD}.attributes.0.value.intValue", 952, "intValue: 952 instead of '952'"),
        (f"{RECORD}.attributes.0.value.intValue", "9x", "intValue"),
        (f"{RECORD}.attributes.0.value.intValue", "9223372036854775808", "intValue"),
        (f"{RECORD}.attributes.1.value.boolValue", "false", "boolValue"),
        (f"{RECORD}.attributes.2.value.arrayValue", ["cert-trust"], "arrayValue"),
        (f"{RECORD}.attributes", {"process.pid": 952}, "attributes"),
        # values
        (f"{RECORD}.severityNumber", 25, "severityNumber: 25 is not an allowed value"),
        (f"{RECORD}.severityNumber", 17.0, "severityNumber: 17.0 instead of 17"),
        (f"{RECORD}.severityNumber", "SEVERITY_NUMBER_LOUD", "severityNumber"),
        (f"{RECORD}.severityNumber", "SEVERITY_NUMBER_ERROR", "severityNumber: 'SEVERITY_NUMBER_ERROR' instead of 17"),
        (f"{RECORD}.attributes.1.key", "process.pid", "the key 'process.pid' is empty or not unique"),
        (f"{RECORD}.attributes.1.key", "", "the key '' is empty"),
        (f"{RECORD}.attributes.4.value.kvlistValue.values.0.key", "", "the key '' is empty"),
        (f"{RECORD}.traceId", "not base64!", "traceId"),
        # times
        (f"{RECORD}.timeUnixNano", "yesterday", "timeUnixNano"),
        (f"{RECORD}.timeUnixNano", "2011-05-15T05:47:07Z", "timeUnixNano"),
        (f"{RECORD}.timeUnixNano", "-1", "timeUnixNano"),
        (f"{RECORD}.timeUnixNano", "1305438427.169", "timeUnixNano"),
        (f"{RECORD}.timeUnixNano", "18446744073709551616", "timeUnixNano"),
        (f"{RECORD}.timeUnixNano", 1305438427169000000, "timeUnixNano: 1305438427169000000 instead of"),
    ],
    "hec": [
        ("colour", "red", "'colour' was unexpected"),
        ("event", REMOVED, "'event' is a required property"),
        ("event", {}, "event"),
        ("event", "hello", "event: 'hello' is not of type 'object'"),
        ("sourcetype", REMOVED, "'sourcetype' is a required property"),
        ("host", "", "host: '' should be non-empty"),
        ("time", "1305438427.169", "time: '1305438427.169' is not of type 'number'"),
        ("time", "2011-05-15T05:47:07Z", "is not of type 'number'"),
        ("fields.tid", 7, "fields.tid: 7 is not valid"),
        ("fields.process", {"id": "7"}, "fields.process"),
        ("fields.process-id", "7", "process-id"),
        ("event.process", {"pid": "952"}, "event.process.pid: '952' is not of type long"),
        ("event.@timestamp", "yesterday", "event.@timestamp: 'yesterday' is not of type date"),
        ("event.colour", "red", "event.colour: not in ecs.json"),
    ],
}

# Format -> (path in the valid document, other value that is valid too).
ACCEPTED = {
    "ecs": [
        ("@timestamp", "2023-03-01T22:19:01.814360600Z"),
        ("@timestamp", "2023-03-01T22:19:01+01:00"),
        ("event.sequence", 2**63 - 1),
        ("event.type", REMOVED),
        ("event.category", REMOVED),
        ("event", {"category": ["host", "package"], "type": ["installation"]}),
        ("labels", {}),
        ("wu.raw", ["anything", {"goes": None}]),
    ],
    "ocsf": [
        ("time_dt", "2011-05-15T05:47:07.169999900Z"),
        ("time_dt", "2011-05-15T07:47:07.169+02:00"),
        ("severity", REMOVED),
        ("device", REMOVED),
        ("device.network_interfaces", [{"name": "e0", "open_ports": [{"port": 65535}]}]),
        ("raw_data_hash", {"algorithm_id": 1, "algorithm": "MD5", "value": "00"}),
        ("unmapped", {}),
    ],
    "otlp": [
        (f"{RECORD}.timeUnixNano", REMOVED),
        (f"{RECORD}.timeUnixNano", "18446744073709551615"),
        (f"{RECORD}.severityNumber", 1),
        (f"{RECORD}.attributes", []),
        (f"{RECORD}.attributes", REMOVED),
    ],
    "hec": [("time", REMOVED), ("time", -1.5), ("fields.dest", ["a", "b"]), ("fields", REMOVED)],
}

# Lines that are refused in each format before its own rules apply.
LINES = [
    (b"", "invalid JSON"),
    (b'{"message": "hello"', "invalid JSON"),
    (b'{"message": "hello"} {}', "invalid JSON"),
    (b'["message"]', "the line is not an object"),
    (b'{"message": "a", "message": "a"}', "'message' is repeated"),
    (b'{"time": NaN}', "NaN is not JSON"),
    (b'{"time": -Infinity}', "-Infinity is not JSON"),
    (b'{"message": "\xe4"}', "invalid JSON"),
    (b'{"message": "\\ud800"}', "invalid JSON"),
]


def changed(document, path, value):
    """A copy of a document with one value set or removed."""
    document = copy.deepcopy(document)
    node, names = document, [int(name) if name.isdigit() else name for name in path.split(".")]
    for name in names[:-1]:
        node = node[name]
    if value is REMOVED:
        del node[names[-1]]
    else:
        node[names[-1]] = value
    return document


def encoded(document):
    """A document as its line."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8")


def format_failures(name, valid):
    """Documents of a format that the checks judge wrongly."""
    format_ = check.load(name)
    if errors := check.line_errors(format_, encoded(valid)):
        yield f"{name}: the valid document is refused: {errors}"
    for path, value, part in BROKEN[name]:
        errors = check.line_errors(format_, encoded(changed(valid, path, value)))
        if not any(part in error for error in errors):
            yield f"{name}: {path} = {'REMOVED' if value is REMOVED else repr(value)}: no error has {part!r}: {errors}"
    for path, value in ACCEPTED[name]:
        if errors := check.line_errors(format_, encoded(changed(valid, path, value))):
            yield f"{name}: {path} = {'REMOVED' if value is REMOVED else repr(value)}: is refused: {errors}"
    for line, part in LINES:
        errors = check.line_errors(format_, line)
        if not any(part in error for error in errors):
            yield f"{name}: {line!r}: no error has {part!r}: {errors}"


def file_failures(valid):
    """Files for which the exit code or the printed lines are wrong."""
    good, bad = encoded(valid), encoded(changed(valid, "tags", "cert-trust"))
    many = check.ERRORS_SHOWN_MAX + 5
    separators = encoded(changed(valid, "message", "one\u2028two\u0085three"))
    cases = [
        ("valid", [good, good], 0, ["FILE: ecs, 2 documents, 0 errors"]),
        ("separators of lines that only Unicode has", [separators], 0, ["FILE: ecs, 1 documents, 0 errors"]),
        ("second line", [good, bad], 1, ["FILE:2: tags: ECS wants an array", "FILE: ecs, 2 documents, 1 errors"]),
        ("invalid JSON", [good, b"{"], 1, ["FILE:2: invalid JSON", "FILE: ecs, 2 documents, 1 errors"]),
        ("many errors", [bad] * many, 1, [f"FILE:{many - 5}: ", "FILE: 5 more errors", f"FILE: ecs, {many} documents"]),
        ("no documents", [], 2, ["FILE: ecs, 0 documents, 0 errors"]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for title, lines, code, expected in cases:
            path, out = Path(folder) / "events.jsonl", io.StringIO()
            path.write_bytes(b"".join(line + b"\n" for line in lines))
            # A valid file behind or before the one in question must not hide its result.
            other = Path(folder) / "other.jsonl"
            other.write_bytes(good + b"\n")
            for paths in ([path], [path, other], [other, path]):
                found = check.check("ecs", paths, out)
                if found != code:
                    yield f"file, {title}: exit code {found} instead of {code}"
            printed = out.getvalue().replace(str(path), "FILE")
            yield from (f"file, {title}: {part!r} is not printed" for part in expected if part not in printed)
            if f"FILE:{many - 4}: " in printed:
                yield f"file, {title}: more than {check.ERRORS_SHOWN_MAX} errors are printed"


def write(folder, name, valid):
    """Writes the documents of a format to files."""
    folder.mkdir(parents=True, exist_ok=True)
    accepted = [encoded(valid)] + [encoded(changed(valid, path, value)) for path, value in ACCEPTED[name]]
    broken = [encoded(changed(valid, path, value)) for path, value, _ in BROKEN[name]]
    for kind, lines in (("valid", accepted), ("broken", broken)):
        (folder / f"{name}.{kind}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def main(folder):
    documents = {name: json.loads((VALID / f"{name}.json").read_text(encoding="utf-8")) for name in check.FORMATS}
    failures = [failure for name, valid in documents.items() for failure in format_failures(name, valid)]
    failures += file_failures(documents["ecs"])
    if folder:
        for name, valid in documents.items():
            write(Path(folder), name, valid)
    print(*failures, sep="\n", end="\n" if failures else "")
    broken = sum(map(len, BROKEN.values())) + len(LINES) * len(BROKEN)
    valid = sum(map(len, ACCEPTED.values())) + len(documents)
    print(f"self-test: {broken} broken documents, {valid} valid ones, {len(failures)} judged wrongly")
    sys.exit(bool(failures))


if __name__ == "__main__":
    if sys.argv[1:] and (sys.argv[1] != "--write" or len(sys.argv) != 3):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(sys.argv[2] if sys.argv[1:] else None)
