"""Runs the benchmarks: all of them, or the one that is named."""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import bytes as bytes_
from benchmarks import calls, codec, ddp, pool, sessions, web

BENCHMARKS: dict[str, ModuleType] = {
    "codec": codec,
    "ddp": ddp,
    "bytes": bytes_,
    "calls": calls,
    "web": web,
    "pool": pool,
    "sessions": sessions,
}


def main() -> int:
    """Measure, print a table for each, and write ``--json FILE`` when asked to."""
    parser = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--sessions", type=int, metavar="N", help="of sessions; default: 10,000")
    options = parser.parse_args()
    names = [options.name] if options.name else list(BENCHMARKS)
    figures: dict[str, Any] = {}
    for name in names:
        benchmark = BENCHMARKS[name]
        print(f"\n## {name}: {(benchmark.__doc__ or '').partition(chr(10))[0]}\n", flush=True)
        sized = (options.sessions,) if name == "sessions" and options.sessions else ()
        figures[name] = benchmark.run(*sized)
        print(benchmark.table(figures[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
