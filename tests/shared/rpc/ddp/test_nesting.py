"""How deep a text is nested, by counting brackets that are none of a string's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.nesting import is_nested_deeper

VALUES = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\x'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\'), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth(value: Any) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES, st.integers(0, 8), st.booleans())
def test_any_value(value: Any, limit: int, indented: bool) -> None:
    text = json.dumps(value, indent=1 if indented else None)
    assert is_nested_deeper(text, limit) == (depth(value) > limit)
    assert is_nested_deeper(text.encode(), limit) == (depth(value) > limit)


@pytest.mark.parametrize(
    "text", ['"' * 200_001, '"' + '\\"' * 100_000, "[" * 200_000, "[]" * 100_000]
)
def test_hostile_texts_take_no_longer(text: str) -> None:
    is_nested_deeper("[[[[" + text, 3)  # quadratic, it would take minutes


def test_a_lone_surrogate_is_no_problem() -> None:
    assert is_nested_deeper('["\ud800",[[[', 2)
