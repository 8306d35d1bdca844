"""Documents are checked on their way in and out."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from bson import ObjectId
from msgspec import field

from shared.models.errors import InvalidDocument, MalformedDocument
from shared.models.types import (
    ANY,
    Timestamp,
    from_document,
    now,
    owned_by,
    parse_id,
    to_document,
    to_milliseconds,
)


class Inner(msgspec.Struct, frozen=True, rename="camel"):
    last_name: str


class Sample(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: ObjectId = field(name="_id")
    made_at: Timestamp
    inner: Inner | None = None
    data: bytes = b""
    owner: ObjectId | None = None


SAMPLE = Sample(
    id=ObjectId(), made_at=datetime(2026, 3, 1, tzinfo=UTC), inner=Inner("Ada"), data=b"\x00\xff"
)


def test_a_struct_survives_the_round_trip_under_camel_case_names() -> None:
    document = to_document(SAMPLE)

    assert document == {
        "_id": SAMPLE.id,
        "madeAt": SAMPLE.made_at,
        "inner": {"lastName": "Ada"},
        "data": b"\x00\xff",
        "owner": None,
    }
    assert from_document(document, Sample, "samples") == SAMPLE


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"inner": {"lastName": 5}}, "$.inner.lastName"),
        ({"owner": "6b047fc7bdbd8392caf9ed59"}, "$.owner"),
        ({"madeAt": "2026-03-01"}, "$.madeAt"),
        ({"madeAt": datetime(2026, 3, 1)}, "$.madeAt"),  # noqa: DTZ001
    ],
)
def test_a_malformed_document_is_named_without_its_contents(
    change: dict[str, object], path: str
) -> None:
    document = to_document(SAMPLE) | {"data": b"secret"} | change

    with pytest.raises(MalformedDocument) as caught:
        from_document(document, Sample, "samples")

    assert caught.value.document_id == SAMPLE.id
    message = str(caught.value)
    assert message.startswith(f"samples: the document {SAMPLE.id} is malformed: ")
    assert path in message
    assert "secret" not in message


def test_a_field_of_a_newer_version_is_left_alone() -> None:
    assert from_document(to_document(SAMPLE) | {"new": 1}, Sample, "samples") == SAMPLE


def test_a_struct_with_a_wrong_field_is_not_written() -> None:
    wrong = msgspec.structs.replace(SAMPLE, inner=Inner(5))  # type: ignore[arg-type]

    with pytest.raises(InvalidDocument, match=r"not a Sample.*inner\.lastName"):
        to_document(wrong)


def test_parse_id() -> None:
    assert parse_id("6b047fc7bdbd8392caf9ed59") == ObjectId("6b047fc7bdbd8392caf9ed59")
    assert parse_id("6b047fc7bdbd8392caf9ed5") is None
    assert parse_id("twelve bytes") is None
    assert parse_id("") is None


def test_times_are_what_the_database_keeps() -> None:
    assert now().microsecond % 1000 == 0
    assert now().tzinfo is UTC
    zone = timezone(timedelta(hours=2))
    assert to_milliseconds(datetime(2026, 1, 1, 0, 0, 0, 1999, zone)).microsecond == 1000


def test_owned_by_keeps_other_owners_out() -> None:
    owner = ObjectId()
    assert owned_by(owner) == {"owner": owner}
    assert owned_by(ANY) == {}
