"""Open Cybersecurity Schema Framework: the schema that schema.ocsf.io exports, from PyPI's ocsf-json-schema."""
import datetime
import re

from ecs import is_time
from ocsf_json_schema import get_ocsf_schema

# The version of the schema, and so the one that documents must name.
VERSION = "1.8.0"

# An id of this value has no caption of its own: the attribute beside it has the word of the source.
OTHER = "99"


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


# The types that the schema does not define by another one.
PRIMITIVES = {
    "string_t": lambda value: isinstance(value, str),
    "integer_t": is_integer,
    "long_t": is_integer,
    "float_t": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean_t": lambda value: isinstance(value, bool),
}


class Ocsf:
    """Finds the errors of documents in OCSF."""

    def __init__(self):
        schema = get_ocsf_schema(version=VERSION)
        self.objects = schema["objects"]
        self.types = schema["dictionary"]["types"]["attributes"]
        self.classes = {definition["uid"]: definition for definition in schema["classes"].values()}

    def errors(self, document):
        """What is wrong with a document, one sentence each."""
        uid = document.get("class_uid")
        definition = self.classes.get(uid) if is_integer(uid) else None
        if definition is None:
            yield f"class_uid: {uid!r} is not a class"
            return
        metadata = document.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        if metadata.get("version") != VERSION:
            yield f"metadata.version: {metadata.get('version')!r}, but the definitions are of {VERSION}"
        profiles = metadata.get("profiles", [])
        profiles = profiles if isinstance(profiles, list) else []
        for profile in profiles:
            if profile not in definition["profiles"]:
                yield f"metadata.profiles: {definition['name']} has no profile {profile!r}"
        yield from self.object_errors("", definition, document, profiles)
        if is_integer(document.get("activity_id")) and document.get("type_uid") != uid * 100 + document["activity_id"]:
            yield f"type_uid: {document.get('type_uid')!r} is not class_uid * 100 + activity_id"

    def object_errors(self, prefix, definition, value, profiles):
        """What is wrong with an object of a class or of an object's definition."""
        where = prefix.rstrip(".") or "document"
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is not an object"
            return
        if not definition["attributes"]:
            return  # the type `object`, which may hold anything
        attributes = {
            name: attribute
            for name, attribute in definition["attributes"].items()
            if not attribute.get("profiles") or any(profile in profiles for profile in attribute["profiles"])
        }
        for name, inner in value.items():
            if name not in attributes:
                profile = ", with the profiles of the document" if name in definition["attributes"] else ""
                yield f"{prefix}{name}: {definition['name']} has no such attribute{profile}"
            else:
                if "@deprecated" in attributes[name]:
                    yield f"{prefix}{name}: deprecated since OCSF {attributes[name]['@deprecated']['since']}"
                yield from self.attribute_errors(prefix + name, attributes[name], inner, profiles)
                yield from caption_errors(prefix, name, attributes[name], value)
                yield from time_errors(prefix, name, value)
        for name, attribute in attributes.items():
            if attribute["requirement"] == "required" and name not in value:
                yield f"{prefix}{name}: {definition['name']} requires this attribute"
        constraints = definition.get("constraints") or {}
        for rule, names in constraints.items():
            count = sum(name in value for name in names)
            if (rule == "at_least_one" and count == 0) or (rule == "just_one" and count != 1):
                yield f"{where}: {rule.replace('_', ' ')} of {', '.join(names)} must be there, not {count}"

    def attribute_errors(self, path, attribute, value, profiles):
        """What is wrong with the value of one attribute."""
        if attribute["type"] == "json_t":
            return  # any JSON
        is_array = attribute.get("is_array", False)
        if isinstance(value, list) != is_array:
            yield f"{path}: OCSF wants {'an array' if is_array else 'one value'}"
            return
        for item in value if is_array else [value]:
            if attribute["type"] == "object_t":
                yield from self.object_errors(path + ".", self.objects[attribute["object_type"]], item, profiles)
            else:
                yield from self.value_errors(path, attribute, item)

    def value_errors(self, path, attribute, value):
        """What is wrong with a text or a number."""
        kind = attribute["type"]
        definition = self.types[kind]
        if not PRIMITIVES[definition.get("type", kind)](value):
            yield f"{path}: {value!r} is not of type {kind}"
            return
        # An enumeration has its numbers as text, too.
        if "enum" in attribute and str(value) not in attribute["enum"]:
            yield f"{path}: {value!r} is not an allowed value"
        if "max_len" in definition and len(value) > definition["max_len"]:
            yield f"{path}: {len(value)} characters, at most {definition['max_len']}"
        if "range" in definition and not definition["range"][0] <= value <= definition["range"][1]:
            yield f"{path}: {value} is not in the range {definition['range']}"
        if "regex" in definition and not re.search(definition["regex"], value):
            yield f"{path}: {value!r} has not the form of {kind}"
        if kind == "datetime_t" and not is_time(value):
            yield f"{path}: {value!r} is not a time of RFC 3339"


def caption_errors(prefix, name, attribute, value):
    """The attribute beside an id, its sibling, has the caption of the id."""
    sibling, number = attribute.get("sibling"), str(value[name])
    caption = attribute.get("enum", {}).get(number, {}).get("caption")
    if sibling in value and caption and number != OTHER and value[sibling] != caption:
        yield f"{prefix}{sibling}: {value[sibling]!r}, but {name} {number} is {caption!r}"


def time_errors(prefix, name, value):
    """A time in milliseconds and the same time as text, which has `_dt` behind its name, agree."""
    text = value.get(f"{name}_dt")
    if not is_integer(value[name]) or not is_time(text):
        return
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    millis = (datetime.datetime.fromisoformat(text) - epoch) // datetime.timedelta(milliseconds=1)
    if millis != value[name]:
        yield f"{prefix}{name}: {value[name]}, but {name}_dt is {millis} ms after 1970"
