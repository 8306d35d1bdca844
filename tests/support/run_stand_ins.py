"""The supervisor with stand-ins for the services: ``python -m tests.support.run_stand_ins``."""

import asyncio
import os
import sys

from scripts.supervisor import options
from scripts.supervisor.output import Output
from scripts.supervisor.supervisor import Programs, Supervisor
from tests.support.paths import ROOT

STAND_IN = str(ROOT / "tests" / "support" / "stand_in.py")


async def main(arguments: list[str]) -> int:
    """As ``scripts.supervisor``, with other programs."""
    asked = options.parse(arguments)
    programs = Programs(
        web=[sys.executable, STAND_IN, "web"],
        jobs=[sys.executable, STAND_IN, "jobs"],
        accounts=["echo", "  Accounts   none"],
        seed=["echo", "seeded"],
    )
    supervisor = Supervisor(asked, programs, root=ROOT, environ=os.environ, output=Output())
    return await supervisor.run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
