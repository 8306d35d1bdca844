"""Messages written and read, beside bare ``json`` and bare ``orjson``.

Ours goes from Python values to a text and back: dates are ``datetime``, bytes are
``bytes``, every message is validated. The bare ones get a tree of plain JSON that holds
the wire's forms already, and check nothing: a codec of DDP on top of them has that work
still to do.
"""

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ejson import Ejson

ROUNDS = 9
SECONDS = 0.05
"""Of each codec in each round."""

Figures = dict[str, Any]
Codec = tuple[Callable[[], bytes], Callable[[], Any]]

_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
_EJSON = Ejson()


def _document(fields: int, size: int) -> dict[str, Any]:
    """Texts, numbers, truths and lists in turn."""
    kinds: tuple[Any, ...] = ("x" * size, 12345, 0.5, True, [1, "two"])
    return {f"field{number}": kinds[number % len(kinds)] for number in range(fields)}


VALUES: dict[str, tuple[str, Any]] = {
    "method, 100 bytes": ("method", ["x" * 80, 5]),
    "added, 10 fields": ("added", _document(10, 12)),
    "added, 5 dates and 1 KB": (
        "added",
        {"name": "n", "bytes": b"\xa5" * 1024} | {f"at{n}": _MOMENT for n in range(5)},
    ),
    "result, 10 KB": ("result", [_document(20, 60) for _ in range(24)]),
}
"""A message's kind, and what it holds."""


def run() -> Figures:
    """Messages a second: by message, codec and direction, medians over the rounds."""
    return {name: _measure(*value) for name, value in VALUES.items()}


def _measure(kind: str, value: Any) -> Figures:
    codecs = _codecs(kind, value)
    text = codecs["ours"][0]()
    assert json.loads(text) == json.loads(codecs["json"][0]())
    samples: dict[str, dict[str, list[float]]] = {
        name: {"encode": [], "decode": []} for name in codecs
    }
    for _ in range(ROUNDS):
        for name, (encode, decode) in codecs.items():
            samples[name]["encode"].append(_rate(encode))
            samples[name]["decode"].append(_rate(decode))
    rates = {
        name: {way: statistics.median(series) for way, series in ways.items()}
        for name, ways in samples.items()
    }
    return {"bytes": len(text)} | rates


def _codecs(kind: str, value: Any) -> dict[str, Codec]:
    def encode() -> bytes:
        raw = Raw(_EJSON.dumps(value))
        match kind:
            case "method":
                return m.encode(m.Method("1", "echo", raw))
            case "added":
                return m.encode(m.Added("items", "a", raw))
            case _:
                return m.encode(m.Result("1", result=raw))

    text = encode()
    tree = orjson.loads(text)
    read = m.decode_from_client if kind == "method" else m.decode_from_server
    held = {"method": "params", "added": "fields", "result": "result"}[kind]
    shown = text.decode()  # as a WebSocket library hands it over

    def decode() -> Any:
        return _EJSON.loads(bytes(getattr(read(shown), held)))

    assert msgspec.to_builtins(decode()) == msgspec.to_builtins(value)
    return {
        "ours": (encode, decode),
        "json": (
            lambda: json.dumps(tree, separators=(",", ":")).encode(),
            lambda: json.loads(shown),
        ),
        "orjson": (lambda: orjson.dumps(tree), lambda: orjson.loads(shown)),
    }


def _rate(work: Callable[[], object]) -> float:
    """How often a second."""
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < SECONDS:
        for _ in range(50):
            work()
        count += 50
    return count / passed


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    lines = [
        "thousand messages a second; ours / the bare one",
        "",
        "| message | bytes | | ours | json | orjson | / json | / orjson |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in figures.items():
        for way in ("encode", "decode"):
            ours, plain, fast = (found[codec][way] for codec in ("ours", "json", "orjson"))
            lines.append(
                f"| {name} | {found['bytes']:,} | {way} | {ours / 1e3:,.0f} | {plain / 1e3:,.0f} "
                f"| {fast / 1e3:,.0f} | {ours / plain:.2f} | {ours / fast:.2f} |"
            )
    return "\n".join(lines)
