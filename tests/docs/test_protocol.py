"""The page of the protocol: its test vectors, layouts and numbers are those of the code."""

import json
import re
from collections.abc import Callable
from typing import get_args

import pytest
from msgspec import Raw

from shared.rpc.ddp import frames, tandem
from shared.rpc.ddp import messages as m
from shared.rpc.ddp.blob_receiver import _GRANT_BYTES, _OVERHEAD_BYTES, BlobLimits
from shared.rpc.ddp.blob_sender import WINDOW_BYTES, BlobSender
from shared.rpc.ddp.frames import Binary, FrameError
from shared.rpc.ddp.parcels import Letter, Parcel
from shared.rpc.ejson import Ejson
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "reference" / "protocol.md").read_text()
VECTORS = PAGE.partition("## Test vectors")[2]
EJSON = Ejson()


def rows(after: str) -> list[list[str]]:
    """The cells of the first table behind these words, without its heading."""
    table = re.search(r"^\|.*\n\|[-:| ]+\n((?:\|.*\n)+)", VECTORS.partition(after)[2], re.MULTILINE)
    assert table is not None
    lines = table[1].splitlines()
    return [[cell.strip().strip("`") for cell in line.split(" | ")] for line in map(inside, lines)]


def inside(line: str) -> str:
    return line.removeprefix("| ").removesuffix(" |")


BUILD: dict[str, Callable[..., frames.Frame]] = {
    "BLOB": lambda id, size: frames.Blob(int(id), int(size)),
    "CHUNK": lambda id, data: frames.Chunk(int(id), memoryview(bytes.fromhex(data))),
    "CREDIT": lambda count: frames.Credit(int(count)),
    "ABORT": lambda id: frames.Abort(int(id)),
    "REFUSE": lambda id: frames.Refuse(int(id)),
}


def built(words: str) -> frames.Frame:
    kind, *fields = words.split()
    return BUILD[kind](**dict(field.split("=") for field in fields))


@pytest.mark.parametrize(("words", "hexadecimal"), rows("Binary frames, both ways"))
def test_frames(words: str, hexadecimal: str) -> None:
    data = bytes.fromhex(hexadecimal)
    assert frames.encode(built(words)).data == data
    assert frames.decode(data) == built(words)


def test_each_kind_has_a_vector_and_a_layout() -> None:
    kinds = {kind.name: kind.value for kind in frames.Kind}
    assert {words.split()[0] for words, _ in rows("Binary frames, both ways")} == set(kinds)
    layouts = re.findall(
        r"^`(\w+)`, from the .*\n\n.*\n.*\n\| 0 \| 1 \| kind \| (\w+)", PAGE, re.MULTILINE
    )
    assert {name: int(value, 16) for name, value in layouts} == kinds


@pytest.mark.parametrize(("hexadecimal", "why"), rows("Malformed ones"))
def test_malformed_frames(hexadecimal: str, why: str) -> None:
    with pytest.raises(FrameError):
        frames.decode(bytes.fromhex(hexadecimal))


def test_a_method_with_bytes() -> None:
    blobs: list[bytes] = []
    params = EJSON.dumps([{"name": "a", "data": b"\x01\x02\x03"}, b""], blobs)
    sender = BlobSender()
    ids = sender.number(len(blobs))
    method = tandem.Method("1", "system.echo", Raw(params), deadline_ms=5000)
    sent = list(sender.at_once(Letter(m.encode(method), blobs).numbered(ids)))
    expected = [
        Binary(bytes.fromhex(content)) if kind == "binary" else content.encode()
        for kind, content in rows("A method with bytes")
    ]
    assert sent == expected


@pytest.mark.parametrize(("value", "text"), rows("Plain objects that look like it"))
def test_escapes(value: str, text: str) -> None:
    assert EJSON.dumps(json.loads(value), []).decode() == text
    assert EJSON.loads(text, []) == json.loads(value)


@pytest.mark.parametrize("text", [text for (text,) in rows("Other texts")])
def test_texts(text: str) -> None:
    from_client = json.loads(text)["msg"] in ("method", "cancel", "sub")
    decode = tandem.decode_from_client if from_client else tandem.decode_from_server
    assert m.encode(decode(text)).decode() == text  # no field of it is unknown


def test_two_results_take_turns() -> None:
    sender = BlobSender()
    for blobs in ([bytes(150_000)], [bytes(70_000), bytes(5)]):
        sender.enqueue(Parcel(b"", sender.number(len(blobs)), blobs))
    told: list[str] = []
    for item in sender.frames_to_send(1_000_000):
        if isinstance(item, Parcel):
            told.append("the first's text" if len(item.ids) == 1 else "the second's text")
            continue
        match frames.decode(item.data):
            case frames.Blob() as blob:
                told.append(f"BLOB id={blob.id} size={blob.size}")
            case frames.Chunk() as chunk:
                told.append(f"CHUNK id={chunk.id}, {len(chunk.data):,} bytes")
            case other:
                raise AssertionError(other)
    assert told == [cell.replace("`", "") for (cell,) in rows("Two results that take turns")]


def test_numbers() -> None:
    assert f"It starts at {WINDOW_BYTES:,} on each connection" in PAGE
    assert f"6 to {5 + frames.MAX_CHUNK_BYTES:,} bytes" in PAGE
    assert f"1 to {frames.MAX_CHUNK_BYTES:,} | bytes" in PAGE
    assert f"over {frames.MAX_CHUNK_BYTES:,} bytes | when its blobs have gone" in PAGE
    assert f"as soon as\n  that is {_GRANT_BYTES:,} bytes or more" in PAGE
    assert f"its announced size and {_OVERHEAD_BYTES} bytes more" in PAGE
    limits = BlobLimits()
    assert f"| one blob | {limits.max_blob_bytes // 10**6} MB |" in PAGE
    assert f"or were not confirmed | {limits.max_held_bytes // 10**6} MB |" in PAGE


def test_every_message_is_listed_with_its_fields() -> None:
    listed = dict(
        re.findall(r"^\| (?:client|server|both) \| \**`(\w+)`\** \| ([^|]*)\|", PAGE, re.MULTILINE)
    )
    kinds = [*get_args(tandem.ClientMessage), *get_args(tandem.ServerMessage)]
    fields = {
        kind.__struct_config__.tag: kind.__struct_encode_fields__
        for kind in kinds
        if kind not in (m.AddedBefore, m.MovedBefore)  # of ordered collections: nobody sends them
    }
    assert {name: tuple(re.findall(r"`(\w+)`", text)) for name, text in listed.items()} == {
        **fields,
        "connect": ("session", "receivedCount", "version", "support"),
    }
