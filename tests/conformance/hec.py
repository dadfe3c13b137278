"""Envelope of Splunk's HTTP Event Collector, by a schema of the project's own, since Splunk publishes none."""
import json
from pathlib import Path

from ecs import Ecs
from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).resolve().parent.parent.parent / "processor/tests/normalizer/formats/hec.schema.json"


class Hec:
    """Finds the errors of documents for Splunk, and of the ECS document in each."""

    def __init__(self):
        self.envelope = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
        self.ecs = Ecs()

    def errors(self, document):
        """What is wrong with a document, one sentence each."""
        for error in self.envelope.iter_errors(document):
            yield f"{'.'.join(map(str, error.absolute_path)) or 'document'}: {error.message}"
        if isinstance(document.get("event"), dict):
            for error in self.ecs.errors(document["event"]):
                yield f"event.{error}"
