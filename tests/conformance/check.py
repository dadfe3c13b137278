#!/usr/bin/env python3
"""Checks events that wulog has written against the definitions that other people publish for their formats.

usage: check.py FORMAT FILE...

FORMAT is ecs, ocsf, otlp or hec. A FILE has one JSON document a line. The first errors of each file are printed as
FILE:LINE: ERROR, then the number of documents and of errors. Exits with 1 if any document is wrong, and with 2 if a
file has no documents. The packages of requirements.txt must be installed; self_test.py tests the checks.
"""
import importlib
import json
import sys

# Format -> module and class; a module is loaded only for its format, since OCSF's definitions take a moment.
FORMATS = {"ecs": "Ecs", "ocsf": "Ocsf", "otlp": "Otlp", "hec": "Hec"}

# Errors printed of each file, and characters of each of these.
ERRORS_SHOWN_MAX = 20
ERROR_CHARS_MAX = 300


def unique(pairs):
    """An object from its pairs; raises ValueError if a name is repeated, since a reader would drop one value."""
    built = dict(pairs)
    if len(built) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {repeated!r} is repeated in an object")
    return built


def refuse_constant(name):
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


def parse(line):
    """The document of a line; raises ValueError if the line is no JSON object."""
    document = json.loads(line.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("the line is not an object")
    if b"\\u" in line:
        # Half of a surrogate pair cannot be encoded, which raises a ValueError too.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    return document


def line_errors(format_, line):
    """What is wrong with a line, one sentence each."""
    try:
        document = parse(line)
    except ValueError as error:
        return [f"invalid JSON: {error}"]
    return list(format_.errors(document))


def load(name):
    """The checks of a format."""
    return getattr(importlib.import_module(name), FORMATS[name])()


def check(name, paths, out=sys.stdout):
    """Checks files and returns the exit code."""
    format_, code = load(name), 0
    for path in paths:
        documents = errors = 0
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                documents += 1
                for error in line_errors(format_, line):
                    errors += 1
                    if errors <= ERRORS_SHOWN_MAX:
                        print(f"{path}:{number}: {error[:ERROR_CHARS_MAX]}", file=out)
        if errors > ERRORS_SHOWN_MAX:
            print(f"{path}: {errors - ERRORS_SHOWN_MAX} more errors are not shown", file=out)
        print(f"{path}: {name}, {documents} documents, {errors} errors", file=out)
        code = max(code, 2 if documents == 0 else int(errors > 0))
    return code


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in FORMATS:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(check(sys.argv[1], sys.argv[2:]))
