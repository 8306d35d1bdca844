"""A photograph over HTTP: up, thumbnail, down, upright and in its own colours."""

import asyncio
import io
from functools import cache

import pytest
from PIL import Image

from tests.support.photos import photo
from tests.support.stack import Api


@cache
def twelve_megapixels() -> bytes:
    """4000 x 3000 stored pixels that a viewer turns by 90 degrees, as phones write them."""
    return photo(4000, 3000, orientation=6)


async def test_a_thumbnail_of_a_12_megapixel_photo_is_upright_and_in_its_colours(ann: Api) -> None:
    data = await asyncio.to_thread(twelve_megapixels)
    status, uploaded = await ann.upload(data, "IMG_1.jpg")
    assert status == 201
    assert uploaded["size"] == len(data)
    status, thumbnail = await ann.json(
        "POST", "/api/calls/images.thumbnail", {"source": uploaded["id"], "width": 512}
    )
    assert status == 200, thumbnail
    assert (thumbnail["width"], thumbnail["height"]) == (512, 683)
    image = Image.open(io.BytesIO(await ann.download(thumbnail["id"])))
    assert (image.format, image.size) == ("JPEG", (512, 683))
    assert 0x0112 not in image.getexif()
    # Orientation 6 turns the stored picture clockwise: its lower left comes to upper left.
    for (x, y), colour in {
        (20, 20): (30, 40, 210),
        (491, 20): (220, 30, 30),
        (20, 662): (230, 220, 40),
        (491, 662): (30, 200, 40),
    }.items():
        box = image.convert("RGB").crop((x - 12, y - 12, x + 12, y + 12)).resize((1, 1))
        pixel = box.getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel == pytest.approx(colour, abs=35)


async def test_a_picture_is_converted_as_a_durable_job(ann: Api) -> None:
    _, uploaded = await ann.upload(photo(800, 600), "holiday.jpg")
    job_id = await ann.submit(
        "images.convert", {"source": uploaded["id"], "format": "webp", "width": 400}
    )
    job = await ann.ended(job_id)
    assert job["state"] == "completed", job
    assert job["result"]["sourceSize"] == uploaded["size"]
    assert [file["filename"] for file in job["files"]] == ["holiday.webp"]
    image = Image.open(io.BytesIO(await ann.download(job["files"][0]["id"])))
    assert (image.format, image.size) == ("WEBP", (400, 300))


async def test_a_part_of_a_file_can_be_asked_for(ann: Api) -> None:
    data = photo(300, 200)
    _, uploaded = await ann.upload(data, "a.jpg")
    url = f"{ann.url}/api/files/{uploaded['id']}"
    async with ann.http.get(url, headers={"Range": "bytes=10-19"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
        assert await answer.read() == data[10:20]
    async with ann.http.get(url, headers={"Range": "bytes=-5"}) as answer:
        assert await answer.read() == data[-5:]
    for nothing in (f"bytes={len(data)}-", "bytes=-0"):
        async with ann.http.get(url, headers={"Range": nothing}) as answer:
            assert answer.status == 416


async def test_files_belong_to_their_owner(ann: Api, bob: Api) -> None:
    _, uploaded = await ann.upload(photo(60, 40), "mine.jpg")
    path = f"/api/files/{uploaded['id']}"
    for method in ("GET", "DELETE"):
        status, problem = await bob.json(method, path)
        assert (status, problem["code"]) == (404, "not-found")
    for path_of_call in ("/api/calls/images.thumbnail",):
        status, problem = await bob.json(
            "POST", path_of_call, {"source": uploaded["id"], "width": 10}
        )
        assert (status, problem["code"]) == (404, "file-not-found")
    status, problem = await bob.json(
        "POST",
        "/api/jobs",
        {"type": "images.thumbnail", "params": {"source": uploaded["id"], "width": 10}},
    )
    assert (status, problem["code"]) == (404, "file-not-found")
    async with ann.http.delete(ann.url + path) as answer:
        assert answer.status == 204
    assert (await ann.json("GET", path))[0] == 404
