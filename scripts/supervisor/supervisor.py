"""Brings everything up in order, keeps it up, and takes it down in the reverse order."""

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.environment.console import SetupError
from scripts.supervisor import ports
from scripts.supervisor.database import Database, EmbeddedDatabase, GivenDatabase
from scripts.supervisor.mongod import MongodUnavailable
from scripts.supervisor.options import Options
from scripts.supervisor.output import Output
from scripts.supervisor.processes import dying_with_parent
from scripts.supervisor.service import Service

READY_SECONDS = 60
# They add up to less than the 10 s that everything together may take.
STOP_SEED_SECONDS = 0.5
STOP_WEB_SECONDS = 3.5
STOP_JOBS_SECONDS = 4.0
STOP_MONGOD_SECONDS = 1.5

_POLL_SECONDS = 0.05


class StartFailed(Exception):
    """It can't be brought up; the message says why and what to do."""


class Programs(NamedTuple):
    """The commands that are run; tests put others in their place."""

    web: list[str]
    jobs: list[str]
    accounts: list[str]
    """Makes the demo accounts and prints what to tell about them."""
    seed: list[str]


def programs(root: Path, options: Options) -> Programs:
    """The project's own programs, under this very interpreter."""
    settings = ["--settings", str(root / "settings" / "settings-development.json")]
    module = [sys.executable, "-m"]
    return Programs(
        web=[*module, "web_service", *settings],
        jobs=[*module, "jobs_service", *settings],
        accounts=[*module, "scripts.accounts", "--file", str(options.data / "demo-accounts.txt")],
        seed=[*module, "scripts.seed", "--if-empty"],
    )


class Supervisor:
    """MongoDB, the jobs service and the web service, as one thing that runs or doesn't."""

    def __init__(
        self,
        options: Options,
        programs: Programs,
        *,
        root: Path,
        environ: Mapping[str, str],
        output: Output,
    ) -> None:
        self._options = options
        self._output = output
        self._root = root
        self._environ = environ
        self._stop_requested = asyncio.Event()
        self._background: list[asyncio.Task[Any]] = []
        self._exit_status = 0
        given = options.mongo_url or environ.get("MONGO_URL") or environ.get("TANDEM_MONGO__URL")
        self._database: Database = (
            GivenDatabase(given) if given else EmbeddedDatabase(options.data, environ, output)
        )
        self._accounts = programs.accounts
        self._jobs = self._service("jobs", programs.jobs)
        self._web = self._service("web", programs.web)
        self._seed = self._service("seed", programs.seed)

    async def run(self) -> int:
        """Run until a signal asks to stop, or the start fails; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        async with asyncio.TaskGroup() as tasks:
            self._background.append(tasks.create_task(self._work(tasks)))
            await self._stop_requested.wait()
            await self._stop_all()
        return self._exit_status

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._output.say("\nStopping at once.")
            for service in (self._web, self._jobs, self._seed):
                service.kill()
        else:
            self._output.say("\nStopping (Ctrl-C again: at once) …")
            self._stop_requested.set()

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._bring_up(tasks)
        except (StartFailed, MongodUnavailable, SetupError) as error:
            self._output.say(f"scripts/run: {error}")
            self._exit_status = 1
            self._stop_requested.set()

    async def _bring_up(self, tasks: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        self._check_ports()
        self._output.say("==> Starting MongoDB")
        await self._database.open()
        self._output.say(f"    {self._database.describe()}")
        self._background.append(tasks.create_task(self._keep_database()))
        self._output.say("==> Starting the jobs service and the web service")
        for service in (self._jobs, self._web):
            tasks.create_task(service.keep_running())
        accounts = tasks.create_task(self._make_accounts())
        self._background.append(accounts)
        await self._wait_until_ready(self._jobs, self._options.jobs_port)
        await self._wait_until_ready(self._web, self._options.port)
        self._say_ready(time.monotonic() - began, await accounts)
        if self._options.seed:
            await self._seed.run_once()

    def _check_ports(self) -> None:
        wanted = [
            ("web", "--port", self._options.port),
            ("jobs", "--jobs-port", self._options.jobs_port),
        ]
        for service, option, port in wanted:
            if not ports.is_free(port):
                held_by = ports.holder(port) or "a process that can't be seen from here"
                raise StartFailed(
                    f"port {port}, for the {service} service, is held by {held_by}. "
                    f"Stop that, or choose another: {option} {ports.free_port()}"
                )

    async def _keep_database(self) -> None:
        """Follow the database; where it moves, the services have to follow too."""
        url = self._database.url
        async for _ in self._database.restarts():
            if self._database.url != url:
                url = self._database.url
                self._jobs.restart()
                self._web.restart()

    async def _wait_until_ready(self, service: Service, port: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not await _answers_ok(port, "/readyz"):
            if service.ended.is_set():
                raise StartFailed(f"the {service.name} service {service.last_exit}")
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"the {service.name} service was not ready within {READY_SECONDS} s: "
                    f"http://127.0.0.1:{port}/readyz tells why"
                )
            await asyncio.sleep(_POLL_SECONDS)
        service.was_ready = True

    async def _make_accounts(self) -> str:
        """What to tell about the demo accounts."""
        process = await asyncio.create_subprocess_exec(
            *self._accounts,
            cwd=self._root,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=dying_with_parent(),
        )
        said, _ = await process.communicate()
        return said.decode(errors="replace").rstrip()

    def _say_ready(self, seconds: float, accounts: str) -> None:
        port, jobs_port = self._options.port, self._options.jobs_port
        self._output.say(
            f"""
Tandem is ready ({seconds:.1f} s).

  Page       http://127.0.0.1:{port}/
  Web        http://127.0.0.1:{port}/readyz   ws://127.0.0.1:{port}/websocket
  Jobs       http://127.0.0.1:{jobs_port}/readyz   ws://127.0.0.1:{jobs_port}/websocket
  Database   {self._database.describe()}
  Data       {self._options.data}

{accounts}

  Ctrl-C stops everything.
"""
        )

    async def _stop_all(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.wait(self._background)
        await self._seed.stop(STOP_SEED_SECONDS)
        await self._web.stop(STOP_WEB_SECONDS)
        await self._jobs.stop(STOP_JOBS_SECONDS)
        await self._database.close(STOP_MONGOD_SECONDS)

    def _service(self, name: str, command: Sequence[str]) -> Service:
        return Service(
            name, command, environ=self._environment, directory=self._root, output=self._output
        )

    def _environment(self) -> dict[str, str]:
        """What the programs run with: as we do, and where everything is."""
        options = self._options
        ours = {
            "MONGO_URL": self._database.url,
            "TANDEM_WEB__PORT": str(options.port),
            "TANDEM_JOBS__PORT": str(options.jobs_port),
            "TANDEM_WEB__JOBS_URLS": f"ws://127.0.0.1:{options.jobs_port}/websocket",
            "PYTHONUNBUFFERED": "1",
        }
        if self._output.is_terminal:  # theirs is a pipe to us, but a person reads it
            ours["TANDEM_LOG__FORMAT"] = self._environ.get("TANDEM_LOG__FORMAT", "console")
        # Given to us for our own start, or said better by MONGO_URL.
        dropped = {"PYTHONPATH", "TANDEM_MONGO__URL", "TANDEM_SETTINGS"}
        kept = {name: value for name, value in self._environ.items() if name not in dropped}
        return {**kept, **ours}


async def _answers_ok(port: int, path: str) -> bool:
    """Whether ``GET path`` is answered with status 200."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
