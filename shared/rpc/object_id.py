"""MongoDB's ObjectId as EJSON's custom type ``oid``, as Meteor's ``mongo-id`` has it."""

from typing import Any

from bson import ObjectId

from shared.rpc.ejson import CustomType


def _from_json(value: Any) -> ObjectId:
    if not isinstance(value, str) or not ObjectId.is_valid(value):
        raise ValueError("an ObjectId is 24 hex digits")
    return ObjectId(value)


OBJECT_ID = CustomType("oid", ObjectId, str, _from_json)
