#!/usr/bin/env python3
"""Reads timeline.jsonl with Timesketch's own reader of uploads, and broken copies of it, which the reader must refuse.

usage: PYTHONPATH=TIMESKETCH timeline.py REPORT      REPORT is the folder of a report
"""
import io
import json
import logging
import sys
from pathlib import Path

from timesketch.lib import errors, utils


def read(rows: list[dict]) -> list[dict]:
    """Returns the rows that Timesketch takes from an upload of these."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return list(utils.read_and_validate_jsonl(io.StringIO(text)))


def accept(text: str) -> int:
    """Returns the number of rows, after the reader has accepted each of them and agreed about its time."""
    lines = text.splitlines()
    rows = [json.loads(line) for line in lines]
    taken = list(utils.read_and_validate_jsonl(io.StringIO(text)))
    if taken != rows:
        raise ValueError(f"Timesketch takes {len(taken)} of {len(rows)} rows, or changes them")
    # The reader believes a row's own `timestamp`, and computes it from `datetime` where a row has none.
    timed = read([{name: value for name, value in row.items() if name != "timestamp"} for row in rows])
    if len(timed) != len(rows):
        raise ValueError(f"Timesketch understands the datetime of {len(timed)} of {len(rows)} rows")
    for row, computed in zip(rows, timed):
        # The reader computes with floating-point seconds, whose error is below a microsecond.
        if abs(row["timestamp"] - computed["timestamp"]) > 1:
            raise ValueError(f"timestamp and datetime differ: {row}")
    return len(rows)


def main() -> None:
    # The reader logs each row that it skips; here the numbers of rows are compared.
    logging.disable()
    folder = Path(sys.argv[1])
    text = (folder / "timeline.jsonl").read_text(encoding="utf-8")
    alert = json.loads((folder / "alert.json").read_text(encoding="utf-8"))
    count = accept(text)
    # A row for each affected host and each document of the incident.
    least = alert["hosts"]["affected"] + alert["seq"]
    if count < least:
        sys.exit(f"timeline.jsonl has {count} rows; {least} hosts and documents have one each")

    rows = text.splitlines()
    broken = json.loads(rows[0])
    controls = {
        name: {key: value for key, value in broken.items() if key != name} for name in ("message", "timestamp_desc")
    }
    controls["time that is none"] = {**broken, "datetime": "soon"}
    controls["two times"] = {**broken, "datetime": "2001-01-01T00:00:00.000+00:00"}
    controls["no JSON"] = None
    for name, row in controls.items():
        line = "{" if row is None else json.dumps(row)
        try:
            accept("\n".join([line, *rows[1:]]) + "\n")
        except (RuntimeError, ValueError, errors.DataIngestionError):
            continue
        sys.exit(f"control failed: a timeline with a broken row is accepted: {name}")
    print(f"timeline.jsonl: Timesketch accepts {count} rows")


if __name__ == "__main__":
    main()
