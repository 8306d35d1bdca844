"""The parts of the web service that its pages use, under typed application keys."""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.models.order_import import OrderImporter
from shared.models.order_store import OrderStore
from shared.ops.health import Health
from shared.rpc.server import Server
from web_service.accounts import Accounts
from web_service.auth import Auth
from web_service.jobs import Jobs
from web_service.live import Feeds
from web_service.logins import Logins
from web_service.peers import Peers


class Uploads(NamedTuple):
    """What may be uploaded."""

    max_bytes: int
    keep_for: timedelta


ACCOUNTS = web.AppKey("accounts", Accounts)
AUTH = web.AppKey("auth", Auth)
PEERS = web.AppKey("peers", Peers)
DDP = web.AppKey("ddp", Server)
FEEDS = web.AppKey("feeds", Feeds)
FILES = web.AppKey("files", FileStore)
HEALTH = web.AppKey("health", Health)
JOBS = web.AppKey("jobs", Jobs)
JOB_STORE = web.AppKey("job_store", JobStore)
LOGINS = web.AppKey("logins", Logins)
MAX_MESSAGE_BYTES = web.AppKey("max_message_bytes", int)
ORDER_IMPORTER = web.AppKey("order_importer", OrderImporter)
ORDERS = web.AppKey("orders", OrderStore)
PUBLIC = web.AppKey("public", dict)
"""The settings that browsers are sent."""
UI = web.AppKey("ui", Path)
"""The folder of the built browser part."""
UPLOADS = web.AppKey("uploads", Uploads)
