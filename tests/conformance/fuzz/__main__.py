"""The fuzzer: ``python -m tests.conformance.fuzz --inputs 1000000``.

Every target gets its share of the inputs. What reads texts is fast, so it gets the most.
An input that breaks a rule ends its target and is kept; ``--replay FILE --target NAME``
checks it again. With ``--seed`` a run is repeatable.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.conformance.fuzz import blobs, client, guided, link, plain, server, texts
from tests.conformance.fuzz.watch import Figures, read

TARGETS: Final[dict[str, tuple[ModuleType, float]]] = {
    "texts": (texts, 0.4),
    "server": (server, 0.2),
    "client": (client, 0.15),
    "link": (link, 0.15),
    "blobs": (blobs, 0.1),
}
"""Each with its share of the inputs."""

_HEAD = ("target", "inputs", "seconds", "a second", "crashes", "longest", "slowest", "growth")
_FORM = "{:8} {:>9} {:>8} {:>9} {:>8} {:>9} {:>9} {:>8}"


def main(arguments: list[str]) -> int:
    """Fuzz, print what was found, and return how many targets broke a rule."""
    given = _parse(arguments)
    names = [given.target] if given.target else list(TARGETS)
    if given.replay:
        TARGETS[names[0]][0].check(given.replay.read_bytes())
        return 0
    engine = guided if guided.is_possible() and not given.plain else plain
    print(f"engine: {engine.__name__.rpartition('.')[2]}, seed: {given.seed}")
    print(_FORM.format(*_HEAD), flush=True)
    whole = sum(TARGETS[name][1] for name in names)
    total, began, failures = Figures(), time.monotonic(), {}
    for name in names:
        target, share = TARGETS[name]
        inputs = round(given.inputs * share / whole)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            figures = Path(folder) / "figures"
            try:
                engine.run(
                    target,
                    inputs=inputs,
                    seconds=given.seconds * share / whole,
                    seed=given.seed,
                    figures=figures,
                    crashes=given.crashes / name,
                )
            except Exception as error:  # noqa: BLE001 -- the others have their turn too
                failures[name] = str(error) or repr(error)
            found = read(figures)
        print(_line(name, found, time.monotonic() - started), flush=True)
        _add(total, found)
    print(_line("all", total, time.monotonic() - began))
    for name, failure in failures.items():
        print(f"\n{name}: an input that breaks a rule is in {given.crashes / name}\n{failure}")
    return len(failures)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=86_400, help="at most, for all targets")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--target", choices=TARGETS, help="default: all")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--crashes", type=Path, default=Path(".tandem/fuzz"), metavar="FOLDER")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="check only this; with --target"
    )
    given = parser.parse_args(arguments)
    if given.replay and not given.target:
        parser.error("--replay needs --target")
    return given


def _line(name: str, figures: Figures, seconds: float) -> str:
    return _FORM.format(
        *(name, f"{figures.inputs:,}", f"{seconds:.0f}", f"{figures.inputs / seconds:,.0f}"),
        *(figures.crashes, f"{figures.longest:,} B", f"{figures.slowest / 1e6:.0f} ms"),
        f"{figures.growth / 1e6:.1f} MB",
    )


def _add(total: Figures, found: Figures) -> None:
    total.inputs += found.inputs
    total.crashes += found.crashes
    total.longest = max(total.longest, found.longest)
    total.slowest = max(total.slowest, found.slowest)
    if found.growth > total.growth:
        total.first_memory, total.peak_memory = found.first_memory, found.peak_memory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
