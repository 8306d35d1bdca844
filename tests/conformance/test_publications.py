"""Publications, byte for byte and in order: documents, ends, errors, strategies."""

import pytest
from structlog.testing import capture_logs

from tests.support.ddp import Wire, method, sub

READY = '{"msg":"ready","subs":["1"]}'
NOSUB = '{"msg":"nosub","id":"1"}'


def added(document_id: str, fields: str = "", collection: str = "items") -> str:
    tail = f',"fields":{fields}' if fields else ""
    return f'{{"msg":"added","collection":"{collection}","id":"{document_id}"{tail}}}'


def changed(document_id: str, fields: str, collection: str = "items") -> str:
    head = f'{{"msg":"changed","collection":"{collection}"'
    return f'{head},"id":"{document_id}","fields":{fields}}}'


def removed(document_id: str, collection: str = "items") -> str:
    return f'{{"msg":"removed","collection":"{collection}","id":"{document_id}"}}'


def refused(error: str) -> str:
    return (
        f'{{"msg":"nosub","id":"1","error":{{"isClientSafe":true,{error},'
        f'"errorType":"Meteor.Error"}}}}'
    )


INTERNAL = '"error":500,"reason":"Internal server error","message":"Internal server error [500]"'
UNSUB = {"msg": "unsub", "id": "1"}
A = added("a", '{"n":1,"gone":"x","at":{"$date":1700000000000},"user":null}')


async def test_10_documents_then_ready_and_back(wire: Wire) -> None:
    assert await wire.ask(sub("1", "items")) == [A, added("b", '{"n":1}'), READY]
    assert await wire.ask(UNSUB) == [removed("a"), removed("b"), NOSUB]


async def test_10_a_publisher_knows_the_user(wire: Wire) -> None:
    await wire.ask(method("1", "setUser", "ada"))
    assert '"user":"ada"' in (await wire.ask(sub("1", "items")))[0]


async def test_47_the_same_document_from_two_subscriptions(wire: Wire) -> None:
    await wire.ask(sub("1", "items"))
    assert await wire.ask(sub("2", "items2")) == [
        changed("a", '{"extra":"e","n2":5}'),
        added("c"),
        '{"msg":"ready","subs":["2"]}',
    ]
    assert await wire.ask(UNSUB) == [
        '{"msg":"changed","collection":"items","id":"a","cleared":["gone","at","user"]}',
        *(removed("b"), NOSUB),
    ]


async def test_ids_on_the_wire(wire: Wire) -> None:
    assert await wire.ask(sub("1", "oids")) == [
        added("aabbccddeeff001122334455", '{"x":1}'),
        added("-aabbccddeeff001122334455", '{"x":2}'),
        added("~5", '{"x":3}'),
        *(added("--dash"), added(""), READY),
    ]


async def test_51_a_refusal(wire: Wire) -> None:
    error = '"error":"pub-bad","reason":"no","message":"no [pub-bad]"'
    assert await wire.ask(sub("1", "failing")) == [refused(error)]


@pytest.mark.parametrize("name", ["crashing", "badret", "badchange"])
async def test_51_52_a_broken_publisher(wire: Wire, name: str) -> None:
    with capture_logs() as logs:
        assert await wire.ask(sub("1", name)) == [refused(INTERNAL)]
    assert [entry["event"] for entry in logs] == ["rpc.publication_failed"]


async def test_51_an_end_takes_its_documents_back_first(wire: Wire) -> None:
    assert await wire.ask(sub("1", "stopping")) == [added("s"), removed("s"), NOSUB]
    error = '"error":"later","reason":"err","message":"err [later]"'
    assert await wire.ask(sub("1", "erroring")) == [added("s"), removed("s"), refused(error)]


async def test_an_unknown_publication(wire: Wire) -> None:
    reason = "Subscription 'nope' not found"
    error = f'"error":404,"reason":"{reason}","message":"{reason} [404]"'
    assert await wire.ask(sub("1", "nope")) == [refused(error)]


async def test_a_subscription_that_is_never_ready(wire: Wire) -> None:
    assert await wire.ask(sub("1", "neverready")) == [added("z")]
    assert await wire.ask(UNSUB) == [removed("z"), NOSUB]


async def test_an_empty_change_is_not_sent(wire: Wire) -> None:
    assert await wire.ask(sub("1", "emptychange")) == [added("e", '{"n":1}'), READY]


async def test_58_a_sub_id_that_is_alive_is_ignored(wire: Wire) -> None:
    assert await wire.ask(sub("1", "neverready"), sub("1", "items")) == [added("z")]


async def test_unsub_of_an_unknown_id_is_answered(wire: Wire) -> None:
    assert await wire.ask(UNSUB) == [NOSUB]


async def test_11_12_a_slow_publisher_holds_the_queue(wire: Wire) -> None:
    answers = await wire.ask(sub("1", "slowpub", 20), method("1", "seq"))
    assert answers == [
        *(READY, '{"msg":"updated","methods":["1"]}'),
        '{"msg":"result","id":"1","result":["pub start","pub end"]}',
    ]


async def test_76_an_unsub_waits_for_its_publisher(wire: Wire) -> None:
    assert await wire.ask(sub("1", "slowpub", 10), UNSUB) == [READY, NOSUB]


async def test_a_publisher_that_unblocks_does_not_hold_the_queue(wire: Wire) -> None:
    await wire.send(sub("1", "slowpubU", 30), method("1", "seq"))
    assert await wire.take(3) == [
        '{"msg":"updated","methods":["1"]}',
        '{"msg":"result","id":"1","result":["pubU start"]}',
        READY,
    ]


@pytest.mark.parametrize(
    ("strategy", "added_again", "change", "end"),
    [
        ("SERVER_MERGE", changed("a", '{"m":2}', "C"), [], [removed("a", "C")]),
        (
            "NO_MERGE_MULTI",
            changed("a", '{"n":1,"m":2}', "C"),
            [changed("a", '{"n":1}', "C")],
            [removed("a", "C")],
        ),
        (
            "NO_MERGE",
            added("a", '{"n":1,"m":2}', "C"),
            [changed("a", '{"n":1}', "C")],
            [removed("a", "C")],
        ),
        (
            "NO_MERGE_NO_HISTORY",
            added("a", '{"n":1,"m":2}', "C"),
            [changed("a", '{"n":1}', "C")],
            [],
        ),
    ],
)
async def test_strategies(
    wire: Wire, strategy: str, added_again: str, change: list[str], end: list[str]
) -> None:
    expected = [added("a", '{"n":1}', "C"), added_again, *change, READY]
    names = [text.replace('"C"', f'"nm_{strategy}"') for text in [*expected, *end, NOSUB]]
    assert await wire.ask(sub("1", "nomerge", strategy), UNSUB) == names
