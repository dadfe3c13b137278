"""Elastic Common Schema: the fields of ecs.json, which a document nests by the dots of their names."""
import datetime
import json
import re
from pathlib import Path

DEFINITIONS = Path(__file__).resolve().parent / "ecs.json"

# The namespace that wulog adds to ECS, with a dot, since the name itself must be an object.
OURS = "wu."

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def is_time(value):
    """Whether a value is a time of RFC 3339 that exists."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        return False
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_long(value):
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_text(value):
    return isinstance(value, str)


# The types of ecs.json. A type that this table lacks ends the run at its first value.
FITS = {
    "keyword": is_text,
    "wildcard": is_text,
    "match_only_text": is_text,
    "long": is_long,
    "boolean": lambda value: isinstance(value, bool),
    "date": is_time,
}


class Ecs:
    """Finds the errors of documents in ECS."""

    def __init__(self):
        definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
        self.version = definitions["version"]
        self.fields = definitions["fields"]

    def leaves(self, node, prefix=""):
        """Dotted name and value of everything that is no object, and of fields that ECS calls objects."""
        for name, value in node.items():
            path = prefix + name
            if isinstance(value, dict) and self.fields.get(path, {}).get("type") != "object":
                yield from self.leaves(value, path + ".")
            else:
                yield path, value

    def errors(self, document):
        """What is wrong with a document, one sentence each."""
        present = dict(self.leaves(document))
        for path, value in present.items():
            if path in self.fields:
                yield from field_errors(path, self.fields[path], value)
            elif not path.startswith(OURS):
                yield f"{path}: not in ecs.json, and not in the namespace {OURS}*; see reduce_ecs.py for a new field"
        for path, field in self.fields.items():
            if field.get("required") and path not in present:
                yield f"{path}: ECS requires this field"
        if present.get("ecs.version", self.version) != self.version:
            yield f"ecs.version: {present['ecs.version']!r}, but the definitions are of {self.version}"
        yield from self.event_type_errors(present)

    def event_type_errors(self, present):
        """ECS lists for each category the types that an event of it may have."""
        expected = self.fields["event.category"]["event_types"]
        categories, types = present.get("event.category") or [], present.get("event.type") or []
        if not isinstance(categories, list) or not isinstance(types, list):
            return
        for kind in types:
            if categories and not any(kind in expected.get(str(category), []) for category in categories):
                yield f"event.type: {kind!r} is not expected for the categories {categories}"


def field_errors(path, field, value):
    """What is wrong with the value of one field."""
    is_array = field.get("array", False)
    if isinstance(value, list) != is_array:
        yield f"{path}: ECS wants {'an array' if is_array else 'one value'}"
    for item in value if isinstance(value, list) else [value]:
        if field["type"] == "object":
            yield from object_errors(path, field, item)
            continue
        if not FITS[field["type"]](item):
            yield f"{path}: {item!r} is not of type {field['type']}"
        if "allowed" in field and item not in field["allowed"]:
            yield f"{path}: {item!r} is not an allowed value"


def object_errors(path, field, value):
    """What is wrong with an object whose names are free and whose values are of one type."""
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not an object"
        return
    for name, inner in value.items():
        if not FITS[field["values_type"]](inner):
            yield f"{path}.{name}: {inner!r} is not of type {field['values_type']}"
