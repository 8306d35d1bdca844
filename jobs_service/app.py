"""Builds the jobs service from its settings, runs it, and stops it in order."""

import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog
from prometheus_client import CollectorRegistry, Gauge

from jobs_service.calls import Calls
from jobs_service.executor import Executor
from jobs_service.job import Job, jobs_in
from jobs_service.maintenance import Maintenance
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import PoolConfig
from jobs_service.runner import Runner, RunnerConfig
from jobs_service.server import JobsServer
from settings import JobsSettings, MongoSettings, RpcSettings, Settings
from shared.models.database import open_database
from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.models.order_import import OrderImporter
from shared.models.prepare import prepare_when_up
from shared.ops import log as logs
from shared.ops.background import done_before, running
from shared.ops.garbage import freeze_what_is_there
from shared.ops.health import Health
from shared.ops.metrics import new_registry, watch_loop_lag
from shared.ops.signals import stop_on_signals
from shared.ops.version import VERSION
from shared.rpc.addresses import AddressLimit
from shared.rpc.ddp import tandem
from shared.rpc.ddp.blob_receiver import BlobLimits
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.server import Server, ServerConfig
from shared.rpc.transport import TransportConfig

log = structlog.get_logger()

_PRELOAD = ("pyvips", "pillow_heif", "pymongo", "rustpy_xlsxwriter")
_RESCUES_PER_LEASE = 5


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way, and return."""
    logs.configure("jobs", settings.log.level, settings.log.format)
    stop = stop_on_signals()
    registry = new_registry()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(settings.mongo.url, settings.mongo.database, settings.mongo.driver)
        )
        if not await done_before(stop, prepare_when_up(database)):
            return
        pool = await stack.enter_async_context(Pool(_pool_config(settings.jobs)))
        _watch_pool(pool, registry)
        jobs = JobStore(database, keep=timedelta(days=settings.jobs.job_days))
        files = FileStore(database)
        executor = Executor(
            offered_jobs(settings.jobs),
            pool,
            files,
            database_url=_with_database(settings.mongo),
            keep_files_for=timedelta(days=settings.web.file_days),
            registry=registry,
        )
        runner = Runner(jobs, executor, _runner_config(settings.jobs, pool))
        calls = Calls(
            executor, pool, max_waiting=settings.jobs.max_waiting_calls, wake_runner=runner.wake
        )
        health = Health(
            "jobs",
            VERSION,
            registry,
            {"mongo": database.ping, "pool": pool.check},
            lambda: {"pool": _pool_state(pool), "runningJobs": runner.running},
        )
        await stack.enter_async_context(running(watch_loop_lag(registry)))
        server = _server(settings.rpc, calls, health)
        await stack.enter_async_context(server.listening(settings.jobs.host, settings.jobs.port))
        if settings.jobs_run_here:
            maintenance = Maintenance(
                jobs,
                files,
                OrderImporter(database),
                rescue_seconds=settings.jobs.lease_seconds / _RESCUES_PER_LEASE,
                on_rescued=runner.wake,
            )
            await stack.enter_async_context(running(runner.run(), maintenance.run()))
        freeze_what_is_there()
        log.info("jobs.started", port=settings.jobs.port, slots=pool.slots)
        await stop.wait()
        log.info("jobs.stopping")
        health.draining = True
        await runner.drain(settings.jobs.drain_seconds)
    log.info("jobs.stopped")


def _server(settings: RpcSettings, calls: Calls, health: Health) -> JobsServer:
    ddp = Server(
        calls.methods,
        calls.publications,
        custom_types=[OBJECT_ID],
        config=_server_config(settings),
    )
    limit = AddressLimit(settings.max_connections_per_address)
    return JobsServer(ddp, health, settings.token, _transport_config(settings), limit)


def offered_jobs(settings: JobsSettings) -> Mapping[str, Job]:
    """The jobs of the settings' packages; the ``system.*`` ones only where that is on."""
    return {
        name: job
        for name, job in jobs_in(settings.packages).items()
        if settings.system_jobs or not name.startswith("system.")
    }


def _pool_config(settings: JobsSettings) -> PoolConfig:
    return PoolConfig(
        slots=settings.slots or len(os.sched_getaffinity(0)),
        spares=settings.spares,
        packages=settings.packages,
        preload=_PRELOAD,
    )


def _runner_config(settings: JobsSettings, pool: Pool) -> RunnerConfig:
    return RunnerConfig(
        service=f"{socket.gethostname()}:{settings.port}:{os.getpid()}",
        concurrency=pool.slots,
        lease_seconds=settings.lease_seconds,
        poll_seconds=settings.poll_seconds,
    )


def _pool_state(pool: Pool) -> dict[str, Any]:
    """For ``/readyz``: how full the pool is, and which child runs what."""
    return {
        "slots": pool.slots,
        "busy": pool.busy,
        "waiting": pool.waiting,
        "children": [{"pid": child.pid, "run": child.run_id} for child in pool.children()],
    }


def _with_database(mongo: MongoSettings) -> str:
    """The URL that children open: with the database's name as its path."""
    parts = urlsplit(mongo.url)
    return urlunsplit(parts._replace(path=f"/{mongo.database}"))


def _watch_pool(pool: Pool, registry: CollectorRegistry) -> None:
    for name, text, read in (
        ("slots", "Runs that the pool can have at once.", lambda: pool.slots),
        ("busy", "Runs that the pool has now.", lambda: pool.busy),
        ("waiting", "Runs that wait for a slot.", lambda: pool.waiting),
    ):
        Gauge(f"tandem_pool_{name}", text, registry=registry).set_function(read)


def _server_config(settings: RpcSettings) -> ServerConfig:
    return ServerConfig(
        versions=tandem.VERSIONS,
        heartbeat=HeartbeatConfig(
            interval=settings.heartbeat_seconds, timeout=settings.heartbeat_timeout_seconds
        ),
        connect_timeout=settings.connect_seconds,
        idle_timeout=settings.idle_seconds,
        resume_timeout=settings.resume_seconds,
        replay_bytes=settings.replay_kilobytes * 1_000,
        max_depth=settings.max_nesting_depth,
        max_methods=settings.max_outstanding_methods,
        max_queued_bytes=settings.max_queued_megabytes * 1_000_000,
        max_subscriptions=settings.max_subscriptions,
        max_documents=settings.max_documents,
        outbox_high=settings.outbox_high_kilobytes * 1_000,
        outbox_low=settings.outbox_low_kilobytes * 1_000,
        outbox_limit=settings.outbox_limit_megabytes * 1_000_000,
        blobs=BlobLimits(
            max_blob_bytes=settings.max_blob_megabytes * 1_000_000,
            max_held_bytes=settings.max_blobs_megabytes * 1_000_000,
        ),
    )


def _transport_config(settings: RpcSettings) -> TransportConfig:
    return TransportConfig(max_message_bytes=settings.max_message_megabytes * 1_000_000)
