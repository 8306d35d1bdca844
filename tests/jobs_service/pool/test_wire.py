"""Messages and descriptors over a real socket pair."""

import os
import socket

import msgspec
import pytest

from jobs_service import memfd
from jobs_service.pool import wire
from tests.support.pools import open_descriptors

DECODER: msgspec.msgpack.Decoder[wire.FromChild] = msgspec.msgpack.Decoder(wire.FromChild)


def channels() -> tuple[wire.Channel, wire.Channel]:
    ours, theirs = wire.channel_pair()
    return ours, wire.Channel(theirs)


def progressed(note: str) -> wire.Progressed:
    return wire.Progressed(1, 0.5, None, note)


@pytest.mark.parametrize(
    "size", [0, 100, wire.MAX_INLINE - 20, wire.MAX_INLINE, wire.MAX_INLINE + 1, 1_000_000]
)
def test_a_message_of_any_size_arrives(size: int) -> None:
    before = open_descriptors()
    ours, theirs = channels()
    theirs.send(progressed("x" * size))
    data, fds = ours.receive()
    assert DECODER.decode(data) == progressed("x" * size)
    assert fds == []
    ours.close()
    theirs.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("note", ["short", "x" * 500_000])
def test_descriptors_come_with_their_message(note: str) -> None:
    ours, theirs = channels()
    sent = [memfd.create_with("a", bytes([n])) for n in range(wire.MAX_RUN_FILES)]
    theirs.send(progressed(note), sent)
    theirs.send(progressed("next"))
    data, received = ours.receive()
    assert DECODER.decode(data) == progressed(note)
    assert [memfd.read(fd) for fd in received] == [bytes([n]) for n in range(wire.MAX_RUN_FILES)]
    assert not any(os.get_inheritable(fd) for fd in received)
    data, fds = ours.receive()
    assert (DECODER.decode(data), fds) == (progressed("next"), [])
    wire.close_all(sent + received)
    ours.close()
    theirs.close()


def test_nothing_there_and_closed_are_told_apart() -> None:
    ours, theirs = channels()
    with pytest.raises(BlockingIOError):
        ours.receive()
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(BrokenPipeError):
        ours.send(progressed(""))
    ours.close()


def test_a_full_socket_never_blocks_the_loop() -> None:
    ours, theirs = channels()
    with pytest.raises(BlockingIOError):  # noqa: PT012 - the one that fills it raises
        for _ in range(10_000):
            ours.send(progressed("x" * 50_000))
    ours.close()
    theirs.close()


def test_a_packet_larger_than_any_message_is_an_error() -> None:
    before = open_descriptors()
    ours, theirs = channels()
    socket.send_fds(theirs.sock, [b"x" * (wire.MAX_INLINE + 2_000)], [0])
    with pytest.raises(wire.WireError, match="cut off"):
        ours.receive()
    ours.close()
    theirs.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("what", ["nothing", "unsealed", "pipe", "too large"])
def test_a_message_in_a_memfd_must_be_one(what: str) -> None:
    before = open_descriptors()
    ours, theirs = channels()
    fds: list[int] = []
    match what:
        case "unsealed":
            fds = [memfd.create("a")]
        case "pipe":
            fds = list(os.pipe())
        case "too large":
            fds = [memfd.create_with("a", bytes(17 << 20))]
    socket.send_fds(theirs.sock, [b"\xc1"], fds)
    with pytest.raises(wire.WireError):
        ours.receive()
    wire.close_all(fds)
    ours.close()
    theirs.close()
    assert open_descriptors() == before
