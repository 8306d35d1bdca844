"""Whose request it is, and from which page."""

import pytest

from web_service.auth import token_of


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"authorization": "Basic abc"}, ""),
        ({"cookie": "a=b; tandem_session=xyz; c=d"}, "xyz"),
        ({"cookie": "not_tandem_session=xyz"}, ""),
        ({"authorization": "Bearer abc", "cookie": "tandem_session=xyz"}, "abc"),
    ],
)
def test_the_token_of_a_request(headers: dict[str, str], token: str) -> None:
    assert token_of(headers) == token
