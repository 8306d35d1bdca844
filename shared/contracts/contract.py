"""A contract: a job type's name, parameters, result and policy, known to both services.

A contract is a frozen msgspec struct. Its fields are the parameters, its type argument
is the result, and its class keywords are the policy::

    class Thumbnail(Contract[ImageFile], name="images.thumbnail", timeout=30):
        source: FileId
        width: Annotated[int, Meta(ge=1, le=8192)]

The function that fulfils it lives in the jobs service. Nothing registers itself: boot
collects the contracts of a package with :func:`contracts_in`.
"""

import importlib
import pkgutil
import typing
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from typing_extensions import dataclass_transform

Result = TypeVar("Result", covariant=True)

_UNITS = {"KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How runs of a job type are treated, unless a call or a submit says otherwise."""

    name: str
    timeout: float = 60.0
    """Seconds of wall clock that one run may take; then its child is killed."""
    memory: int | None = None
    """Bytes that one run may use."""
    idempotent: bool = False
    """Whether a call may be sent again when nobody knows if it ran."""
    database: bool = False
    """Whether the function reads the database itself (only for trusted job types)."""
    max_attempts: int = 5
    backoff: float = 1.0
    """Seconds before the second attempt; doubles with each further one."""


class _ContractMeta(msgspec.StructMeta):
    """Takes the policy out of the class keywords, before msgspec sees them."""

    def __new__(
        mcls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        name: str | None = None,
        timeout: float = 60.0,
        memory: str | None = None,
        idempotent: bool = False,
        database: bool = False,
        max_attempts: int = 5,
        backoff: float = 1.0,
        **struct_options: Any,
    ) -> type:
        cls: Any = super().__new__(mcls, class_name, bases, namespace, **struct_options)
        if name is not None:
            cls.policy = Policy(
                name=name,
                timeout=timeout,
                memory=None if memory is None else parse_bytes(memory),
                idempotent=idempotent,
                database=database,
                max_attempts=max_attempts,
                backoff=backoff,
            )
            cls.result = _result_type(cls)
        return cls  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Contract(
    msgspec.Struct,
    Generic[Result],
    metaclass=_ContractMeta,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """Base of all contracts; an instance is one request, with checked parameters."""

    policy: ClassVar[Policy]
    result: ClassVar[Any]
    """The type of what the function returns."""


def contracts_in(packages: Iterable[str]) -> dict[str, type[Contract[Any]]]:
    """Collect the contracts that the modules of ``packages`` define, by name.

    Raises:
        ValueError: two contracts share one name.
    """
    found: dict[str, type[Contract[Any]]] = {}
    for value in members_of(packages):
        if not (isinstance(value, type) and issubclass(value, Contract)):
            continue
        policy: Policy | None = getattr(value, "policy", None)
        if policy is None:
            continue
        if found.setdefault(policy.name, value) is not value:
            raise ValueError(f"two contracts are named {policy.name!r}")
    return found


def members_of(packages: Iterable[str]) -> Iterator[Any]:
    """Every public value of every module of ``packages`` (which it imports)."""
    for package_name in packages:
        for module in _modules_of(package_name):
            for name, value in vars(module).items():
                if not name.startswith("_"):
                    yield value


def parse_bytes(text: str) -> int:
    """``"512MB"`` → 512,000,000.

    Raises:
        ValueError: the text is not a number with a unit of KB, MB or GB.
    """
    number, unit = text[:-2], text[-2:].upper()
    if unit not in _UNITS or not number.isdigit():
        raise ValueError(f"{text!r} is not a size such as '512MB'")
    return int(number) * _UNITS[unit]


def _modules_of(package_name: str) -> Iterator[ModuleType]:
    package = importlib.import_module(package_name)
    yield package
    for info in pkgutil.iter_modules(getattr(package, "__path__", [])):
        yield importlib.import_module(f"{package_name}.{info.name}")


def _result_type(cls: type) -> Any:
    for base in getattr(cls, "__orig_bases__", ()):
        if typing.get_origin(base) is Contract:
            return typing.get_args(base)[0]
    return Any
