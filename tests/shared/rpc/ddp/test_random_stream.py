"""Random streams against what Meteor draws, and against node for odd seeds."""

import pytest

from shared.rpc.ddp.random_stream import ID_ALPHABET, RandomStream, RandomStreams


def test_103_the_vectors_of_meteor() -> None:
    streams = RandomStreams("abc123")
    ids = [streams.stream("/collection/x").id() for _ in range(2)]
    assert ids == ["vCmpe6YmPDL5J27SB", "d6KHYTWtRhg4g4KdE"]
    assert streams.stream("default").id() == "DqSFuJwi4cSyyCwoj"
    assert streams.stream("/collection/x").hex_string(20) == "f17e2d11f14ed677f34f"


def test_103_streams_do_not_disturb_one_another() -> None:
    one, other = RandomStreams("s"), RandomStreams("s")
    one.stream("a").id()
    assert one.stream("b").id() == other.stream("b").id()
    assert one.stream("a").id() != other.stream("a").id()
    assert RandomStreams("t").stream("b").id() != RandomStreams("s").stream("b").id()


def test_seeds_are_utf_16_as_in_javascript() -> None:
    stream = RandomStream(["é\N{GRINNING FACE}\ud800", "default"])
    assert stream.hex_string(40) == "08dc4e96968960e1e0e161db06b6734ef7f1815e"  # node's


@pytest.mark.parametrize("seed", ["", "é", "\N{GRINNING FACE}", "\ud800", "x" * 10_000])
def test_any_seed_gives_numbers_below_one(seed: str) -> None:
    stream = RandomStream([seed])
    assert all(0 <= stream.fraction() < 1 for _ in range(1000))
    assert set(stream.id(500)) <= set(ID_ALPHABET)
