"""Target ``blobs``: bytes beside texts, between two ends and a link that breaks, and garbage.

``near`` sends parcels to ``far``, whose limits are small, and gets whatever frames the script
makes up. Whatever comes, an end holds no more than its limits, and fails in no other way
than ``FrameError``. What near sends arrives whole and in the order of its ends, or is refused.
"""

from collections import deque
from typing import Final

from shared.rpc.ddp.blob_receiver import BlobLimits, BlobReceiver, BlobRefused, cost
from shared.rpc.ddp.blobs import Blobs
from shared.rpc.ddp.frames import (
    MAX_CHUNK_BYTES,
    Abort,
    Binary,
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
from tests.conformance.fuzz.script import Step, Steps, steps_of

LINES: Final = [
    *(b"b\1\1", b"b\1\2", b"b\2\2", b"b\3\4", b"b\4\5", b"c\1\1", b"c\1\2", b"c\2\2", b"c\3\3"),
    *(b"a\1", b"a\2", b"g\1", b"r\1", b"r\2", b"k\1\1", b"k\2\1\2", b"k\2\1\1", b"K", b"K\1"),
    *(b"p\1\2", b"p\1\3", b"p\2\4\3", b"p\1\4", b"p\1\5", b"p\3\1\0\2", b"o\1\2", b"o\2\1\3"),
    *(
        b"f\1",
        b"f\2",
        b"f\xff",
        b"d\1",
        b"d\2",
        b"d\xff",
        b"u\1",
        b"u\xff",
        b"G",
        b"G\1",
        b"x",
        b"R",
    ),
    *(b"<" + encode(frame).data for frame in (Blob(7, 3), Chunk(7, memoryview(b"abc")), Credit(9))),
    *(b"<", b"<\6", b"<\1\0", b"<\2\0\0\0\1", b"<\3" + b"\xff" * 4, b"<\1" + b"\xff" * 12),
]
SEEDS: Final = [
    b"\n".join([b"b\1\2", b"c\1\2", b"k\1\1", b"K", b"b\2\1", b"k\1\2", b"x", b"b\1\2", b"a\1"]),
    b"\n".join([b"p\2\4\3", b"p\1\4", b"o\1\2", *([b"f\1", b"d\2", b"u\1"] * 4), b"x", b"f\xff"]),
    b"\n".join(
        [b"p\1\5", b"f\2", b"d\2", b"u\2", b"p\1\3", b"p\1\3", b"f\2", b"G", b"d\xff", b"R"]
    ),
    b"\n".join([b"p\2\3\3\3", b"f\xff", b"d\xff", b"u\xff", b"R"] * 12),  # more than the credit
    b"\n".join([b"p\1\4"] * 8 + [b"f\xff", b"d\xff"] * 3 + [b"u\xff", b"R", b"f\xff", b"d\xff"]),
]

_SIZES: Final = (0, 1, 1_000, MAX_CHUNK_BYTES, 100_000, 150_000)
_LIMITS: Final = BlobLimits(max_blob_bytes=120_000, max_held_bytes=300_000)
_FEW: Final = 3
_CONTENTS: Final = [bytes([65 + place]) * size for place, size in enumerate(_SIZES)]


def check(data: bytes) -> None:
    """Play the script that ``data`` is.

    Raises:
        AssertionError: a rule was broken.
    """
    world = _World()
    for step, arguments in steps_of(data, _STEPS):
        step(world, arguments)
        world.look()
    world.finish()


class _End:
    """One end, and what its application has not released yet."""

    def __init__(self) -> None:
        self.blobs = Blobs(_LIMITS)
        self.claimed: list[int] = []

    @property
    def receiver(self) -> BlobReceiver:
        return self.blobs.receiver

    def claim(self, ids: list[int]) -> list[bytes]:
        found = self.receiver.claim(ids)
        self.claimed.append(cost(found))
        return found

    def release(self, place: int) -> None:
        if self.claimed:
            self.receiver.release(self.claimed.pop(place % len(self.claimed)))

    def check(self) -> None:
        receiver = self.receiver
        unclaimed = receiver._blobs.values()
        buffered = sum(blob._buffer.getbuffer().nbytes for blob in unclaimed)
        assert receiver.held_bytes == sum(self.claimed) + sum(blob.cost for blob in unclaimed)
        assert buffered + sum(self.claimed) <= receiver.held_bytes <= _LIMITS.max_held_bytes
        assert len(receiver._refused) <= len(receiver._blobs)


class _World:
    def __init__(self) -> None:
        self.near, self.far = _End(), _End()
        self.up: deque[Outgoing | Parcel] = deque()
        self.down: deque[Binary] = deque()
        self.waiting: list[Parcel] = []

    # Steps: garbage that near gets

    def receive(self, step: Step) -> None:
        self._receive(step.rest)

    def announce(self, step: Step) -> None:
        self._receive_frame(Blob(step.number(), step.one_of(_SIZES)))

    def receive_chunk(self, step: Step) -> None:
        blob_id, content = step.number(), step.one_of(_CONTENTS[1:4])
        self._receive_frame(Chunk(blob_id, memoryview(content)))

    def abort(self, step: Step) -> None:
        self._receive_frame(Abort(step.number()))

    def grant(self, step: Step) -> None:
        self._receive_frame(Credit(step.number() * 10_000))

    def refuse(self, step: Step) -> None:
        self._receive_frame(Refuse(step.number()))

    def claim(self, step: Step) -> None:
        try:
            self.near.claim([step.number() for _ in range(step.number() % 4)])
        except BlobRefused:
            pass
        except FrameError:
            self.cut(step)

    def release(self, step: Step) -> None:
        self.near.release(step.number())

    # Steps: what near sends to far

    def enqueue(self, step: Step) -> None:
        parcel = self._parcel(step)
        self.waiting.append(parcel)
        self.near.blobs.sender.enqueue(parcel)

    def send_at_once(self, step: Step) -> None:
        parcel = self._parcel(step)
        *frames, text = self.near.blobs.sender.at_once(parcel)
        assert text == parcel.text
        self.up += [*frames, parcel]

    def give_up(self, step: Step) -> None:
        if self.waiting:
            parcel = self.waiting.pop(step.number() % len(self.waiting))
            assert self.near.blobs.sender.give_up(parcel)
            assert not self.near.blobs.sender.give_up(parcel)

    def send(self, step: Step) -> None:
        for entry in self.near.blobs.frames_to_send(1 + step.number() * 1_000):
            if isinstance(entry, Parcel):
                self.waiting.remove(entry)
            self.up.append(entry)

    def deliver_up(self, step: Step) -> None:
        for _ in range(min(step.number(), len(self.up))):
            entry = self.up.popleft()
            try:
                if isinstance(entry, Parcel):
                    assert self.far.claim(entry.ids) == entry.blobs
                elif isinstance(entry, Binary):
                    self.far.blobs.receive(entry.data)
            except BlobRefused:
                assert isinstance(entry, Parcel)
            except FrameError:  # there is not even room for a refusal
                assert self.far.receiver.held_bytes + cost([b""]) > _LIMITS.max_held_bytes
                self.cut(step)
                return

    def deliver_down(self, step: Step) -> None:
        self._answer()
        for _ in range(min(step.number(), len(self.down))):
            self._receive(self.down.popleft().data)

    def release_far(self, step: Step) -> None:
        self.far.release(step.number())

    def cut(self, step: Step) -> None:
        """A new connection; what was under way is lost."""
        self.up.clear()
        self.down.clear()
        for end in (self.near, self.far):
            end.blobs.connection_made()
            assert end.receiver.held_bytes == sum(end.claimed)

    # What must hold

    def look(self) -> None:
        self.near.check()
        self.far.check()
        assert self.near.blobs.sender.waiting_bytes == sum(parcel.size for parcel in self.waiting)

    def finish(self) -> None:
        """What is not given up or refused arrives, when both ends are let.

        So many at once that there is no room to refuse them would end each connection.
        """
        while len(self.waiting) > _FEW:
            self.give_up(Step(b""))
        every = Step(b"*")
        every.number = lambda: 255  # type: ignore[method-assign]
        for _ in range(len(self.waiting) * 4 + 2):
            self.send(every)
            self.deliver_up(every)
            self.deliver_down(every)
            while self.far.claimed:
                self.far.release(0)
            self.look()
        assert not self.waiting
        assert not self.up

    # Inside

    def _parcel(self, step: Step) -> Parcel:
        blobs = [step.one_of(_CONTENTS) for _ in range(1 + step.number() % 3)]
        return Parcel(b"{}", self.near.blobs.sender.number(len(blobs)), blobs)

    def _answer(self) -> None:
        for entry in self.far.blobs.frames_to_send(0):
            assert isinstance(entry, Binary)
            self.down.append(entry)

    def _receive_frame(self, frame: Frame) -> None:
        data = encode(frame).data
        assert encode(decode(data)).data == data
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        try:
            refused = self.near.blobs.receive(data)
        except FrameError:
            self.near.check()
            self.cut(Step(b""))
        else:
            if refused is not None:
                self.waiting.remove(refused)


_STEPS: Steps = {
    ord("<"): _World.receive,
    ord("b"): _World.announce,
    ord("c"): _World.receive_chunk,
    ord("a"): _World.abort,
    ord("g"): _World.grant,
    ord("r"): _World.refuse,
    ord("k"): _World.claim,
    ord("K"): _World.release,
    ord("p"): _World.enqueue,
    ord("o"): _World.send_at_once,
    ord("f"): _World.send,
    ord("d"): _World.deliver_up,
    ord("u"): _World.deliver_down,
    ord("G"): _World.give_up,
    ord("R"): _World.release_far,
    ord("x"): _World.cut,
}
