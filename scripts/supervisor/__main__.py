"""``scripts/run`` after the set-up: runs the supervisor under the virtual environment's Python."""

import asyncio
import os
import sys
from pathlib import Path

from scripts.supervisor import options
from scripts.supervisor.output import Output
from scripts.supervisor.supervisor import Supervisor, programs

ROOT = Path(__file__).resolve().parents[2]


async def main(arguments: list[str]) -> int:
    """Run everything until a signal; 0 after one, 1 when the start failed."""
    asked = options.parse(arguments)
    supervisor = Supervisor(
        asked, programs(ROOT, asked), root=ROOT, environ=os.environ, output=Output()
    )
    return await supervisor.run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
