"""OTLP logs in JSON: the message LogsData of the official package opentelemetry-proto, read and written by protobuf."""
from google.protobuf import json_format
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData, SeverityNumber

# The message of one attribute.
KEY_VALUE = "opentelemetry.proto.common.v1.KeyValue"


class Otlp:
    """Finds the errors of documents in OTLP."""

    def errors(self, document):
        """What is wrong with a document, one sentence each."""
        try:
            message = json_format.ParseDict(document, LogsData())
        except json_format.ParseError as error:
            yield str(error)
            return
        # Protobuf reads more than OTLP allows to write: original names of fields, and 64-bit numbers that are not text.
        # So the document must be what protobuf writes of the message.
        written = json_format.MessageToDict(message, use_integers_for_enums=True)
        yield from differences("", document, written)
        yield from key_errors("", message)
        scopes = [scope for group in message.resource_logs for scope in group.scope_logs]
        records = [record for scope in scopes for record in scope.log_records]
        if not records:
            yield "document: has no log record"
        for record in records:
            if record.severity_number not in SeverityNumber.values():
                yield f"severityNumber: {record.severity_number} is not an allowed value"
            if not record.time_unix_nano and not record.observed_time_unix_nano:
                yield "log record: has neither timeUnixNano nor observedTimeUnixNano"
            if not record.HasField("body"):
                yield "log record: has no body"


def differences(path, document, written):
    """Where a document is not what protobuf writes; an empty list may stand or not."""
    if isinstance(document, dict) and isinstance(written, dict):
        for name in document.keys() | written.keys():
            inner = f"{path}.{name}" if path else name
            if name not in document:
                yield f"{inner}: protobuf writes this field, but the document has another name for it"
            elif name in written:
                yield from differences(inner, document[name], written[name])
            elif document[name] != []:
                yield f"{inner}: {document[name]!r} is not what OTLP writes in JSON"
    elif isinstance(document, list) and isinstance(written, list) and len(document) == len(written):
        for number, (left, right) in enumerate(zip(document, written)):
            yield from differences(f"{path}[{number}]", left, right)
    elif document != written or type(document) is not type(written):
        yield f"{path}: {document!r} instead of {written!r}"


def key_errors(path, message):
    """Attributes have keys, and each key once in a list."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        where = f"{path}.{field.json_name}" if path else field.json_name
        items = list(value) if field.is_repeated else [value]
        if field.message_type.full_name == KEY_VALUE:
            keys = [item.key for item in items]
            for key in sorted({key for key in keys if not key or keys.count(key) > 1}):
                yield f"{where}: the key {key!r} is empty or not unique"
        for number, item in enumerate(items):
            yield from key_errors(f"{where}[{number}]" if field.is_repeated else where, item)
