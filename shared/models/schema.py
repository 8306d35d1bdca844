"""What boot sets up for a collection: its indexes, and a validator made from its struct.

The validator repeats the struct's checks inside the database, so that no other program
can store what our code could not read. It says nothing about fields the struct does not
know: a newer version may have added them, and both must be able to run side by side.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect
from pymongo import IndexModel

Schema = dict[str, Any]


class Collection(NamedTuple):
    """A collection's name, the struct its documents have, and its indexes."""

    name: str
    type: type[msgspec.Struct]
    indexes: Sequence[IndexModel] = ()


def validator(type_: type[msgspec.Struct]) -> Schema:
    """The ``validator`` option that makes MongoDB check documents against ``type_``."""
    return {"$jsonSchema": _schema(inspect.type_info(type_))}


def _schema(info: inspect.Type) -> Schema:
    match info:
        case inspect.Metadata(type=inner):
            return _schema(inner)
        case inspect.UnionType(types=types):
            return _union([_schema(member) for member in types])
        case inspect.StructType(fields=fields):
            return _object(fields)
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case inspect.CollectionType(item_type=item):
            return _without_nothing({"bsonType": "array", "items": _schema(item)})
        case inspect.AnyType():
            return {}
        case _:
            return _scalar(info)


def _scalar(info: inspect.Type) -> Schema:
    match info:
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            return _without_nothing(
                {"bsonType": "string", "minLength": least, "maxLength": most, "pattern": pattern}
            )
        case inspect.IntType(ge=least, le=most):
            return _without_nothing(
                {"bsonType": ["int", "long"], "minimum": least, "maximum": most}
            )
        case inspect.FloatType(ge=least, le=most):
            return _without_nothing(
                {"bsonType": ["double", "int", "long"], "minimum": least, "maximum": most}
            )
        case inspect.BoolType():
            return {"bsonType": "bool"}
        case inspect.NoneType():
            return {"bsonType": "null"}
        case inspect.DateTimeType():
            return {"bsonType": "date"}
        case inspect.BytesType():
            return {"bsonType": "binData"}
        case inspect.DictType():
            return {"bsonType": "object"}
        case inspect.CustomType(cls=cls) if cls.__name__ == "ObjectId":
            return {"bsonType": "objectId"}
        case _:
            raise TypeError(f"no MongoDB schema for {info}")


def _object(fields: Sequence[inspect.Field]) -> Schema:
    # Only what has no default is required: a newer version's field may be missing in
    # documents that are there already.
    required = [field.encode_name for field in fields if field.required]
    properties = {field.encode_name: _schema(field.type) for field in fields}
    return _without_nothing(
        {"bsonType": "object", "required": required or None, "properties": properties}
    )


def _union(members: list[Schema]) -> Schema:
    return members[0] if len(members) == 1 else {"anyOf": members}


def _without_nothing(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if value is not None}
