"""The proxy does what its plan says, to the byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.proxy import Fault, Kind, Line, Plan, Proxy, dropping


@asynccontextmanager
async def echoing(plan: Plan) -> AsyncIterator[Proxy]:
    """An echo behind a proxy; it says the end too."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
            writer.write(b"END")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1], lambda _n: plan).listening() as p:
        yield p


async def talk(proxy: Proxy, text: bytes) -> bytes:
    """All that comes back until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(text)
    found = b""
    try:
        while data := await reader.read(100):
            found += data
            if found == text:
                writer.write_eof()
    except ConnectionResetError:
        found += b"!"
    finally:
        writer.close()
    return found


TEXT = b"0123456789"


@pytest.mark.parametrize("line", [Line(), Line(piece_bytes=1), Line(piece_bytes=3)])
async def test_bytes_pass_in_pieces_of_any_size(line: Line) -> None:
    async with echoing(Plan(line, line)) as proxy:
        assert await talk(proxy, TEXT) == TEXT + b"END"
    assert (proxy.connections, proxy.faults) == (1, [])


@pytest.mark.parametrize(
    ("kind", "up", "down"),
    [
        (Kind.CLOSE, b"", b"0123"),
        (Kind.HALF_CLOSE, b"0123END", b"0123"),
    ],
)
async def test_a_fault_comes_at_its_byte(kind: Kind, up: bytes, down: bytes) -> None:
    faulty = Line(Fault(kind, 4))
    for plan, found in ((Plan(up=faulty), up), (Plan(down=faulty), down)):
        async with echoing(plan) as proxy:
            assert await talk(proxy, TEXT) == found
        assert proxy.faults == [kind]


async def test_a_reset_is_no_end() -> None:
    async with echoing(Plan(down=Line(Fault(Kind.RESET, 4)))) as proxy:
        assert (await talk(proxy, TEXT)).endswith(b"!")


async def test_a_stalled_link_passes_nothing_more_and_stays_open() -> None:
    async with echoing(Plan(up=Line(Fault(Kind.STALL, 4)))) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(TEXT)
        reading = asyncio.get_running_loop().create_task(reader.read())
        done, _ = await asyncio.wait([reading], timeout=0.05)
        assert not done
        assert proxy.faults == [Kind.STALL]
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await reading
        writer.close()


def test_plans_are_the_same_from_the_same_seed() -> None:
    plans = [dropping(7, 1000)(number) for number in range(50)]
    assert plans == [dropping(7, 1000)(number) for number in range(50)]
    faults = [line.fault for plan in plans for line in (plan.up, plan.down) if line.fault]
    assert len(faults) == 50
    assert {fault.kind for fault in faults} == set(Kind)
