"""Reads settings: a file, ``TANDEM_…`` overrides and ``MONGO_URL``, checked to the last key.

The stronger one wins: ``MONGO_URL`` and ``TANDEM_WEB__PORT`` and the like, then the file
(``--settings``, else what ``TANDEM_SETTINGS`` holds: a path, or the JSON itself), then the
defaults. Every error is one line that names the file or variable and the setting.
"""

import difflib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from settings.schema import SECRETS, Settings, mask

DEFAULT = "default"

_PREFIX = "TANDEM_"
_NOT_SETTINGS = frozenset({"TANDEM_SETTINGS", "TANDEM_DEMO_PASSWORD"})


class SettingsError(Exception):
    """The settings can't be used; the message is one line and holds no secret."""


class Loaded(NamedTuple):
    """Settings, and where each of them came from."""

    settings: Settings
    sources: Mapping[str, str]
    """The file or variable by path (``"web.port"``); a path not in it has its default."""

    def describe(self) -> str:
        """One line per setting, ``web.port = 8000  (default)``, with secrets masked."""
        values = {path: _value_at(self.settings, path) for path in _leaves()}
        return "\n".join(
            f"{path} = {_as_json(mask(path, value))}  ({self.sources.get(path, DEFAULT)})"
            for path, value in values.items()
        )


class _Leaf(NamedTuple):
    """One setting: its type, and its name in Python and in the environment."""

    type: Any
    variable: str


def load_settings(path: str | None, environ: Mapping[str, str]) -> Settings:
    """The settings that ``--settings path`` and the environment ask for.

    Raises:
        SettingsError: a file can't be read, a key is unknown, a value is wrong or unsafe.
    """
    return load(path, environ).settings


def load(path: str | None, environ: Mapping[str, str]) -> Loaded:
    """The same, with the source of each value.

    Raises:
        SettingsError: as :func:`load_settings`.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    source, document = _read_document(path, environ)
    for name, value in _checked_document(source, document):
        values[name], sources[name] = value, source
    for variable, name, value in _overrides(environ):
        values[name], sources[name] = value, variable
    settings = _build(values)
    _refuse_unsafe(settings, sources)
    return Loaded(settings, sources)


def _read_document(path: str | None, environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The name of the source, and its JSON object."""
    held = environ.get("TANDEM_SETTINGS", "").strip()
    if path is None and held.startswith("{"):
        return "TANDEM_SETTINGS", _parse("TANDEM_SETTINGS", held)
    chosen = path or held
    if not chosen:
        return DEFAULT, {}
    file = Path(chosen)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{chosen}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{chosen}: not UTF-8 (at byte {error.start})") from None
    return file.name, _parse(file.name, text)


def _parse(source: str, text: str) -> dict[str, Any]:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise SettingsError(f"{source}: {twice!r} is given twice in one object")
        return found

    def no_constant(name: str) -> Any:
        raise SettingsError(f"{source}: {name} is not JSON")

    try:
        document = json.loads(text, object_pairs_hook=once_each, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{source}: not JSON at {where}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise SettingsError(f"{source}: not JSON that anyone would write by hand") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{source}: expected a JSON object, got {_kind(document)}")
    return document


def _checked_document(source: str, document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The path and converted value of each setting in ``document``."""
    leaves = _leaves()
    sections = {path.partition(".")[0] for path in leaves if "." in path}
    for key, value in document.items():
        if key not in sections:
            yield key, _converted(source, key, value, leaves)
            continue
        if not isinstance(value, dict):
            raise SettingsError(f"{source}: {key} must be an object, got {_kind(value)}")
        for inner, inner_value in value.items():
            path = f"{key}.{inner}"
            yield path, _converted(source, path, inner_value, leaves)


def _converted(source: str, path: str, value: Any, leaves: Mapping[str, _Leaf]) -> Any:
    leaf = leaves.get(path)
    if leaf is None:
        raise SettingsError(f"{source}: {path} is not a setting{_hint(path, leaves)}")
    try:
        return msgspec.convert(value, leaf.type)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {path}{_complaint(path, error)}") from None


def _overrides(environ: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """The variable, path and value of each setting that the environment overrides."""
    leaves = _leaves()
    paths = {leaf.variable: path for path, leaf in leaves.items()}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        path = paths.get(variable)
        if path is None:
            raise SettingsError(f"{variable} is not a setting{_hint(variable, paths)}")
        yield variable, path, _from_text(variable, path, text, leaves[path])
    if url := environ.get("MONGO_URL"):
        if environ.get("TANDEM_MONGO__URL", url) != url:
            raise SettingsError("MONGO_URL and TANDEM_MONGO__URL differ; set only one of them")
        yield (
            "MONGO_URL",
            "mongo.url",
            _from_text("MONGO_URL", "mongo.url", url, leaves["mongo.url"]),
        )


def _from_text(variable: str, path: str, text: str, leaf: _Leaf) -> Any:
    value: Any = text
    if text.lstrip().startswith(("[", "{")) and path not in SECRETS:
        try:
            value = json.loads(text)
        except ValueError:
            raise SettingsError(f"{variable}: not JSON") from None
    elif _is_list(leaf.type):
        value = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.convert(value, leaf.type, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{variable}{_complaint(path, error)}") from None


def _build(values: Mapping[str, Any]) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    top: dict[str, Any] = {}
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        (sections.setdefault(section, {}) if section else top)[name] = value
    return msgspec.convert({**top, **sections}, Settings)


def _refuse_unsafe(settings: Settings, sources: Mapping[str, str]) -> None:
    if not settings.rpc.token and not _is_loopback(settings.jobs.host):
        raise SettingsError(
            f"{sources['jobs.host']}: jobs.host {settings.jobs.host!r} can be reached from other "
            "machines, so rpc.token must be set (TANDEM_RPC__TOKEN)"
        )
    if not settings.development and "mongo.url" not in sources:
        source = sources.get("environment", DEFAULT)
        raise SettingsError(
            f"{source}: environment is production, so mongo.url must be set (MONGO_URL)"
        )


def _leaves() -> dict[str, _Leaf]:
    """Every setting by its path in JSON, such as ``"web.port"``, in the schema's order."""
    found = {}
    for field in msgspec.structs.fields(Settings):
        variable = _PREFIX + field.name.upper()
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for inner in msgspec.structs.fields(field.type):
                path = f"{field.encode_name}.{inner.encode_name}"
                found[path] = _Leaf(inner.type, f"{variable}__{inner.name.upper()}")
        else:
            found[field.encode_name] = _Leaf(field.type, variable)
    return found


def _value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        fields = {field.encode_name: field.name for field in msgspec.structs.fields(type(value))}
        value = getattr(value, fields[name])
    return value


def _hint(unknown: str, known: Mapping[str, Any]) -> str:
    """``"; did you mean web.port?"``, or "" when nothing is near."""
    sections = {path.partition(".")[0] for path in known if "." in path}
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.75)
    near = near or difflib.get_close_matches(unknown, sections, n=1)
    if not near:  # the right name in the wrong place
        last = unknown.rpartition(".")[2].rpartition("__")[2]
        near = [path for path in known if re.split(r"\.|__", path)[-1] == last][:1]
    if not near:  # the right place: say what there is
        section = unknown.rpartition(".")[0]
        inside = [path for path in known if section and path.startswith(f"{section}.")]
        return f"; there is {', '.join(inside)}" if inside else ""
    return f"; did you mean {near[0]}?"


def _complaint(path: str, error: msgspec.ValidationError) -> str:
    """msgspec's message as the end of ours: ``": expected `int`, got `str`"``."""
    text, _, inner = str(error).partition(" - at `$")
    if path in SECRETS:
        text = text.partition(", got")[0]
    return f"{inner.rstrip('`')}: {text[:1].lower()}{text[1:]}"


def _is_list(annotation: Any) -> bool:
    return isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.VarTupleType)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "text",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
