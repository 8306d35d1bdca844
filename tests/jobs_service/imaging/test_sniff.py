import pytest

from jobs_service.imaging.sniff import HEAD_BYTES, Kind, identify
from tests.jobs_service.imaging import pictures


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "TIFF", "BMP", "ICO"]
)
def test_real_files_are_recognised(form: str) -> None:
    assert identify(pictures.small(form)[:HEAD_BYTES]) is Kind[form]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", Kind.PDF),
        (b"PK\x03\x04\x14\x00", Kind.ZIP),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', Kind.SVG),
        (b"\xef\xbb\xbf <svg width='1'/>", Kind.SVG),
        (b"<?xml version='1.0'?><order/>", Kind.XML),
        (b"<!DOCTYPE html><p>", Kind.HTML),
        ("Grüße".encode() * 1000, Kind.TEXT),
        (b"see <svg>, or not", Kind.TEXT),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", Kind.VIDEO),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", Kind.AVIF),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", Kind.HEIC),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", Kind.AUDIO),
        (b"RIFF", Kind.UNKNOWN),
        (b"\x7fELF\x02\x01", Kind.PROGRAM),
        (b"\x00" * 100, Kind.UNKNOWN),
        (b"\x93\x80\xfe", Kind.UNKNOWN),
        (b"", Kind.UNKNOWN),
    ],
)
def test_first_bytes_tell_what_it_is(head: bytes, kind: Kind) -> None:
    assert identify(head[:HEAD_BYTES]) is kind
