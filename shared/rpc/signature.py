"""Checks the parameters of a method or publication against the function's signature.

What a client sends is checked before the function runs, so that a wrong number or type
of parameters is the client's error (400), and a ``TypeError`` inside is ours (500).
"""

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from shared.rpc.errors import MethodError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """What a function takes after its first parameter, the context.

    Annotated parameters are converted as by ``msgspec.convert`` (which makes structs of
    objects); those without an annotation, or with ``Any``, are handed over as they are.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self._types = [hints.get(p.name, Any) for p in positional]
        self._least = sum(p.default is inspect.Parameter.empty for p in positional)
        variadic = [p for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
        self._rest: Any = hints.get(variadic[0].name, Any) if variadic else None
        self._untyped = all(kind is Any for kind in [*self._types, self._rest or Any])

    def check(self, params: Sequence[Any]) -> Sequence[Any]:
        """The parameters as the function wants them.

        Raises:
            MethodError: 400, they are too few, too many or of a wrong type.
        """
        if len(params) < self._least or (len(params) > len(self._types) and self._rest is None):
            raise MethodError(400, "Match failed", self._expected(len(params)))
        if self._untyped:
            return params
        types = self._types + [self._rest] * (len(params) - len(self._types))
        return [
            self._convert(index, value, kind)
            for index, (value, kind) in enumerate(zip(params, types, strict=False))
        ]

    def _convert(self, index: int, value: Any, kind: Any) -> Any:
        if kind is Any:
            return value
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise MethodError(400, "Match failed", f"parameter {index + 1}: {error}") from None

    def _expected(self, given: int) -> str:
        most = len(self._types)
        if self._rest is not None:
            wanted = f"at least {self._least}"
        else:
            wanted = f"{most}" if most == self._least else f"{self._least} to {most}"
        return f"expected {wanted} parameters, got {given}"
