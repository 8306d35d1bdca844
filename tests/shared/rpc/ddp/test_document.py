"""A document that many sessions see is held once, and told in the same bytes."""

import gc
import weakref
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.rpc.ddp.document import Document
from shared.rpc.ddp.events import Subscribed
from shared.rpc.ddp.view import View
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError
from shared.rpc.object_id import OBJECT_ID

EJSON = Ejson([OBJECT_ID])


class Session:
    """What one session with one subscription is sent."""

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self.view = View(EJSON, self.texts.append)
        self.sub = Subscribed("s", "items", [])
        self.view.start(self.sub)

    def added(self, document: Document) -> bytes:
        self.view.added(self.sub, "items", "a", document)
        return bytes(self.texts[-1])

    def replaced(self, document: Document) -> bytes:
        self.view.replaced(self.sub, "items", "a", document)
        return bytes(self.texts[-1])


def test_every_session_is_sent_the_same_bytes() -> None:
    first, second = Session(), Session()
    old = Document({"n": 1, "at": datetime.fromtimestamp(0, UTC), "gone": True})
    new = Document({"n": 2, "at": datetime.fromtimestamp(0, UTC)})

    text = first.added(old)
    assert text == (
        b'{"msg":"added","collection":"items","id":"a",'
        b'"fields":{"n":1,"at":{"$date":0},"gone":true}}'
    )
    assert second.added(old) is text

    text = first.replaced(new)
    assert text == (
        b'{"msg":"changed","collection":"items","id":"a","fields":{"n":2},"cleared":["gone"]}'
    )
    assert second.replaced(new) is text


def test_an_equal_version_is_not_told() -> None:
    session = Session()
    session.added(Document({"n": [1]}))
    session.replaced(Document({"n": [1]}))
    assert len(session.texts) == 1


def test_under_another_name_it_is_told_under_that_name() -> None:
    session = Session()
    document = Document({"n": 1})
    newer = Document({"n": 2})
    for collection, document_id in (("items", "a"), ("items", "b"), ("other", "b")):
        session.view.added(session.sub, collection, document_id, document)
        session.view.replaced(session.sub, collection, document_id, newer)
    assert [text.decode() for text in session.texts] == [
        f'{{"msg":"{msg}","collection":"{collection}","id":"{id}","fields":{{"n":{n}}}}}'
        for collection, id in (("items", "a"), ("items", "b"), ("other", "b"))
        for msg, n in (("added", 1), ("changed", 2))
    ]


def test_each_server_writes_it_in_its_own_way() -> None:
    told = Document({"n": 1}).added("items", "a")
    assert told.text(Ejson()) == told.text(EJSON)
    with pytest.raises(EjsonError):
        Document({"n": OBJECT_ID.from_json("a" * 24)}).added("items", "a").text(Ejson())


def test_53_what_it_was_made_from_may_change() -> None:
    made_from: dict[str, Any] = {"list": [1]}
    document = Document(made_from)
    made_from["list"].append(2)
    made_from["more"] = 1
    assert document == {"list": [1]}


def test_it_holds_neither_an_id_nor_what_is_undefined() -> None:
    assert Document({"_id": "a", "n": 1, "m": UNDEFINED}) == {"n": 1}


def test_what_can_not_be_written_is_neither_published_nor_replaces_anything() -> None:
    session = Session()
    unwritable = Document({"n": object()})
    with pytest.raises(EjsonError):
        session.added(unwritable)
    assert session.added(Document({"n": 1})).startswith(b'{"msg":"added"')
    with pytest.raises(EjsonError):
        session.replaced(unwritable)
    assert session.replaced(Document({"n": 2})).startswith(b'{"msg":"changed"')


def test_no_version_keeps_another_one_in_memory() -> None:
    first, second, third = (Document({"n": n}) for n in range(3))
    first.change_to(second, "items", "a")
    second.change_to(third, "items", "a")
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert gone() is None
    change = first.change_to(third, "items", "a")
    assert change is not None
    assert change.fields == {"n": 2}
