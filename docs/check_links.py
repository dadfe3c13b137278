#!/usr/bin/env python3
"""Checks the Markdown documents and the comments of this repository; exits with 1 and one line per finding if any is wrong.

In every .md file: relative links name an existing file, and an anchor names a heading of that file.
No line is longer than 120 characters, tables and links apart. In the files of the top level and of docs/ no word to
avoid appears.
Fenced and indented code, tables and link targets are excepted from length and words. `<!-- words to avoid: off -->`
and `... on -->` surround the places that must quote such words.
In the comments of .rs files no word to avoid appears, nor in the messages of the programs.
A file `NAME.rs` in backticks exists.
In docs/troubleshooting.md: each message of a first column stands in the code; `...` is any text.
In docs/SUMMARY.md: each item is one link, no document is listed twice, and every document of docs/ is listed, as is
every document that a listed one links to. Needs the standard library only.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LENGTH_MAX = 120

# Phrase -> the term to use instead; docs/style.md explains the choice.
AVOID = {
    r"pass(es|ed|ing)? over": "skip",
    r"(made|make|makes|making) anew": "recreate",
    r"(write|writes|written|writing|wrote) anew": "rewrite",
    r"one and the same": "the same",
    r"(told|found|read|detected) by (themselves|itself)": "detected, automatically",
    r"is no [a-z]+ of ours": "name the kind of thing",
    r"none of ours": "name the kind of thing",
    r"no good": "invalid",
    r"(is|are) fine": "valid",
    r"twins?": "duplicate",
    r"(write|writes|wrote|written|writing) over": "overwrite",
    r"(has|have|had) piled up": "backlog",
    r"nobody (hears|will hear) of": "name what is missing",
    r"what is (known|seen|told|read|left|given|kept|lost|cut|refused)": "name the thing",
    r"are told of": "are reported",
    r"is told of": "is reported",
}
AVOID = {re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE): term for phrase, term in AVOID.items()}


COMMENT = re.compile(r"^\s*//[/!]?(?: (.*))?$")
FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")


def files(pattern):
    """All files of a pattern that git tracks or would track, so that build output is left out."""
    # In a container of CI another user may own the checkout, which git refuses without this setting.
    trust = f"safe.directory={ROOT}"
    command = ["git", "-c", trust, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return sorted({ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()})


def prose(text):
    """(number, line) of each line outside of fenced and indented code."""
    fence, blank = None, True
    for number, line in enumerate(text.splitlines(), 1):
        mark = FENCE.match(line)
        if fence:
            if mark and mark.group(1).startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
            continue
        if mark:
            fence = mark.group(1)
            continue
        indented = line.startswith("    ") and blank
        # Within an indented block `blank` stays true, so each of its lines counts as code.
        blank = indented or not line.strip() or bool(HEADING.match(line))
        if not indented:
            yield number, line


def anchors(path, known={}):
    """The anchors of a file, as GitHub and mdBook make them of its headings."""
    if path not in known:
        found, count = set(), {}
        for _, line in prose(path.read_text(encoding="utf-8")):
            heading = HEADING.match(line)
            if heading:
                text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1))
                slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
                again = count.get(slug, 0)
                count[slug] = again + 1
                found.add(f"{slug}-{again}" if again else slug)
            found.update(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", line))
        known[path] = found
    return known[path]


def wrong_link(path, target):
    """Why a link of this file leads nowhere, or None."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
        return None
    name, _, anchor = unquote(target).partition("#")
    goal = (path.parent / name).resolve() if name else path
    if not goal.is_relative_to(ROOT):
        return f"link {target} leads out of the repository"
    if not goal.exists():
        return f"link {target}: no such file"
    if anchor and goal.suffix == ".md" and anchor not in anchors(goal):
        return f"link {target}: {goal.relative_to(ROOT)} has no such heading"
    return None


def avoidable(text):
    """Each word to avoid in a text, with the term to use instead."""
    for phrase, term in AVOID.items():
        if found := phrase.search(text):
            yield f'"{found.group()}": {term}'


def findings(path):
    """(line number, what is wrong) for each finding in a file."""
    text = path.read_text(encoding="utf-8")
    parent = path.relative_to(ROOT).parent
    is_ours = parent == Path(".") or parent.parts[0] == "docs"
    may_quote = False
    for number, line in prose(text):
        bare = re.sub(r"`[^`]*`", "", line)
        for target in LINK.findall(bare) + REFERENCE.findall(bare):
            if why := wrong_link(path, target):
                yield number, why
        if "<!-- words to avoid: off -->" in line:
            may_quote = True
        elif "<!-- words to avoid: on -->" in line:
            may_quote = False
        readable = LINK.sub("", line)
        if len(line) > LENGTH_MAX and len(readable) > LENGTH_MAX and not line.lstrip().startswith("|"):
            yield number, f"{len(line)} characters, at most {LENGTH_MAX}"
        if is_ours and not may_quote:
            yield from ((number, why) for why in avoidable(bare))


def missing_files(path, names):
    """(line number, what is wrong) for each Rust file in backticks that the repository does not have."""
    for number, line in prose(path.read_text(encoding="utf-8")):
        for name in re.findall(r"`([\w./-]+\.rs)`", line):
            if "NAME" not in name and name not in names and not any(known.endswith("/" + name) for known in names):
                yield number, f"no file `{name}`"


def comments(path):
    """(line number, what is wrong) for each word to avoid in the comments of a Rust file; code in them is excepted."""
    fence = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        comment = COMMENT.match(line)
        text = (comment.group(1) or "") if comment else ""
        fence = bool(comment) and fence != text.lstrip().startswith("```")
        bare = "" if fence else re.sub(r"`[^`]*`", "", text)
        yield from ((number, why) for why in avoidable(bare))


def messages(path):
    """(line number, what is wrong) for each word to avoid in the string literals of a Rust file."""
    text = path.read_text(encoding="utf-8")
    for literal in re.finditer(r'"((?:[^"\\\n]|\\.|\\\n)*)"', text):
        message = re.sub(r"\\\n\s*", "", literal.group(1))
        number = text.count("\n", 0, literal.start()) + 1
        yield from ((number, why) for why in avoidable(message))


def code():
    """The source of both binaries and of the crates that they share, with continued string literals and escaped quotes as they are printed."""
    crates = [ROOT / "collector", ROOT / "processor", *sorted((ROOT / "schemas/crates").iterdir())]
    sources = [path for crate in crates for path in sorted((crate / "src").rglob("*.rs"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    return re.sub(r"\\\n\s*", "", text).replace('\\"', '"')


def missing_messages(path):
    """(line number, what is wrong) for each documented message that the code does not hold any more."""
    source = code()
    for number, line in prose(path.read_text(encoding="utf-8")):
        for message in re.findall(r"^\| `([^`]+)` \|", line):
            lost = [part.strip() for part in message.split("...") if part.strip() and part.strip() not in source]
            if lost:
                yield number, f"no message of the code holds {lost[0]!r}"


def wrong_summary(summary, paths):
    """(line number, what is wrong) for each item that mdBook refuses and each document that the book leaves out."""
    def links(path):
        relative = (target.partition("#")[0] for target in LINK.findall(path.read_text(encoding="utf-8")))
        return [(path.parent / target).resolve() for target in relative if target.endswith(".md")]

    text = summary.read_text(encoding="utf-8")
    for item in re.finditer(r"^[ \t]*- (.*(?:\n[ \t]+[^-\s].*)*)", text, re.MULTILINE):
        if not LINK.fullmatch(re.sub(r"\s*\n\s*", " ", item.group(1))):
            yield text.count("\n", 0, item.start()) + 1, "an item is not exactly one link"
    listed = links(summary)
    for path in sorted({path for path in listed if listed.count(path) > 1}):
        yield 1, f"{path.relative_to(ROOT)} is listed twice"
    for path in paths:
        if path.is_relative_to(summary.parent) and path != summary and path not in listed:
            yield 1, f"{path.relative_to(ROOT)} is not listed"
    for path in listed:
        for goal in links(path):
            if goal not in listed:
                yield 1, f"{goal.relative_to(ROOT)} is not listed, but {path.relative_to(ROOT)} links to it"


def main():
    paths = files("*.md")
    sources = files("*.rs")
    found = [(path, *finding) for path in paths for finding in findings(path)]
    troubleshooting, summary = ROOT / "docs/troubleshooting.md", ROOT / "docs/SUMMARY.md"
    found += [(troubleshooting, *finding) for finding in missing_messages(troubleshooting)]
    found += [(summary, *finding) for finding in wrong_summary(summary, paths)]
    names = {path.relative_to(ROOT).as_posix() for path in sources}
    # The log of changes and decisions of the past name files as they were.
    present = [path for path in paths if path.name != "CHANGELOG.md"]
    found += [(path, *finding) for path in present for finding in missing_files(path, names)]
    found += [(path, *finding) for path in sources for finding in comments(path)]
    found += [(path, *finding) for path in sources if "src" in path.parts for finding in messages(path)]
    wrong = [f"{path.relative_to(ROOT)}:{number}: {why}" for path, number, why in found]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{len(paths)} documents, {len(sources)} sources, {len(wrong)} findings")
    sys.exit(bool(wrong) or not paths)


if __name__ == "__main__":
    main()
