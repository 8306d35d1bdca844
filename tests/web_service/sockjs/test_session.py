"""One session over HTTP: its life, its order, and its bounds."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from shared.ops.background import running
from tests.support.waiting import eventually
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.session import PollingSession

CONFIG = SockJsConfig(response_bytes=100, heartbeat_seconds=0.01, disconnect_seconds=0.02)


@pytest.fixture
def gone() -> list[bool]:
    return []


@pytest.fixture
async def session(gone: list[bool]) -> AsyncIterator[PollingSession]:
    session = PollingSession(CONFIG, lambda: gone.append(True))
    assert session.attach(lambda: None)
    assert await session.next_frame() == b"o"
    yield session
    session.end()


async def test_it_is_over_when_nobody_asks(gone: list[bool], session: PollingSession) -> None:
    session.detach()
    assert [text async for text in session] == []
    assert gone == [True]
    await session.send([b"late"])
    await session.post(["late"])
    assert session.attach(lambda: None)
    assert await session.next_frame() == b'c[1002,"Connection interrupted"]'


async def test_it_is_over_when_nobody_comes_at_all(gone: list[bool]) -> None:
    session = PollingSession(CONFIG, lambda: gone.append(True))
    assert [text async for text in session] == []
    assert gone == [True]


async def test_it_is_not_over_while_somebody_receives(session: PollingSession) -> None:
    for _ in range(4):  # heartbeats: each takes half as long as a session waits
        assert await session.next_frame() == b"h"
    await session.send([b"a"])
    assert await session.next_frame() == b'a["a"]'


async def test_a_closed_one_says_so_until_nobody_asks(
    gone: list[bool], session: PollingSession
) -> None:
    await session.send([b"last"])
    await session.close(3000, "why")
    await session.close(1001, "another reason")
    assert [text async for text in session] == []
    assert await session.next_frame() == b'a["last"]'
    for _ in range(3):
        assert await session.next_frame() == b'c[3000,"why"]'
        session.detach()
        assert session.attach(lambda: None)
    session.detach()
    await eventually(lambda: gone)


async def test_frames_are_no_longer_than_a_response(session: PollingSession) -> None:
    texts = [b"%02d" % n * 20 for n in range(5)] + [b"x" * 1000]
    sending = session.send(texts)
    async with running(sending):
        frames = [json.loads((await session.next_frame())[1:]) for _ in range(4)]
    assert [len(frame) for frame in frames] == [2, 2, 1, 1]
    assert [text.encode() for frame in frames for text in frame] == texts


async def test_who_sends_waits_for_a_slow_client(session: PollingSession) -> None:
    sent: list[int] = []

    async def send() -> None:
        for number in range(5):
            await session.send([b"x" * 60])
            sent.append(number)

    async with running(send()):
        await eventually(lambda: sent == [0])
        await asyncio.sleep(0)
        assert sent == [0]
        assert (await session.next_frame()).count(b"x") == 60
        await eventually(lambda: sent == [0, 1])
        await session.close(1000, "")
        await eventually(lambda: sent == [0, 1, 2, 3, 4])  # it waits no longer


async def test_who_posts_waits_for_a_slow_session(session: PollingSession) -> None:
    posted: list[int] = []

    async def post() -> None:
        for number in range(3):
            await session.post(["x" * 60])
            posted.append(number)

    async with running(post()):
        await eventually(lambda: posted == [0])
        await asyncio.sleep(0)
        assert posted == [0]
        read = [text async for text in _first(session, 3)]
        assert read == ["x" * 60] * 3
        await eventually(lambda: posted == [0, 1, 2])


async def _first(session: PollingSession, count: int) -> AsyncIterator[str | bytes]:
    async for text in session:
        yield text
        count -= 1
        if not count:
            return


async def test_a_receiver_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, gone: list[bool]
) -> None:
    monkeypatch.setattr("web_service.sockjs.session._CLOSE_SECONDS", 0.01)
    cut = asyncio.Event()
    session = PollingSession(CONFIG, lambda: gone.append(True))
    assert session.attach(cut.set)
    await session.close(1008, "reading too slowly")
    async with asyncio.timeout(10):
        await cut.wait()
    session.end()
    assert gone == [True]
