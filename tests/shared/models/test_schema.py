"""Validators are made from structs."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from bson import ObjectId
from msgspec import Meta, field

from shared.models.schema import validator
from shared.models.types import Timestamp


class Part(msgspec.Struct, rename="camel"):
    long_name: str


class Whole(msgspec.Struct, kw_only=True, rename="camel"):
    id: ObjectId = field(name="_id")
    state: Literal["a", "b"]
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    name: Annotated[str, Meta(min_length=1, max_length=5)] | None = None
    parts: tuple[Part, ...] = ()
    made_at: Timestamp
    anything: Any = None
    table: dict[str, Any]
    ratio: float
    data: bytes
    yes: bool


def test_every_kind_of_field() -> None:
    part = {
        "bsonType": "object",
        "required": ["longName"],
        "properties": {"longName": {"bsonType": "string"}},
    }
    assert validator(Whole)["$jsonSchema"] == {
        "bsonType": "object",
        "required": ["_id", "state", "madeAt", "table", "ratio", "data", "yes"],
        "properties": {
            "_id": {"bsonType": "objectId"},
            "state": {"enum": ["a", "b"]},
            "count": {"bsonType": ["int", "long"], "minimum": 0, "maximum": 9},
            "name": {
                "anyOf": [
                    {"bsonType": "string", "minLength": 1, "maxLength": 5},
                    {"bsonType": "null"},
                ]
            },
            "parts": {"bsonType": "array", "items": part},
            "madeAt": {"bsonType": "date"},
            "anything": {},
            "table": {"bsonType": "object"},
            "ratio": {"bsonType": ["double", "int", "long"]},
            "data": {"bsonType": "binData"},
            "yes": {"bsonType": "bool"},
        },
    }


def test_a_type_without_a_schema_is_refused() -> None:
    class Odd(msgspec.Struct):
        z: complex

    with pytest.raises(TypeError, match="no MongoDB schema"):
        validator(Odd)
