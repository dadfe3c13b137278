#!/usr/bin/env python3
"""Writes ecs.json: what the Elastic Common Schema says about the fields that wulog's events have.

usage: reduce_ecs.py ECS_FLAT_YML

ECS_FLAT_YML is generated/ecs/ecs_flat.yml of github.com/elastic/ecs at tag v9.4.0. The names of the fields come from
schemas/json/event.schema.json, so run this script again when an event gets a new field. For a new version of ECS change
RELEASE too. The script exits with 1, and writes nothing, if ECS lacks a field that is not in a namespace of our own.
"""
import hashlib
import json
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
EVENT_SCHEMA = HERE.parent.parent / "schemas/json/event.schema.json"

RELEASE = {
    "version": "9.4.0",
    "source": "github.com/elastic/ecs, generated/ecs/ecs_flat.yml, tag v9.4.0",
    "commit": "354fd8d0ca99faa15405d1ea1d3bb396724d3e5a",
    "sha256": "f2c78b7c68503d42f5713ebea63fbfafbbeb7056f0d3ec7208c9cc2202ba7d8f",
    "licence": "Apache-2.0, Copyright 2018-2021 Elasticsearch B.V.; see NOTICE",
    "changes": "reduce_ecs.py kept the fields of wulog's events, and of each field the type and its restrictions",
}

# ECS leaves these to its users: `wu` is wulog's namespace.
OURS = "wu"


def names(schema, node, prefix=""):
    """The dotted names of all fields that a JSON Schema describes."""
    for branch in node.get("anyOf", []):
        yield from names(schema, branch, prefix)
    if reference := node.get("$ref"):
        yield from names(schema, schema["$defs"][reference.rpartition("/")[2]], prefix)
    elif properties := node.get("properties"):
        for name, inner in properties.items():
            if prefix or name != OURS:
                yield from names(schema, inner, f"{prefix}.{name}" if prefix else name)
    elif node.get("type") != "null" and "anyOf" not in node:
        yield prefix


def reduced(field):
    """What restricts the values of a field."""
    if "pattern" in field:
        sys.exit(f"{field['flat_name']} has a pattern, which ecs.py does not check yet")
    kept = {"type": field["type"]}
    if field.get("required"):
        kept["required"] = True
    if "array" in field["normalize"]:
        kept["array"] = True
    if "object_type" in field:
        kept["values_type"] = field["object_type"]
    if allowed := field.get("allowed_values"):
        kept["allowed"] = [value["name"] for value in allowed]
        types = {value["name"]: value["expected_event_types"] for value in allowed if "expected_event_types" in value}
        if types:
            kept["event_types"] = types
    elif "expected_values" in field:
        kept["allowed"] = field["expected_values"]
    return kept


def main(upstream):
    content = Path(upstream).read_bytes()
    if hashlib.sha256(content).hexdigest() != RELEASE["sha256"]:
        sys.exit(f"{upstream} is not {RELEASE['source']}: its SHA-256 differs")
    flat = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema = json.loads(EVENT_SCHEMA.read_text(encoding="utf-8"))
    used = sorted(set(names(schema, schema)) | {name for name, field in flat.items() if field.get("required")})
    if unknown := [name for name in used if name not in flat]:
        sys.exit(f"ECS {RELEASE['version']} has no field {', '.join(unknown)}")
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in RELEASE.items()]
    fields = [f"    {json.dumps(name)}: {json.dumps(reduced(flat[name]))}" for name in used]
    lines.append('  "fields": {\n' + ",\n".join(fields) + "\n  }")
    (HERE / "ecs.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"ecs.json: {len(used)} of {len(flat)} fields of ECS {RELEASE['version']}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
