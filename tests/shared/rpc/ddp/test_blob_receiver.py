"""Bytes on their way in: put together, limited, granted, and what is out of place."""

import pytest

from shared.rpc.ddp.blob_receiver import BlobLimits, BlobReceiver, BlobRefused, cost
from shared.rpc.ddp.frames import Abort, Blob, Chunk, Credit, Frame, FrameError, Refuse, decode

LIMITS = BlobLimits(max_blob_bytes=1000, max_held_bytes=3000)


@pytest.fixture
def receiver() -> BlobReceiver:
    return BlobReceiver(LIMITS)


def chunk(blob_id: int, data: bytes) -> Chunk:
    return Chunk(blob_id, memoryview(data))


def told(receiver: BlobReceiver) -> list[Frame]:
    return [decode(message.data) for message in receiver.frames_to_send()]


def test_chunks_are_put_together(receiver: BlobReceiver) -> None:
    for frame in (Blob(1, 5), Blob(2, 2), chunk(1, b"abc"), chunk(2, b"xy"), chunk(1, b"de")):
        receiver.receive(frame)
    receiver.receive(Blob(3, 0))
    assert receiver.claim([3, 1]) == [b"", b"abcde"]
    assert receiver.claim([2]) == [b"xy"]


def test_a_blob_counts_from_its_announcement_until_it_is_released(receiver: BlobReceiver) -> None:
    receiver.receive(Blob(1, 500))
    assert receiver.held_bytes == 756
    receiver.receive(chunk(1, bytes(500)))
    blobs = receiver.claim([1])
    assert receiver.held_bytes == 756
    receiver.release(cost(blobs))
    assert receiver.held_bytes == 0


def test_an_aborted_blob_is_forgotten(receiver: BlobReceiver) -> None:
    receiver.receive(Blob(1, 500))
    receiver.receive(chunk(1, b"abc"))
    receiver.receive(Abort(1))
    assert receiver.held_bytes == 0
    with pytest.raises(FrameError, match="blob 1 is not there"):
        receiver.receive(chunk(1, b"d"))
    receiver.receive(Blob(1, 1))  # the sender may begin it again


@pytest.mark.parametrize(("size", "held"), [(1001, 0), (500, 2600), (2**64 - 1, 0)])
def test_what_is_over_a_limit_is_refused(size: int, held: int) -> None:
    receiver = BlobReceiver(LIMITS)
    receiver.held_bytes = held
    receiver.receive(Blob(1, size))
    assert receiver.has_frames_to_send
    assert told(receiver) == [Refuse(1)]
    assert told(receiver) == []
    receiver.receive(chunk(1, bytes(400)))  # was under way; is dropped
    assert receiver.held_bytes == held + 256
    receiver.receive(Abort(1))
    assert receiver.held_bytes == held


@pytest.mark.parametrize(("size", "held"), [(1000, 0), (500, 3000 - 756)])
def test_what_is_at_a_limit_is_taken(size: int, held: int) -> None:
    receiver = BlobReceiver(LIMITS)
    receiver.held_bytes = held
    receiver.receive(Blob(1, size))
    assert told(receiver) == []


def test_a_text_may_refer_to_what_was_refused(receiver: BlobReceiver) -> None:
    receiver.receive(Blob(1, 3))
    receiver.receive(chunk(1, b"abc"))
    receiver.receive(Blob(2, 1001))
    receiver.receive(chunk(2, bytes(1001)))
    with pytest.raises(BlobRefused):
        receiver.claim([1, 2])
    assert receiver.held_bytes == 0
    with pytest.raises(FrameError):
        receiver.claim([1])


def test_a_refusal_that_nobody_needs_any_more_is_not_sent(receiver: BlobReceiver) -> None:
    """So announcing and aborting again and again does not pile up refusals."""
    for _ in range(100):
        receiver.receive(Blob(1, 1001))
        receiver.receive(Abort(1))
    assert told(receiver) == []


def test_blobs_without_end_end_it(receiver: BlobReceiver) -> None:
    for blob_id in range(11):
        receiver.receive(Blob(blob_id, 0))
    with pytest.raises(FrameError, match="too many blobs"):
        receiver.receive(Blob(11, 0))
    assert receiver.held_bytes <= LIMITS.max_held_bytes


def test_credit_is_granted_for_all_that_arrives(receiver: BlobReceiver) -> None:
    receiver.receive(Blob(1, 1000))
    receiver.receive(Blob(2, 100_000))  # refused
    told(receiver)
    receiver.receive(chunk(1, bytes(1000)))
    receiver.receive(chunk(2, bytes(64_535)))
    assert told(receiver) == []
    receiver.receive(chunk(2, bytes(3)))
    assert receiver.has_frames_to_send
    assert told(receiver) == [Credit(65_538)]
    assert told(receiver) == []


@pytest.mark.parametrize(
    ("before", "frame", "reason"),
    [
        ([], chunk(1, b"x"), "blob 1 is not there"),
        ([], Abort(1), "blob 1 is not there"),
        ([Blob(1, 5)], Blob(1, 5), "blob 1 is announced twice"),
        ([Blob(1, 2)], chunk(1, b"abc"), "blob 1 is longer than announced"),
        ([Blob(1, 2), chunk(1, b"ab")], chunk(1, b"c"), "blob 1 is longer than announced"),
        ([Blob(1, 1001), chunk(1, bytes(1001))], chunk(1, b"x"), "blob 1 is longer"),
        ([Blob(1, 0)], chunk(1, b"x"), "blob 1 is longer than announced"),
    ],
)
def test_what_is_out_of_place(
    receiver: BlobReceiver, before: list[Blob | Chunk], frame: Blob | Chunk | Abort, reason: str
) -> None:
    for one in before:
        receiver.receive(one)
    with pytest.raises(FrameError, match=reason):
        receiver.receive(frame)


@pytest.mark.parametrize(
    ("frames", "ids", "reason"),
    [
        ([], [1], "blob 1 is not there"),
        ([Blob(1, 2), chunk(1, b"x")], [1], "blob 1 is not whole"),
        ([Blob(1, 0)], [1, 2], "blob 2 is not there"),
        ([Blob(1, 0)], [1, 1], "a text has a blob twice"),
    ],
)
def test_what_can_not_be_claimed(
    receiver: BlobReceiver, frames: list[Blob | Chunk], ids: list[int], reason: str
) -> None:
    for frame in frames:
        receiver.receive(frame)
    with pytest.raises(FrameError, match=reason):
        receiver.claim(ids)
    receiver.connection_made()
    assert receiver.held_bytes == 0


def test_another_connection_begins_anew_but_what_is_claimed_counts(receiver: BlobReceiver) -> None:
    receiver.receive(Blob(1, 3))
    receiver.receive(chunk(1, b"abc"))
    claimed = receiver.claim([1])
    receiver.receive(Blob(2, 1001))
    receiver.receive(Blob(3, 5))
    receiver.receive(chunk(3, b"abc"))
    receiver.connection_made()
    assert told(receiver) == []
    assert receiver.held_bytes == cost(claimed)
    for frame in (Blob(3, 5), chunk(3, b"abcde")):
        receiver.receive(frame)
    assert receiver.claim([3]) == [b"abcde"]
