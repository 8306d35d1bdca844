"""Contracts: what their class keywords say, and how boot finds them."""

import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest

from shared.contracts.contract import Contract, contracts_in, parse_bytes
from shared.contracts.files import FileId, file_ids_in
from shared.contracts.images import ImageFile, Thumbnail


class Album(Contract[int], name="test.album"):
    cover: FileId | None = None
    pictures: list[FileId] = msgspec.field(default_factory=list)
    title: str = ""


def test_policy_and_result_are_in_the_class() -> None:
    assert (Thumbnail.policy.name, Thumbnail.policy.timeout) == ("images.thumbnail", 30)
    assert Thumbnail.policy.memory == 512_000_000
    assert Thumbnail.result is ImageFile


def test_parameters_are_checked_under_their_wire_names() -> None:
    asked = msgspec.convert({"source": "a" * 24, "width": 9}, Thumbnail)
    assert msgspec.to_builtins(asked)["width"] == 9
    for wrong in ({"source": "a" * 24}, {"source": "x", "width": 9}, {"Width": 9}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Thumbnail)


def test_the_files_that_a_request_names_each_once() -> None:
    first, second = "a" * 24, "b" * 24
    assert file_ids_in(Album(cover=first, pictures=[second, first])) == [first, second]
    assert file_ids_in(Album(title=first)) == []


def test_boot_collects_the_contracts_of_a_package() -> None:
    found = contracts_in(["shared.contracts"])
    assert found["images.thumbnail"] is Thumbnail
    assert {"system.echo", "reports.orders"} < found.keys()


def test_two_contracts_of_one_name_fail_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Contract[Any], name="test.album"):
        pass

    module = ModuleType("two_albums")
    module.Album, module.Other = Album, Other  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "two_albums", module)
    with pytest.raises(ValueError, match=r"'test\.album'"):
        contracts_in(["two_albums"])


@pytest.mark.parametrize(("text", "size"), [("512MB", 512_000_000), ("1GB", 10**9), ("3kb", 3000)])
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["512", "MB", "-1MB", "1.5GB", ""])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(text)
