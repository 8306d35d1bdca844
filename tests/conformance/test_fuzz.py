"""The fuzzer itself: a few inputs of every target, and that it would notice."""

import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from shared.rpc.ddp.answers import Answers
from shared.rpc.ddp.blob_receiver import BlobReceiver
from shared.rpc.ddp.blob_sender import BlobSender
from shared.rpc.ddp.client import ClientSession
from shared.rpc.ddp.events import MethodCalled, Subscribed
from shared.rpc.ddp.local import LocalCollections
from shared.rpc.ddp.merge_box import MergeBox
from shared.rpc.ddp.outstanding import Outstanding
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import Ejson
from tests.conformance.fuzz import blobs, client, link, plain, server, texts
from tests.conformance.fuzz.corpus import FROM_CLIENT
from tests.conformance.fuzz.mutation import Mutator
from tests.conformance.fuzz.watch import Watch, read
from tests.support.script import Script

INPUTS = 1_500
BROKEN = (AssertionError, AttributeError, LookupError, ValueError)


def run(target: ModuleType, folder: Path, inputs: int = INPUTS) -> None:
    plain.run(
        target,
        inputs=inputs,
        seconds=60,
        seed=1,
        figures=folder / "figures",
        crashes=folder / "crashes",
    )


@pytest.mark.parametrize("target", [texts, server, client, link, blobs], ids=lambda t: t.__name__)
def test_no_input_breaks_a_rule(target: ModuleType, tmp_path: Path) -> None:
    run(target, tmp_path)
    assert read(tmp_path / "figures").inputs == INPUTS


def nothing(*_arguments: Any, **_named: Any) -> Any:
    return []


@pytest.mark.parametrize(
    ("target", "owner", "method"),
    [
        (server, Answers, "answer"),
        (server, Answers, "begin"),
        (server, Answers, "end_write"),
        (server, Answers, "resumed"),
        (server, Remembered, "add"),
        (server, MergeBox, "leave"),
        (client, ClientSession, "forget"),
        (client, LocalCollections, "apply"),
        (client, Outstanding, "withdraw"),
        (link, LocalCollections, "begin_anew"),
        (link, Answers, "end_write"),
        (link, Outstanding, "unanswered"),
        (link, Remembered, "add"),
        (link, ServerSession, "unblock"),
        (link, MergeBox, "changed"),
        (blobs, BlobReceiver, "release"),
        (blobs, BlobReceiver, "connection_made"),
        (blobs, BlobSender, "granted"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_session_that_forgets_something_is_noticed(
    target: ModuleType, owner: type, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, nothing)
    with pytest.raises(BROKEN):
        run(target, tmp_path)
    (kept,) = (tmp_path / "crashes").iterdir()
    with pytest.raises(BROKEN):
        target.check(kept.read_bytes())
    monkeypatch.undo()
    target.check(kept.read_bytes())


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    watch = Watch(lambda _data: None, tmp_path / "figures", tmp_path / "crashes")
    for size in (3, 9, 1):
        watch.check(bytes(size))
    found = read(tmp_path / "figures")
    assert (found.inputs, found.longest, found.crashes) == (3, 9, 0)


def test_the_command() -> None:
    command = [sys.executable, "-m", "tests.conformance.fuzz", "--inputs", "500", "--seed", "1"]
    with Script([*command, "--target", "texts"]) as script:
        assert script.wait() == 0, script.output
    assert "crashes" in script.output
    assert " 500 " in script.output


def test_a_session_that_never_ends_does_not_grow() -> None:
    config = ServerConfig(replay_bytes=20_000, remembered_bytes=20_000, remembered_answers=100)
    session = ServerSession(
        "S", methods={"echo"}, publications={"items"}, ejson=Ejson(), config=config, now=0
    )
    lines = [text for text in FROM_CLIENT if b"disconnect" not in text]
    mutator, random = Mutator(1, lines, 2_000), Random(1)
    sizes = []
    for number in range(8_000):
        text = mutator.made_from(random.choice(lines)).replace(b"disconnect", b"")
        session.receive(text, 0)
        for event in session.events():
            if isinstance(event, MethodCalled):
                session.method_done(event, number)
            elif isinstance(event, Subscribed):
                session.view.added(event, "items", str(number), {"n": number})
                session.unblock(event)
                session.view.end(event)
        session.events()
        session.texts_to_send()
        if number % 2_000 == 1_999:
            sizes.append(deep_size(session))
    assert max(sizes) < 200_000
    assert sizes[-1] < 1.5 * sizes[0]


def deep_size(root: object) -> int:
    """Bytes of everything that only ``root`` leads to: data, no code."""
    seen: set[int] = set()
    waiting, size = [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType)) or callable(one):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        waiting += children(one)
    return size


def children(one: Any) -> list[Any]:
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, (str, bytes)):
        return []
    if hasattr(one, "__iter__"):
        return list(one)
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*vars(one).values()] if hasattr(one, "__dict__") else [getattr(one, n) for n in slots]
