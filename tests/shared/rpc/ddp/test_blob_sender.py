"""Bytes on their way out: turns, credit, giving up, and starting anew."""

import pytest

from shared.rpc.ddp.blob_sender import WINDOW_BYTES, BlobSender
from shared.rpc.ddp.frames import MAX_CHUNK_BYTES, Abort, Binary, Blob, Chunk, Outgoing, decode
from shared.rpc.ddp.parcels import Parcel

ALL = 10**9


def parcel(sender: BlobSender, *blobs: bytes, text: bytes = b"text") -> Parcel:
    return Parcel(text, sender.number(len(blobs)), list(blobs))


def told(items: list[Binary | Parcel] | list[Outgoing]) -> list[object]:
    """A short form: ("blob", id), (id, size of a chunk), ("abort", id), a text."""
    found: list[object] = []
    for item in items:
        if isinstance(item, Parcel):
            found.append(item.text)
        elif isinstance(item, bytes):
            found.append(item)
        else:
            match decode(item.data):
                case Blob() as blob:
                    found.append(("blob", blob.id))
                case Chunk() as chunk:
                    found.append((chunk.id, len(chunk.data)))
                case Abort() as abort:
                    found.append(("abort", abort.id))
                case other:
                    found.append(other)
    return found


@pytest.fixture
def sender() -> BlobSender:
    return BlobSender()


def test_ids_count_up_and_begin_again_after_the_last(sender: BlobSender) -> None:
    assert sender.number(3) == [1, 2, 3]
    sender._last_id = 2**32 - 2
    assert sender.number(3) == [2**32 - 1, 1, 2]


def test_a_small_message_goes_at_once_whatever_the_credit(sender: BlobSender) -> None:
    sender.granted(-WINDOW_BYTES)
    small = parcel(sender, b"abc", b"")
    assert told(list(sender.at_once(small))) == [("blob", 1), (1, 3), ("blob", 2), b"text"]
    assert not sender.has_frames_to_send


def test_what_goes_at_once_is_in_chunks_too_and_uses_up_credit(sender: BlobSender) -> None:
    size = WINDOW_BYTES + 1
    frames = told(list(sender.at_once(parcel(sender, bytes(size)))))
    assert frames[:2] == [("blob", 1), (1, MAX_CHUNK_BYTES)]
    assert frames[-2:] == [(1, 1), b"text"]
    sender.enqueue(parcel(sender, bytes(MAX_CHUNK_BYTES + 1)))
    assert not sender.has_frames_to_send
    sender.granted(1)
    assert not sender.has_frames_to_send
    sender.granted(1)
    assert told(sender.frames_to_send(ALL)) == [("blob", 2), (2, MAX_CHUNK_BYTES)]


def test_one_chunk_at_a_time_when_asked_for_little(sender: BlobSender) -> None:
    sender.enqueue(parcel(sender, bytes(100_000)))
    assert told(sender.frames_to_send(1)) == [("blob", 1), (1, MAX_CHUNK_BYTES)]
    assert told(sender.frames_to_send(1)) == [(1, 34_464), b"text"]
    assert sender.frames_to_send(1) == []


def test_parcels_take_turns(sender: BlobSender) -> None:
    sender.enqueue(parcel(sender, bytes(150_000), text=b"first"))
    sender.enqueue(parcel(sender, bytes(70_000), text=b"second"))
    sent = told(sender.frames_to_send(ALL))
    assert [item for item in sent if item not in (("blob", 1), ("blob", 2))] == [
        (1, 65_536),
        (2, 65_536),
        (1, 65_536),
        (2, 4_464),
        b"second",
        (1, 18_928),
        b"first",
    ]


def test_credit_ends_it_and_a_grant_goes_on(sender: BlobSender) -> None:
    sender.enqueue(parcel(sender, bytes(2 * WINDOW_BYTES)))
    assert len(sender.frames_to_send(ALL)) == 1 + WINDOW_BYTES // MAX_CHUNK_BYTES
    assert not sender.has_frames_to_send
    assert sender.frames_to_send(ALL) == []
    sender.granted(MAX_CHUNK_BYTES + 1)
    assert told(sender.frames_to_send(ALL)) == [(1, MAX_CHUNK_BYTES)] * 2


def test_what_waits_is_counted(sender: BlobSender) -> None:
    first, second = parcel(sender, bytes(100_000)), parcel(sender, bytes(70_000), bytes(5))
    sender.enqueue(first)
    sender.enqueue(second)
    assert sender.waiting_bytes == 170_005
    sender.give_up(second)
    assert sender.waiting_bytes == 100_000
    sender.frames_to_send(ALL)
    assert sender.waiting_bytes == 0


def test_giving_up_aborts_what_was_announced(sender: BlobSender) -> None:
    begun = parcel(sender, bytes(70_000), bytes(70_000), b"never announced")
    waiting = parcel(sender, bytes(70_000))
    sender.enqueue(begun)
    sender.frames_to_send(140_000)
    sender.enqueue(waiting)
    assert sender.give_up(waiting)
    assert sender.frames_to_send(0) == []
    assert sender.give_up(begun)
    assert sender.has_frames_to_send
    assert told(sender.frames_to_send(0)) == [("abort", 1), ("abort", 2)]
    assert not sender.give_up(begun)


def test_a_refusal_gives_up_the_parcel(sender: BlobSender) -> None:
    refused = parcel(sender, bytes(70_000), bytes(70_000))
    sender.enqueue(refused)
    sender.frames_to_send(1)
    assert sender.refused(2) is None  # not announced yet: nobody could have refused it
    assert sender.refused(1) is refused
    assert told(sender.frames_to_send(ALL)) == [("abort", 1)]
    assert sender.refused(1) is None


def test_a_refusal_that_comes_too_late_is_ignored(sender: BlobSender) -> None:
    sender.enqueue(parcel(sender, bytes(70_000)))
    sender.frames_to_send(ALL)
    assert sender.refused(1) is None
    assert not sender.has_frames_to_send


def test_another_connection_begins_anew(sender: BlobSender) -> None:
    sender.enqueue(parcel(sender, bytes(2 * WINDOW_BYTES)))
    given_up = parcel(sender, bytes(70_000))
    sender.enqueue(given_up)
    sender.frames_to_send(ALL)
    sender.give_up(given_up)
    sender.connection_made()
    first = told(sender.frames_to_send(1))
    assert first == [("blob", 1), (1, MAX_CHUNK_BYTES)]  # and no abort: it was forgotten
    assert len(sender.frames_to_send(ALL)) == WINDOW_BYTES // MAX_CHUNK_BYTES - 1
    assert sender.waiting_bytes == 2 * WINDOW_BYTES
