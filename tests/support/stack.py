"""The two services as real processes, for tests that use them as people and programs do."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from scripts.supervisor import ports
from scripts.supervisor.processes import dying_with_parent
from shared.models.database import open_database
from shared.models.user_store import UserStore
from tests.support.waiting import eventually

PASSWORD = "correct horse battery staple"
ROOT = Path(__file__).parents[2]


class Service:
    """One service as a process of its own: started, killed, started again."""

    def __init__(self, name: str, port: int, settings: Mapping[str, Any], log: Path) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = settings
        self._log = log

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.start_without_waiting()
        await self.ready()

    def start_without_waiting(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TANDEM_") and name != "MONGO_URL"
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{self.name}_service"],
                cwd=ROOT,
                env=environment | {"TANDEM_SETTINGS": json.dumps(self._settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dying_with_parent(),  # noqa: PLW1509 - no lock is taken in it
            )

    async def ready(self) -> None:
        async with aiohttp.ClientSession() as http:
            await eventually(lambda: self._is_ready(http), 60, f"{self.name} ready: {self.log()}")

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log()}")
        try:
            async with http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        """The end of what it logged."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


class Api:
    """An HTTP client that is logged in."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded body (None where there is none) of one request."""
        data = None if body is None else io.BytesIO(json.dumps(body).encode())
        async with self.http.request(method, self.url + path, data=data) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def log_in(self, username: str) -> None:
        status, body = await self.json(
            "POST", "/api/login", {"username": username, "password": PASSWORD}
        )
        assert status == 200, body

    async def upload(
        self, data: bytes, filename: str, content_type: str = "image/jpeg"
    ) -> tuple[int, Any]:
        """Store a file; status and decoded body."""
        return await self.upload_to("/api/files", data, filename, content_type)

    async def upload_to(
        self, path: str, data: bytes, filename: str, content_type: str = "text/csv"
    ) -> tuple[int, Any]:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename=filename, content_type=content_type)
        async with self.http.post(self.url + path, data=form) as answer:
            return answer.status, await answer.json(content_type=None)

    async def download(self, file_id: str) -> bytes:
        async with self.http.get(f"{self.url}/api/files/{file_id}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def submit(self, job_type: str, params: Mapping[str, Any], **more: Any) -> str:
        status, body = await self.json(
            "POST", "/api/jobs", {"type": job_type, "params": params, **more}
        )
        assert status == 202, body
        return str(body["id"])

    async def ended(self, job_id: str, timeout: float = 60) -> dict[str, Any]:
        """The job, once it is completed, cancelled or discarded."""

        async def job() -> dict[str, Any] | None:
            _, body = await self.json("GET", f"/api/jobs/{job_id}")
            return body if body["state"] in {"completed", "cancelled", "discarded"} else None

        found = await eventually(job, timeout, f"job {job_id} ended")
        assert isinstance(found, dict)
        return found


class Stack:
    """A web service and a jobs service on one database, with two users, ann and bob, and an operator, opal."""

    def __init__(self, mongo_url: str, database: str, folder: Path, **jobs: Any) -> None:
        self.mongo_url = mongo_url
        self.database = database
        web_port, jobs_port = ports.free_port(), ports.free_port()
        settings = {
            "environment": "development",
            "mongo": {"url": mongo_url, "database": database},
            "web": {
                "port": web_port,
                "jobsUrls": [f"ws://127.0.0.1:{jobs_port}/websocket"],
                "sockjs": True,
                "loginsPerAddress": 10_000,  # every test logs in, from the same address
            },
            "jobs": {"port": jobs_port, "systemJobs": True, "slots": 2, "leaseSeconds": 2, **jobs},
        }
        self.web = Service("web", web_port, settings, folder / "web.log")
        self.jobs = Service("jobs", jobs_port, settings, folder / "jobs.log")

    async def start(self) -> None:
        self.web.start_without_waiting()
        self.jobs.start_without_waiting()
        await self.web.ready()
        await self.jobs.ready()
        await self.connected()
        async with open_database(self.mongo_url, self.database) as database:
            users = UserStore(database)
            for name in ("ann", "bob"):
                await users.create(name, PASSWORD)
            await users.create("opal", PASSWORD, "operator")

    async def connected(self) -> None:
        """Wait until the web service has its connection to the jobs service."""

        async def is_connected() -> bool:
            async with self.client() as api:
                _, body = await api.json("GET", "/readyz")
                return bool(body["jobsService"] == "connected")

        await eventually(is_connected, 20, "web connected to jobs")

    @asynccontextmanager
    async def client(self, username: str | None = None) -> AsyncIterator[Api]:
        # Cookies of an address, not a name, are kept only by a jar that is told to.
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            api = Api(http, self.web.url)
            if username is not None:
                await api.log_in(username)
            yield api

    async def close(self) -> None:
        for service in (self.web, self.jobs):
            if service.process is not None and service.process.poll() is None:
                service.process.terminate()
        for service in (self.web, self.jobs):
            if service.process is not None:
                try:
                    await asyncio.to_thread(service.process.wait, 20)
                except subprocess.TimeoutExpired:
                    service.process.kill()


@asynccontextmanager
async def running_stack(
    mongo_url: str, database: str, folder: Path, **jobs: Any
) -> AsyncIterator[Stack]:
    """A started stack; stopped at the end, whatever the test did to it."""
    stack = Stack(mongo_url, database, folder, **jobs)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.close()
