"""The command line of ``scripts/run``; standard library only, since it is read before set-up."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Options(NamedTuple):
    """What ``scripts/run`` was asked to do."""

    port: int
    jobs_port: int
    data: Path
    """Absolute."""
    mongo_url: str | None
    seed: bool


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; ends the process after ``--help`` or a mistake."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        prog="scripts/run",
        description="Runs MongoDB, the jobs service and the web service until Ctrl-C.",
        epilog=(
            "environment: MONGO_URL (as --mongo-url), MONGOD (a mongod to use), "
            "TANDEM_DEMO_PASSWORD (of the demo accounts), TANDEM_<SECTION>__<NAME> (any setting)"
        ),
    )
    parser.add_argument("--port", type=_port, default=8000, help="of the web service (8000)")
    parser.add_argument("--jobs-port", type=_port, default=8010, help="of the jobs service (8010)")
    parser.add_argument(
        "--data", type=_folder, default=root / ".tandem", metavar="DIR", help="(.tandem)"
    )
    parser.add_argument(
        "--mongo-url", metavar="URL", help="a MongoDB replica set to use instead of starting one"
    )
    parser.add_argument("--no-seed", action="store_true", help="make no sample orders")
    given = parser.parse_args(arguments)
    if given.port == given.jobs_port:
        parser.error("--port and --jobs-port must differ")
    return Options(
        port=given.port,
        jobs_port=given.jobs_port,
        data=given.data.resolve(),
        mongo_url=given.mongo_url,
        seed=not given.no_seed,
    )


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is missing")
    return Path(text)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port (1 to 65535)")
    return port
