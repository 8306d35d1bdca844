"""Document ids on the wire, where every id is a string (Meteor's ``MongoID``).

An ObjectId is its 24 hex digits, a string is itself, anything else is ``~`` and JSON. A
string that could be mistaken for one of the others gets a ``-`` in front.
"""

import re
from typing import Any

import orjson

from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError

OBJECT_ID = "oid"
"""The name of the custom type for ObjectIds, as in Meteor's ``mongo-id``."""

_HEX = re.compile(r"[0-9a-f]{24}")
_MARKED = ("-", "~", "{")


class DocumentIds:
    """Writes ids for the wire, and reads them.

    ObjectIds are known by the custom type ``oid`` of ``ejson``. Without it, 24 hex
    digits on the wire are read as a string.
    """

    def __init__(self, ejson: Ejson) -> None:
        self._object_id = ejson.custom_type(OBJECT_ID)

    def to_wire(self, document_id: Any) -> str:
        """The string that stands for an id.

        Raises:
            EjsonError: the id is not an ObjectId and not something that JSON can hold.
        """
        if isinstance(document_id, str):
            if document_id.startswith(_MARKED) or _HEX.fullmatch(document_id):
                return "-" + document_id
            return document_id
        if self._object_id is not None and isinstance(document_id, self._object_id.python_type):
            return str(self._object_id.to_json(document_id))
        if document_id is UNDEFINED:
            return "-"
        try:
            return "~" + orjson.dumps(document_id, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
        except TypeError as error:
            raise EjsonError(f"{document_id!r:.100} can't be a document's id") from error

    def from_wire(self, text: str) -> Any:
        """The id that a string stands for.

        Raises:
            EjsonError: the string starts with ``~``, but no JSON follows.
        """
        if text.startswith("-"):
            return text[1:] if len(text) > 1 else UNDEFINED
        if text.startswith("~"):
            try:
                return orjson.loads(text[1:])
            except orjson.JSONDecodeError as error:
                raise EjsonError(f"{text!r:.100} is not a document's id") from error
        if self._object_id is not None and _HEX.fullmatch(text):
            return self._object_id.from_json(text)
        return text
