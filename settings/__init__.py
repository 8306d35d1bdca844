"""Settings of both services: JSON files, their types, and how they are read and overridden."""

from settings.loader import Loaded, SettingsError, load, load_settings
from settings.schema import (
    JobsSettings,
    LogSettings,
    MongoSettings,
    RateLimit,
    RpcSettings,
    Settings,
    WebSettings,
)

__all__ = [
    "JobsSettings",
    "Loaded",
    "LogSettings",
    "MongoSettings",
    "RateLimit",
    "RpcSettings",
    "Settings",
    "SettingsError",
    "WebSettings",
    "load",
    "load_settings",
]
