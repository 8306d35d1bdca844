"""Two ends and what is between them: whatever happens, what arrives is what was sent."""

import contextlib
from collections import deque
from collections.abc import Iterator
from itertools import islice, zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.rpc.ddp.blob_receiver import BlobLimits, BlobRefused, cost
from shared.rpc.ddp.blob_sender import WINDOW_BYTES
from shared.rpc.ddp.blobs import Blobs
from shared.rpc.ddp.frames import (
    MAX_CHUNK_BYTES,
    Abort,
    Blob,
    Chunk,
    Credit,
    Frame,
    FrameError,
    Outgoing,
    Refuse,
    decode,
    encode,
)
from shared.rpc.ddp.parcels import Parcel

PATTERN = bytes(range(251)) * 4_000


class Link:
    """One end sends parcels, the other takes them in; between them, messages may be lost."""

    def __init__(self, limits: BlobLimits) -> None:
        self.near, self.far = Blobs(BlobLimits()), Blobs(limits)
        self.limits = limits
        self.forth: deque[Outgoing] = deque()
        self.back: deque[Outgoing] = deque()
        self.parcels: dict[bytes, Parcel] = {}
        self.texts_sent: list[Parcel] = []
        self.outcome: dict[bytes, object] = {}

    def send(self, sizes: list[int]) -> None:
        text = b"%d" % len(self.parcels)
        start = len(self.parcels)
        blobs = [PATTERN[start : start + size] for size in sizes]
        is_large = sum(sizes) > MAX_CHUNK_BYTES
        parcel = Parcel(text, self.near.sender.number(len(blobs)), blobs, in_turns=is_large)
        self.parcels[text] = parcel
        if parcel.in_turns:
            self.near.sender.enqueue(parcel)
        else:
            self._send_at_once(parcel)

    def give_up(self, index: int) -> None:
        parcel = self.parcels.get(b"%d" % index)
        if parcel is not None and self.near.sender.give_up(parcel):
            self._end(parcel.text, "given up")

    def take(self, max_bytes: int) -> None:
        """Have both ends put on the wire what they have to send."""
        for item in self.near.frames_to_send(max_bytes):
            if isinstance(item, Parcel):
                self.texts_sent.append(item)
                self.forth.append(item.text)
            else:
                self.forth.append(item)
        self.back += self.far.receiver.frames_to_send()

    def deliver(self, count: int) -> None:
        """Have so many messages arrive, in each direction."""
        for _ in range(min(count, len(self.forth))):
            self._arrive(self.forth.popleft())
        for _ in range(min(count, len(self.back))):
            message = self.back.popleft()
            assert not isinstance(message, bytes)
            refused = self.near.receive(message.data)
            if refused is not None:
                self._end(refused.text, "refused")

    def cut(self) -> None:
        """Lose what is under way, and resume over another connection."""
        self.forth.clear()
        self.back.clear()
        self.near.connection_made()
        self.far.connection_made()
        again = [parcel for parcel in self.texts_sent if parcel.text not in self.outcome]
        self.texts_sent = []
        for parcel in again:
            self._send_at_once(parcel)

    def finish(self) -> None:
        """Let everything arrive."""
        ends = self.near, self.far
        while self.forth or self.back or any(end.has_frames_to_send for end in ends):
            self.take(MAX_CHUNK_BYTES)
            self.deliver(100)

    def _send_at_once(self, parcel: Parcel) -> None:
        self.texts_sent.append(parcel)
        self.forth += self.near.sender.at_once(parcel)

    def _arrive(self, message: Outgoing) -> None:
        if not isinstance(message, bytes):
            assert self.far.receive(message.data) is None
            assert self.far.receiver.held_bytes <= self.limits.max_held_bytes
            return
        try:
            blobs = self.far.receiver.claim(self.parcels[message].ids)
        except BlobRefused:
            self._end(message, "refused")
        else:
            self.far.receiver.release(cost(blobs))
            self._end(message, blobs)

    def _end(self, text: bytes, outcome: object) -> None:
        assert text not in self.outcome
        self.outcome[text] = outcome


SIZES = st.lists(
    st.one_of(st.integers(0, 200), st.integers(0, 3 * MAX_CHUNK_BYTES), st.integers(0, 900_000)),
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SIZES),
        st.tuples(st.just("take"), st.integers(0, 400_000)),
        st.tuples(st.just("deliver"), st.integers(1, 8)),
        st.tuples(st.just("give_up"), st.integers(0, 5)),
        st.tuples(st.just("cut")),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([(10**9, 10**9), (200_000, 10**9), (10**9, 1_000_000)]))
def test_what_arrives_is_what_was_sent(
    steps: list[tuple[object, ...]], most: tuple[int, int]
) -> None:
    link = Link(BlobLimits(max_blob_bytes=most[0], max_held_bytes=most[1]))
    for name, *arguments in steps:
        getattr(link, str(name))(*arguments)
    link.finish()
    for text, parcel in link.parcels.items():
        outcome = link.outcome[text]  # every one has one
        assert outcome in ("given up", "refused") or outcome == parcel.blobs
        if most[0] == most[1]:
            assert outcome != "refused"
    assert link.far.receiver.held_bytes == 0
    assert link.near.sender.waiting_bytes == 0


def frames(data: st.DataObject) -> Iterator[Frame]:
    ids, small = st.integers(1, 4), st.integers(0, 2000)
    kinds = st.one_of(
        st.builds(Blob, ids, st.one_of(small, st.integers(0, 2**64 - 1))),
        st.builds(Chunk, ids, st.integers(1, 2000).map(lambda size: memoryview(bytes(size)))),
        st.builds(Credit, st.integers(0, 2**32 - 1)),
        st.builds(Abort, ids),
        st.builds(Refuse, ids),
    )
    while True:
        yield data.draw(kinds)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_the_other_end_does_it_is_refused_or_bounded(data: st.DataObject) -> None:
    limits = BlobLimits(max_blob_bytes=1500, max_held_bytes=4000)
    blobs = Blobs(limits)
    blobs.sender.enqueue(Parcel(b"text", [1, 2], [bytes(70_000), bytes(3)]))
    with contextlib.suppress(FrameError):
        for frame in islice(frames(data), 30):
            refused = blobs.receive(encode(frame).data)
            assert refused is None or isinstance(frame, Refuse)
            kept = sum(len(b._buffer.getvalue()) for b in blobs.receiver._blobs.values())
            assert kept <= blobs.receiver.held_bytes <= limits.max_held_bytes
            assert len(blobs.receiver._refused) <= limits.max_held_bytes // 256
            if data.draw(st.booleans()):
                blobs.frames_to_send(1000)


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_are_taken_in_or_refused_with_a_reason(messages: list[bytes]) -> None:
    blobs = Blobs(BlobLimits())
    for message in messages:
        try:
            blobs.receive(message)
        except FrameError as error:
            assert str(error)
            return


def test_a_hundred_megabytes_stay_within_the_window() -> None:
    content = bytes(100_000_000)
    link = Link(BlobLimits())
    parcel = Parcel(b"0", link.near.sender.number(1), [content])
    link.parcels[b"0"] = parcel
    link.near.sender.enqueue(parcel)
    most = 0
    while b"0" not in link.outcome:
        link.take(10**9)
        most = max(most, sum(map(len, link.forth)))
        link.deliver(10**9)
    assert link.outcome[b"0"] == [content]
    assert most <= WINDOW_BYTES + MAX_CHUNK_BYTES + 100


def test_both_directions_at_once() -> None:
    ends = Blobs(BlobLimits()), Blobs(BlobLimits())
    for end in ends:
        end.sender.enqueue(Parcel(b"text", end.sender.number(1), [PATTERN]))
    arrived = 0
    while any(end.has_frames_to_send for end in ends):
        batches = [end.frames_to_send(100_000) for end in ends]
        for here, there in zip_longest(*batches):
            for item, end in ((here, ends[1]), (there, ends[0])):
                if isinstance(item, Parcel):
                    assert end.receiver.claim(item.ids) == [PATTERN]
                    arrived += 1
                elif item is not None:
                    end.receive(item.data)
    assert arrived == 2


def test_a_refusal_comes_back_as_the_parcel() -> None:
    blobs = Blobs(BlobLimits())
    parcel = Parcel(b"text", blobs.sender.number(1), [PATTERN])
    blobs.sender.enqueue(parcel)
    blobs.frames_to_send(1)
    assert blobs.receive(encode(Refuse(1)).data) is parcel
    assert [
        decode(item.data) for item in blobs.frames_to_send(1) if not isinstance(item, Parcel)
    ] == [Abort(1)]
    with pytest.raises(FrameError):
        blobs.receive(encode(Abort(1)).data)  # of theirs, which there is none of
