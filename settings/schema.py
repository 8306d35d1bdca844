"""What can be set: frozen types, camelCase in JSON, with the unit in each name.

Both services read the same schema; each uses its own sections. A value's default is
right for one machine, so that settings files stay short.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

DEFAULT_MONGO_URL = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
SECRETS = frozenset({"mongo.url", "rpc.token"})
"""The settings that must not be shown as they are."""

Port = Annotated[int, Meta(ge=0, le=65_535)]
"""0 means any free port."""
Seconds = Annotated[float, Meta(gt=0)]
Days = Annotated[float, Meta(gt=0)]
Megabytes = Annotated[int, Meta(ge=1)]
"""Of 1,000,000 bytes."""
Kilobytes = Annotated[int, Meta(ge=1)]
"""Of 1,000 bytes."""
SecondsOrOff = Annotated[float, Meta(ge=0)]
"""0 switches it off."""
Host = Annotated[str, Meta(min_length=1)]
WebSocketUrl = Annotated[str, Meta(pattern="^wss?://.")]
Origin = Annotated[str, Meta(pattern="^https?://[^/]+$")]
ScriptUrl = Annotated[str, Meta(pattern=r"^((https?:/)?/[^\s;,'\"<>]+)?$")]
"""An address, or a path on the same host; without what would end it in a header or in HTML."""


class _Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """Base of all sections; shows no secret."""

    section: ClassVar[str] = ""

    @override
    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            (field.name, mask(f"{self.section}.{field.encode_name}", getattr(self, field.name)))
            for field in msgspec.structs.fields(type(self))
        ]

    @override
    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class RateLimit(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """How often one client may call a DDP method, or subscribe to a publication."""

    name: str = ""
    """Of a method or publication; empty: all of them together."""
    per: Literal["connection", "user", "address"]
    """What is counted apart; who is not logged in is no user, and not counted."""
    calls: Annotated[int, Meta(ge=0)]
    seconds: Seconds


class MongoSettings(_Section, frozen=True, kw_only=True):
    """Where the data is."""

    section: ClassVar[str] = "mongo"

    url: Annotated[str, Meta(pattern=r"^mongodb(\+srv)?://.")] = DEFAULT_MONGO_URL
    """Secret: it may hold a password. Production has no default; ``MONGO_URL`` sets it too."""
    database: Annotated[str, Meta(pattern=r'^[^/\\. "$\x00]{1,63}$')] = "tandem"
    driver: Literal["pymongo", "motor"] = "pymongo"


class WebSettings(_Section, frozen=True, kw_only=True):
    """The web service."""

    section: ClassVar[str] = "web"

    host: Host = "127.0.0.1"
    port: Port = 8000
    jobs_urls: tuple[WebSocketUrl, ...] = ("ws://127.0.0.1:8010/websocket",)
    """Where the jobs services take calls."""
    max_upload_megabytes: Megabytes = 100
    session_days: Days = 90
    """How long a login lasts."""
    file_days: Days = 7
    """How long uploads and results are kept."""
    secure_cookies: bool = False
    """Send cookies over HTTPS only; set it wherever there is HTTPS."""
    trusted_origins: tuple[Origin, ...] = ()
    """Origins that may use the API from a browser, besides the service's own."""
    sockjs: bool = False
    """Whether to serve SockJS at ``/sockjs``, for browsers that run a Meteor bundle."""
    sockjs_client_url: ScriptUrl = ""
    """Where SockJS's iframe page gets sockjs-client; empty: there is no such page."""
    drain_seconds: Seconds = 8.0
    """How long requests may take to finish after SIGTERM."""
    header_seconds: Seconds = 15.0
    """How long a client may take for the head of a request, from its first byte on; for the
    first one, from when it connected."""
    keep_alive_seconds: Seconds = 75.0
    """How long a connection may be without a request. A proxy in front should close it sooner."""
    forwarded_count: Annotated[int, Meta(ge=0)] = 0
    """Proxies of our own in front; they are asked, in ``X-Forwarded-For``, who the client is."""
    logins_per_address: Annotated[int, Meta(ge=1)] = 30
    """Logins by password that one address may try in 10 seconds, over HTTP and DDP together."""
    rate_limits: tuple[RateLimit, ...] = (
        RateLimit(name="login", per="connection", calls=5, seconds=10.0),
    )
    """Over DDP; what is set here takes the place of the default."""


class JobsSettings(_Section, frozen=True, kw_only=True):
    """The jobs service."""

    section: ClassVar[str] = "jobs"

    host: Host = "127.0.0.1"
    port: Port = 8010
    slots: Annotated[int, Meta(ge=0, le=1_024)] = 0
    """Runs at a time; 0 means one per core that this process may use."""
    spares: Annotated[int, Meta(ge=0, le=64)] = 1
    """Children that stand ready besides, so that a killed one is replaced at once."""
    system_jobs: bool = False
    """Whether the ``system.*`` job types, made for tests and benchmarks, are offered."""
    packages: Annotated[tuple[str, ...], Meta(min_length=1)] = ("jobs_service.jobs",)
    """Where the job functions are."""
    lease_seconds: Seconds = 10.0
    """A service that is silent for so long loses the jobs it had claimed."""
    poll_seconds: Seconds = 5.0
    """How often to look for jobs although nothing said that there are any."""
    max_waiting_calls: Annotated[int, Meta(ge=0)] = 1_000
    """Calls that may wait for a slot; further ones are refused as busy."""
    job_days: Days = 14
    """How long finished jobs are kept."""
    drain_seconds: Seconds = 8.0
    """How long runs may take to finish after SIGTERM; then they are given back."""


class RpcSettings(_Section, frozen=True, kw_only=True):
    """DDP, between the services and towards browsers."""

    section: ClassVar[str] = "rpc"

    token: str = ""
    """Secret: what the web service shows the jobs service. Needed unless both share a host."""
    heartbeat_seconds: Seconds = 15.0
    """Silence after which a ping is sent."""
    heartbeat_timeout_seconds: Seconds = 15.0
    """Silence after a ping, after which the connection counts as lost."""
    connect_seconds: Seconds = 20.0
    """How long a connection may be open without having introduced itself."""
    idle_seconds: SecondsOrOff = 0.0
    """A session that neither asks nor subscribes for so long is closed."""
    resume_seconds: SecondsOrOff = 15.0
    """How long a session waits for its client to come back over another connection."""
    replay_kilobytes: Kilobytes = 1_000
    """Of each session: what is kept for that, and what may wait meanwhile."""
    max_message_megabytes: Megabytes = 16
    max_connections_per_address: Annotated[int, Meta(ge=0)] = 1_000
    """Live connections of one address, which may be of many people; 0 is no limit."""
    max_blob_megabytes: Megabytes = 128
    """Of one blob: bytes that a service sends another beside a message."""
    max_blobs_megabytes: Megabytes = 256
    """Of all blobs that one session holds, and of those that wait to be sent."""
    max_documents: Annotated[int, Meta(ge=1)] = 10_000
    """How many documents the subscriptions of a session may have."""
    max_nesting_depth: Annotated[int, Meta(ge=8, le=500)] = 100
    """Of a message; its own object and its parameters' array count."""
    max_outstanding_methods: Annotated[int, Meta(ge=1)] = 2_000
    """Methods of one session that run or wait; further ones are refused as busy."""
    max_queued_megabytes: Megabytes = 32
    """What may wait in the queue of one session; more is refused as busy."""
    max_subscriptions: Annotated[int, Meta(ge=1)] = 1_000
    """Of one session at a time."""
    outbox_high_kilobytes: Kilobytes = 1_000
    """While more waits to be sent to a client, nothing is read from it…"""
    outbox_low_kilobytes: Kilobytes = 250
    """…until no more than this waits."""
    outbox_limit_megabytes: Megabytes = 32
    """A client for which more waits is closed: it reads too slowly."""


class LogSettings(_Section, frozen=True, kw_only=True):
    """What is logged, and how."""

    section: ClassVar[str] = "log"

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """``auto``: for people on a terminal, else JSON."""


class Settings(_Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    environment: Literal["development", "production"] = "production"
    run_jobs: bool = True
    """False: this jobs service answers calls, but claims no jobs and runs no schedules."""
    public: dict[str, Any] = msgspec.field(default_factory=dict)
    """Sent to browsers as it is; everything else stays here."""
    mongo: MongoSettings = MongoSettings()
    web: WebSettings = WebSettings()
    jobs: JobsSettings = JobsSettings()
    rpc: RpcSettings = RpcSettings()
    log: LogSettings = LogSettings()

    @property
    def development(self) -> bool:
        """Whether this runs on a developer's machine."""
        return self.environment == "development"

    @property
    def jobs_run_here(self) -> bool:
        """Whether to claim jobs and run schedules; in development whatever ``runJobs`` says."""
        return self.run_jobs or self.development


def mask(path: str, value: Any) -> Any:
    """``value`` as it may be shown: secrets as ``***``, a database URL without its login."""
    if path == "mongo.url":
        return _without_login(str(value))
    if path in SECRETS:
        return "***" if value else ""
    return value


def _without_login(url: str) -> str:
    # Up to the *last* @: a password that was not percent-encoded may hold one, or a slash.
    masked = re.sub(r"//.*@", "//***@", url, flags=re.DOTALL)
    # Options may hold secrets as well (authMechanismProperties, tlsCertificateKeyFilePassword).
    return re.sub(r"(?i)([?&][^=&]*(?:password|properties|token)[^=&]*=)[^&]*", r"\1***", masked)
