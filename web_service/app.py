"""Builds the web service from its settings, runs it, and stops it in order."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from settings import RateLimit, RpcSettings, Settings, WebSettings
from shared.contracts.contract import Contract, contracts_in
from shared.models.database import Database, open_database
from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.models.order_import import OrderImporter
from shared.models.order_store import OrderStore
from shared.models.prepare import prepare_when_up
from shared.models.session_store import SessionStore
from shared.models.user_store import UserStore
from shared.ops import log as logs
from shared.ops.background import done_before, running
from shared.ops.garbage import freeze_what_is_there
from shared.ops.health import Health
from shared.ops.metrics import new_registry, watch_loop_lag
from shared.ops.signals import stop_on_signals
from shared.ops.version import VERSION
from shared.rpc.addresses import AddressLimit
from shared.rpc.client import Client, ClientConfig
from shared.rpc.ddp import tandem
from shared.rpc.ddp.blob_receiver import BlobLimits
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.rate_limit import RateLimiter, Rule, each, each_known
from shared.rpc.server import Server, ServerConfig
from shared.rpc.transport import TransportConfig
from web_service import keys
from web_service.accounts import Accounts
from web_service.api import (
    accounts,
    calls,
    files,
    jobs,
    openapi,
    operations,
    orders,
    pages,
    websocket,
)
from web_service.auth import Auth, AuthConfig
from web_service.feed import Feed
from web_service.file_view import file_view
from web_service.http_server import HttpConfig, HttpRunner
from web_service.job_view import job_view
from web_service.jobs import Jobs
from web_service.live import Feeds, Live
from web_service.logins import Logins
from web_service.measure import measuring_middleware
from web_service.peers import Peers
from web_service.problems import problem_middleware
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.endpoint import SockJs
from web_service.user_feed import UserFeed

log = structlog.get_logger()

UI_FOLDER = Path(__file__).parent / "ui" / "dist"

_FEATURES = (accounts, calls, files, jobs, openapi, operations, orders, pages, websocket)
_DATABASE_PATIENCE_SECONDS = 5.0


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way, and return."""
    logs.configure("web", settings.log.level, settings.log.format)
    stop = stop_on_signals()
    registry = new_registry()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(
                settings.mongo.url,
                settings.mongo.database,
                settings.mongo.driver,
                patience_seconds=_DATABASE_PATIENCE_SECONDS,
            )
        )
        if not await done_before(stop, prepare_when_up(database)):
            return
        clients = [
            await stack.enter_async_context(_client(settings, url))
            for url in settings.web.jobs_urls
        ]
        app = application(settings, database, clients, registry)
        await stack.enter_async_context(
            running(
                app[keys.JOBS].run(),
                *(feed.run() for feed in app[keys.FEEDS]),
                app[keys.ACCOUNTS].run(),
                watch_loop_lag(registry),
            )
        )
        runner = http_runner(app, settings)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, settings.web.host, settings.web.port).start()
        freeze_what_is_there()
        log.info("web.started", port=settings.web.port)
        await stop.wait()
        log.info("web.stopping")
        app[keys.HEALTH].draining = True
        await app[keys.DDP].close()
    log.info("web.stopped")


def application(
    settings: Settings, database: Database, clients: Sequence[Client], registry: CollectorRegistry
) -> web.Application:
    """The aiohttp application with all of its parts and routes."""
    files, store = FileStore(database), JobStore(database)
    feeds = Feeds(jobs=Feed("jobs", store, job_view), files=Feed("files", files, file_view))
    users = UserStore(database)
    sessions = SessionStore(database, lifetime=timedelta(days=settings.web.session_days))
    auth = Auth(users, sessions, _auth_config(settings.web))
    limit = AddressLimit(settings.rpc.max_connections_per_address)
    peers = Peers(limit, settings.web.forwarded_count)
    logins = Logins(sessions)
    accounts = Accounts(auth, peers, logins, UserFeed(users))
    jobs = Jobs(_offered_contracts(settings), clients, store, files)
    app = web.Application(
        middlewares=[measuring_middleware(registry), problem_middleware, auth.origin_middleware],
    )
    app[keys.ACCOUNTS] = accounts
    app[keys.AUTH] = auth
    app[keys.DDP] = _ddp_server(settings, Live(jobs, store, feeds), accounts)
    app[keys.FEEDS] = feeds
    app[keys.FILES] = files
    app[keys.HEALTH] = Health(
        "web",
        VERSION,
        registry,
        {"mongo": database.ping},
        lambda: {"jobsService": "connected" if jobs.available else "not connected"},
    )
    app[keys.JOBS] = jobs
    app[keys.JOB_STORE] = store
    app[keys.LOGINS] = logins
    app[keys.MAX_MESSAGE_BYTES] = settings.rpc.max_message_megabytes * 1_000_000
    app[keys.ORDERS] = OrderStore(database)
    app[keys.ORDER_IMPORTER] = OrderImporter(database)
    app[keys.PEERS] = peers
    app[keys.PUBLIC] = settings.public
    app[keys.UI] = UI_FOLDER
    app[keys.UPLOADS] = keys.Uploads(
        max_bytes=settings.web.max_upload_megabytes * 1_000_000,
        keep_for=timedelta(days=settings.web.file_days),
    )
    for feature in _FEATURES:
        app.add_routes(feature.routes)
    if settings.web.sockjs:
        _sockjs(settings, app[keys.DDP], auth, peers).add_to(app)
    return app


def _sockjs(settings: Settings, ddp: Server, auth: Auth, peers: Peers) -> SockJs:
    return SockJs(
        ddp.serve,
        user_id=auth.user_id,
        origin_allowed=auth.origin_allowed,
        admit=peers.admit,
        config=SockJsConfig(
            max_message_bytes=settings.rpc.max_message_megabytes * 1_000_000,
            client_url=settings.web.sockjs_client_url,
            frame_ancestors=settings.web.trusted_origins,
        ),
    )


def _ddp_server(settings: Settings, live: Live, accounts: Accounts) -> Server:
    return Server(
        {**live.methods, **accounts.methods},
        {**live.publications, **accounts.publications},
        custom_types=[OBJECT_ID],
        config=_server_config(settings.rpc),
        universal=accounts.universal,
        rate_limiter=RateLimiter(map(_rule, settings.web.rate_limits)),
        forwarded_count=settings.web.forwarded_count,
        on_connection=accounts.opened,
    )


def http_runner(app: web.Application, settings: Settings) -> HttpRunner:
    """What serves the application over HTTP."""
    return HttpRunner(
        app,
        HttpConfig(
            header_seconds=settings.web.header_seconds,
            keep_alive_seconds=settings.web.keep_alive_seconds,
            drain_seconds=settings.web.drain_seconds,
        ),
    )


def _offered_contracts(settings: Settings) -> dict[str, type[Contract[Any]]]:
    return {
        name: contract
        for name, contract in contracts_in(["shared.contracts"]).items()
        if settings.jobs.system_jobs or not name.startswith("system.")
    }


def _auth_config(settings: WebSettings) -> AuthConfig:
    return AuthConfig(
        session_for=timedelta(days=settings.session_days),
        secure_cookies=settings.secure_cookies,
        trusted_origins=settings.trusted_origins,
        logins_per_address=settings.logins_per_address,
    )


def _rule(limit: RateLimit) -> Rule:
    return Rule(
        limit=limit.calls,
        seconds=limit.seconds,
        name=limit.name or None,
        connection_id=each if limit.per == "connection" else None,
        user_id=each_known if limit.per == "user" else None,
        client_address=each if limit.per == "address" else None,
    )


def _client(settings: Settings, url: str) -> Client:
    token = settings.rpc.token
    return Client(
        url,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        custom_types=[OBJECT_ID],
        config=ClientConfig(
            session=ClientSessionConfig(
                heartbeat=_heartbeat(settings.rpc),
                versions=tandem.VERSIONS,
                blobs=BlobLimits(
                    max_blob_bytes=settings.rpc.max_blob_megabytes * 1_000_000,
                    max_held_bytes=settings.rpc.max_blobs_megabytes * 1_000_000,
                ),
            ),
            transport=TransportConfig(
                max_message_bytes=settings.rpc.max_message_megabytes * 1_000_000
            ),
        ),
    )


def _server_config(settings: RpcSettings) -> ServerConfig:
    return ServerConfig(
        heartbeat=_heartbeat(settings),
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
    )


def _heartbeat(settings: RpcSettings) -> HeartbeatConfig:
    return HeartbeatConfig(
        interval=settings.heartbeat_seconds, timeout=settings.heartbeat_timeout_seconds
    )
