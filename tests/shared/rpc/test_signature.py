"""Parameters against signatures."""

import functools
from typing import Annotated, Any

import msgspec
import pytest

from shared.rpc.errors import MethodError
from shared.rpc.signature import Signature


class Options(msgspec.Struct):
    limit: int = 5


class Things:
    async def method(self, context: object, name: str, options: Options | None = None) -> None: ...


async def variadic(context: object, first: int, *rest: str) -> None: ...


async def untyped(context, a, b=1): ...  # type: ignore[no-untyped-def]


async def bounded(context: object, width: Annotated[int, msgspec.Meta(ge=1)]) -> None: ...


@functools.wraps(bounded)
async def wrapped(context: object, *params: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "params", "converted"),
    [
        (Things().method, ["x"], ["x"]),
        (Things().method, ["x", {"limit": 7}], ["x", Options(7)]),
        (Things().method, ["x", None], ["x", None]),
        (variadic, [1], [1]),
        (variadic, [1, "a", "b"], [1, "a", "b"]),
        (untyped, [object], [object]),
        (untyped, [1, 2], [1, 2]),
        (wrapped, [1], [1]),
    ],
)
def test_fits(function: Any, params: list[Any], converted: list[Any]) -> None:
    assert list(Signature(function).check(params)) == converted


@pytest.mark.parametrize(
    ("function", "params", "details"),
    [
        (Things().method, [], "expected 1 to 2 parameters, got 0"),
        (Things().method, ["x", None, 1], "expected 1 to 2 parameters, got 3"),
        (Things().method, [5], "parameter 1: Expected `str`, got `int`"),
        (variadic, [], "expected at least 1 parameters, got 0"),
        (variadic, [1, 2], "parameter 2: Expected `str`, got `int`"),
        (bounded, [0], "parameter 1: Expected `int` >= 1"),
        (wrapped, [0], "parameter 1: Expected `int` >= 1"),
        (bounded, [], "expected 1 parameters, got 0"),
    ],
)
def test_does_not_fit(function: Any, params: list[Any], details: str) -> None:
    with pytest.raises(MethodError) as caught:
        Signature(function).check(params)
    assert (caught.value.error, caught.value.reason) == (400, "Match failed")
    assert caught.value.details == details
