"""MongoDB's ObjectId as EJSON's custom type ``oid``, as Meteor's ``mongo-id`` has it."""

from bson import ObjectId

from shared.rpc.ejson import CustomType

OBJECT_ID = CustomType("oid", ObjectId, str, ObjectId)
