#!/usr/bin/env python3
"""Opens hosts.csv in LibreOffice: each host has its row, umlauts are intact, and no cell is a formula or changes.

usage: spreadsheet.py HOSTS_CSV ALERTS NAME...      NAME: hosts that must be there, with names that could be formulas
"""
import csv
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
SECS_MAX = 180
# What LibreOffice asks people in a dialog, and cannot ask without a window: separator `,`, quote `"`, UTF-8. Without an
# answer, LibreOffice 7.4 takes Windows-1252 here, in spite of the byte order mark.
READING = "CSV:44,34,76"


def opened(content: bytes) -> list[list[tuple[str, bool]]]:
    """Returns the rows that LibreOffice makes of a CSV file: the text of each cell, and whether it is a formula."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hosts.csv").write_bytes(content)
        command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", f"--infilter={READING}",
                   "--convert-to", "fods", "--outdir", folder, f"{folder}/hosts.csv"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECS_MAX, check=False)
        sheet = Path(folder) / "hosts.fods"
        if done.returncode != 0 or not sheet.exists():
            sys.exit(f"LibreOffice did not open hosts.csv: {done.stdout}{done.stderr}")
        root = xml.parse(sheet).getroot()
    rows = []
    for row in root.iter(TABLE + "table-row"):
        cells = []
        for cell in row.iter(TABLE + "table-cell"):
            text = "\n".join(text_of(part) for part in cell.findall(TEXT + "p"))
            repeated = int(cell.get(TABLE + "number-columns-repeated", "1"))
            # The last cell of a row stands for the empty rest of the sheet.
            cells += [(text, cell.get(TABLE + "formula") is not None)] * min(repeated, 100)
        if any(text for text, _ in cells):
            rows.append(cells)
    return rows


def text_of(element: xml.Element) -> str:
    """Returns the text; repeated blanks and tabs are elements of their own."""
    text = element.text or ""
    for child in element:
        if child.tag == TEXT + "s":
            text += " " * int(child.get(TEXT + "c", "1"))
        elif child.tag == TEXT + "tab":
            text += "\t"
        else:
            text += text_of(child)
        text += child.tail or ""
    return text


def faults(content: bytes, expected: list[list[str]]) -> list[str]:
    """Returns what LibreOffice sees differently from the expected cells. A leading apostrophe marks a cell as text."""
    found = []
    rows = opened(content)
    if len(rows) != len(expected):
        found.append(f"{len(rows)} rows instead of {len(expected)}")
    for seen, wanted in zip(rows, expected):
        for at, want in enumerate(wanted):
            text, is_formula = seen[at] if at < len(seen) else ("", False)
            if is_formula:
                found.append(f"a formula: {want!r} is {text!r}")
            elif text.removeprefix("'") != want.removeprefix("'"):
                found.append(f"{want!r} is {text!r}")
    return found


def main() -> None:
    path, alerts, *names = sys.argv[1:]
    content = Path(path).read_bytes()
    rows = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    newest = json.loads(Path(alerts).read_text(encoding="utf-8").splitlines()[-1])
    affected = newest["hosts"]["affected"]
    if len(rows) != 1 + affected:
        sys.exit(f"hosts.csv has {len(rows) - 1} hosts, but {affected} are affected")
    # An apostrophe stands before a name that could be a formula. Blanks and tabs around a folder's name are no part of
    # the host's name.
    listed = {row[0].removeprefix("'") for row in rows}
    for name in names:
        if name.strip() not in listed:
            sys.exit(f"hosts.csv lacks the host {name!r}: {sorted(listed)}")
    found = faults(content, rows)
    if found:
        sys.exit("LibreOffice opens hosts.csv wrongly:\n  " + "\n  ".join(found[:20]))

    # Controls: the same file without the apostrophes, and in another encoding.
    without = content.replace(b"'", b"")
    if not any("a formula" in fault for fault in faults(without, rows)):
        sys.exit("control failed: cells without an apostrophe are no formulas")
    latin = content.decode("utf-8-sig").encode("cp1252")
    if not any("ß" in fault for fault in faults(latin, rows)):
        sys.exit("control failed: the host's umlauts survive a wrong encoding")
    print(f"hosts.csv: LibreOffice shows {affected} hosts, umlauts intact, no formula")


if __name__ == "__main__":
    main()
