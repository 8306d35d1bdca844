"""Runs a target under atheris (libFuzzer), which keeps the inputs that reach new code.

A process of its own: libFuzzer ends the one that it runs in.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from types import ModuleType

from tests.conformance.fuzz.mutation import Mutator
from tests.conformance.fuzz.plain import MAX_BYTES
from tests.conformance.fuzz.watch import Figures, Watch, read

_HANG_SECONDS = 20
_MEMORY_MEGABYTES = 1_024


def is_possible() -> bool:
    """Whether atheris is there; it has no packages for every system."""
    return importlib.util.find_spec("atheris") is not None


def run(
    target: ModuleType, *, inputs: int, seconds: float, seed: int, figures: Path, crashes: Path
) -> Figures:
    """Check so many inputs, or as many as there is time for.

    Raises:
        AssertionError: an input broke a rule, took too long or too much memory.
    """
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(target.SEEDS):
            (Path(corpus) / str(number)).write_bytes(data)
        crashes.mkdir(parents=True, exist_ok=True)
        options = [
            *(f"-runs={inputs}", f"-max_total_time={int(seconds)}", f"-seed={seed}"),
            *(f"-max_len={MAX_BYTES}", f"-timeout={_HANG_SECONDS}"),
            *(f"-rss_limit_mb={_MEMORY_MEGABYTES}", f"-artifact_prefix={crashes}/", "-verbosity=0"),
        ]
        done = subprocess.run(
            [sys.executable, "-m", __name__, target.__name__, figures, crashes, *options, corpus],
            capture_output=True,
            text=True,
            check=False,
        )
    found = read(figures)
    assert (done.returncode, found.crashes) == (0, 0), done.stderr[-4_000:]
    return found


def main(arguments: list[str]) -> None:
    """The process: ``TARGET FIGURES CRASHES`` and libFuzzer's own options."""
    import atheris

    name, figures, crashes, *options = arguments
    with atheris.instrument_imports(include=["shared.rpc"]):
        target = importlib.import_module(name)
    watch = Watch(target.check, Path(figures), Path(crashes))
    mutator = Mutator(0, target.LINES, MAX_BYTES)
    random = Random()

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random.seed(seed)
        if random.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        return mutator.made_from(data, seed)[:max_size]

    atheris.Setup(["fuzz", *options], watch.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
