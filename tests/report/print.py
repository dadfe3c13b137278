#!/usr/bin/env python3
"""Prints report.html to PDF with a browser that reaches no network, and reads the text back.

usage: print.py CHROMIUM REPORT...      REPORT is the folder of a report
"""
import json
import re
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

WORDS = Path(__file__).resolve().parents[2] / "processor/src/postmortem/words"
# Names of the sections in the files of words, in the order of the page.
SECTIONS = ["happened", "impact", "curve", "timeline", "shared", "not_shared", "certificates", "checks", "evidence",
            "detection", "affected_list", "leaves_out", "factors_section", "decisions", "actions"]
SECS_MAX = 120
# The initiator in chromium's log of the network where a request is no page's.
NO_PAGE = "not an origin"
# An address that the page does not have, and whose site the browser itself may ask; for the controls.
ELSEWHERE = "https://fonts.googleapis.com/picture.png"


class Browser:
    """A headless browser without network."""

    def __init__(self, program: str, folder: Path):
        self.program = program
        self.folder = folder

    def printed(self, html: str) -> tuple[str, set[str]]:
        """Returns the text of the printed page, and the addresses that the browser tried to reach for it."""
        page, pdf, net = (self.folder / name for name in ("page.html", "page.pdf", "net.json"))
        page.write_text(html, encoding="utf-8")
        pdf.unlink(missing_ok=True)
        command = [self.program, "--headless", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={self.folder}/profile", "--host-resolver-rules=MAP * ~NOTFOUND",
                   f"--log-net-log={net}", "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECS_MAX, check=False)
        if done.returncode != 0 or not pdf.exists():
            sys.exit(f"the browser printed nothing: {done.stderr[-2000:]}")
        text = subprocess.run(["pdftotext", "-enc", "UTF-8", str(pdf), "-"], capture_output=True, timeout=SECS_MAX,
                              check=True).stdout.decode("utf-8")
        log = json.loads(net.read_text(encoding="utf-8", errors="replace"))
        asked = [event["params"] for event in log["events"] if "initiator" in event.get("params", {})]
        # A request of the page has the page as its initiator; the browser's own requests, to its maker, have none.
        return text, {request["url"] for request in asked
                      if request["initiator"] != NO_PAGE and not request["url"].startswith(("file:", "data:"))}


def filled(pattern: str, values: dict) -> str:
    """Returns a pattern of the words with its gaps filled: `{active} {active?host:hosts}`."""
    def text(gap: re.Match) -> str:
        name, _, forms = gap.group(1).partition("?")
        return forms.split(":")[values[name] != 1] if forms else str(values[name])
    return re.sub(r"\{([^}]*)\}", text, pattern)


def first_factor(alert: dict, words: dict) -> str:
    """Returns what a reader finds of the first factor: the thumbprint of a certificate, else dimension and value."""
    factor = alert["common_factors"][0]
    if factor["dimension"] == "certificate":
        return alert["certificates"][0]["certificate"]["sha1"]
    return f"{words['dimension_' + factor['dimension']]} {factor['value']}"


def facts(folder: Path, words: dict) -> dict[str, str]:
    """Returns what a reader must find on paper, by the name of the fact."""
    alert = json.loads((folder / "alert.json").read_text(encoding="utf-8"))
    hosts = alert["hosts"]
    return {
        "id": alert["id"],
        "first factor": first_factor(alert, words),
        "hosts": filled(words["of_active"].split(" (")[0], hosts),
        "title": f"{words['title']}: {alert['subjects'][0]['name']}",
    }


def faults(text: str, headings: list[str], facts: dict[str, str]) -> list[str]:
    """Returns what the text lacks. Headings are lines of their own in their order; facts may be broken over lines."""
    found = []
    lines = iter([line.strip() for line in text.splitlines()])
    for heading in headings:
        if not any(line == heading for line in lines):
            found.append(f"the heading {heading!r} is missing or at another place")
            break
    packed = "".join(text.split())
    return found + [f"{name} is missing: {fact}" for name, fact in facts.items() if "".join(fact.split()) not in packed]


def check(browser: Browser, folder: Path) -> str:
    html = (folder / "report.html").read_text(encoding="utf-8")
    lang = re.search(r'<html lang="(\w+)">', html).group(1)
    words = json.loads((WORDS / f"{lang}.json").read_text(encoding="utf-8"))
    headings = [words[name] for name in SECTIONS]
    written = [unescape(heading) for heading in re.findall(r"<h2[^>]*>(.*?)</h2>", html)]
    if written != headings:
        sys.exit(f"{folder}: the page has the sections {written}, this check expects {headings}")
    expected = facts(folder, words)

    text, asked = browser.printed(html)
    found = faults(text, headings, expected) + [f"the page asks for {url}" for url in asked]
    if found:
        sys.exit(f"the printed report ({lang}):\n  " + "\n  ".join(found))

    # Controls: pages that lack a section or a fact, and pages with a picture from elsewhere.
    lacking = html.replace(f"<h2>{words['leaves_out']}</h2>", "")
    lacking = lacking.replace(json.loads((folder / "alert.json").read_text(encoding="utf-8"))["id"], "wu-0")
    told = faults(browser.printed(lacking)[0], headings, expected)
    if len(told) != 2:
        sys.exit(f"control failed: a page without a section and without the id has these faults: {told}")
    picture = html.replace("<main>", f'<main><img src="{ELSEWHERE}">')
    if browser.printed(picture)[1]:
        sys.exit("the page's policy lets it load a picture from elsewhere")
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", picture)
    if ELSEWHERE not in browser.printed(free)[1]:
        sys.exit("control failed: a page without a policy is not seen to ask for a picture from elsewhere")
    return f"report.html ({lang}): {len(headings)} sections on paper, nothing loaded"


def main() -> None:
    program, *folders = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for report in folders:
            print(check(Browser(program, Path(folder)), Path(report)))


if __name__ == "__main__":
    main()
