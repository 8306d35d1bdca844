"""Bad input of every kind gets a clear message and a code, and leaves nothing behind."""

import gzip
import io
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from tests.support.photos import photo
from tests.support.stack import PASSWORD, Api, Stack

THUMBNAIL = "/api/calls/images.thumbnail"


@pytest.fixture
def database(stack: Stack, mongo_url: str) -> Any:
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo_url) as client:
        yield client[stack.database]


async def uploaded(api: Api, data: bytes, filename: str) -> str:
    status, body = await api.upload(data, filename)
    assert status == 201, body
    return str(body["id"])


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"just some words, no picture\n" * 40, "bad-image", "not an image"),
        (b"%PDF-1.7\n" + b"x" * 500, "bad-image", "PDF"),
        (photo(640, 480)[:-20_000], "truncated-image", ""),
    ],
    ids=["text", "pdf", "truncated"],
)
async def test_what_is_no_whole_image_is_refused_by_the_job(
    ann: Api, database: Any, data: bytes, code: str, says: str
) -> None:
    source = await uploaded(ann, data, "picture.jpg")
    files = database["fs.files"].count_documents({})
    status, problem = await ann.json("POST", THUMBNAIL, {"source": source, "width": 100})
    assert (status, problem["code"]) == (422, code)
    assert says in problem["detail"]
    assert database["fs.files"].count_documents({}) == files


async def test_an_empty_file_is_refused_and_not_kept(ann: Api, database: Any) -> None:
    files = database["fs.files"].count_documents({})
    status, problem = await ann.upload(b"", "empty.jpg")
    assert (status, problem["code"]) == (400, "empty-file")
    assert database["fs.files"].count_documents({}) == files


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"source": "a" * 24, "width": "512"}, "$.width"),
        ({"source": "a" * 24, "width": 0}, "$.width"),
        ({"source": "a" * 24, "width": 100_000}, "$.width"),
        ({"source": "../etc", "width": 10}, "$.source"),
        ({"source": "a" * 24}, "width"),
        ({"source": "a" * 24, "width": 10, "colour": "red"}, "colour"),
    ],
)
async def test_wrong_parameters_name_the_path(
    ann: Api, database: Any, params: dict[str, Any], path: str
) -> None:
    jobs = database["jobs"].count_documents({})
    for url, body in (
        (THUMBNAIL, params),
        ("/api/jobs", {"type": "images.thumbnail", "params": params}),
    ):
        status, problem = await ann.json("POST", url, body)
        assert (status, problem["code"]) == (400, "bad-params")
        assert path in problem["detail"]
    assert database["jobs"].count_documents({}) == jobs


async def test_an_unknown_job_type_is_refused(ann: Api, database: Any) -> None:
    jobs = database["jobs"].count_documents({})
    status, problem = await ann.json("POST", "/api/jobs", {"type": "images.melt", "params": {}})
    assert (status, problem["code"]) == (400, "unknown-type")
    assert "images.melt" in problem["detail"]
    status, problem = await ann.json("POST", "/api/calls/images.melt", {})
    assert (status, problem["code"]) == (404, "unknown-type")
    assert database["jobs"].count_documents({}) == jobs


async def test_a_missing_file_is_refused_before_anything_is_stored(ann: Api, database: Any) -> None:
    jobs = database["jobs"].count_documents({})
    body = {"type": "images.thumbnail", "params": {"source": "b" * 24, "width": 10}}
    status, problem = await ann.json("POST", "/api/jobs", body)
    assert (status, problem["code"]) == (404, "file-not-found")
    assert database["jobs"].count_documents({}) == jobs


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[1,2", b"NaN"])
async def test_malformed_json_is_refused(ann: Api, body: bytes) -> None:
    async with ann.http.post(ann.url + "/api/jobs", data=body) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (400, "bad-json")


@pytest.mark.parametrize("depth", [300, 1000, 100_000])
async def test_json_that_is_nested_too_deeply_is_refused(ann: Api, depth: int) -> None:
    body = b'{"value": ' + b"[" * depth + b"]" * depth + b"}"
    job = b'{"type": "system.echo", "params": ' + body + b"}"
    for path, data in (("/api/calls/system.echo", body), ("/api/jobs", job)):
        async with ann.http.post(ann.url + path, data=io.BytesIO(data)) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["code"]) in {(400, "bad-json"), (400, "bad-params")}


@pytest.mark.parametrize(
    "run_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00"]
)
async def test_a_moment_that_does_not_exist_is_refused(ann: Api, run_at: str) -> None:
    body = {"type": "system.echo", "params": {}, "runAt": run_at}
    status, problem = await ann.json("POST", "/api/jobs", body)
    assert (status, problem["code"]) == (400, "bad-request")


@pytest.mark.parametrize("path", ["/api/login", "/api/jobs"])
async def test_a_compressed_body_is_refused_before_it_is_unpacked(ann: Api, path: str) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = io.BytesIO(gzip.compress(b" " * 3_000_000))
    async with ann.http.post(ann.url + path, data=body, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (415, "compressed")


@pytest.mark.parametrize("cut", [1, 9, 600])
async def test_an_upload_that_is_cut_off_is_not_kept(ann: Api, database: Any, cut: int) -> None:
    """Content-Length is right, but the boundary at the end is missing."""
    files, chunks = (database[name].count_documents({}) for name in ("fs.files", "fs.chunks"))
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    form = (head + b"1,2\r\n" * 200 + b"\r\n--x--")[:-cut]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with ann.http.post(ann.url + "/api/files", data=form, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (400, "bad-multipart")
    assert database["fs.files"].count_documents({}) == files
    assert database["fs.chunks"].count_documents({}) == chunks


async def test_a_form_that_breaks_http_is_refused(ann: Api) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a\0b"\r\n\r\nx\r\n--x--'
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    async with ann.http.post(ann.url + "/api/files", data=form, headers=multipart) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (400, "bad-body")


async def test_the_last_day_of_all_is_a_day(ann: Api) -> None:
    assert (await ann.json("GET", "/api/orders/summary?end=9999-12-31"))[0] == 200


async def test_json_of_the_wrong_shape_is_refused(ann: Api) -> None:
    bodies: list[Any] = [[], 5, {"type": 5}, {"params": {}}, {"type": "system.echo", "nope": 1}]
    for body in bodies:
        status, problem = await ann.json("POST", "/api/jobs", body)
        assert (status, problem["code"]) == (400, "bad-request")


async def test_a_body_that_is_too_large_is_cut_off_while_it_streams(
    ann: Api, database: Any
) -> None:
    chunks = database["fs.chunks"].count_documents({})

    async def endless() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
        for _ in range(130):
            yield b"\0" * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    try:
        async with ann.http.post(ann.url + "/api/files", data=endless(), headers=headers) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["code"]) == (413, "too-large")
    except aiohttp.ClientConnectionError:
        pass  # the server answered and closed while we were still sending
    assert database["fs.chunks"].count_documents({}) == chunks
    async with ann.http.post(ann.url + "/api/jobs", data=io.BytesIO(b" " * 5_000_000)) as answer:
        assert answer.status == 413


async def test_a_form_without_a_file_is_refused(ann: Api) -> None:
    form = aiohttp.FormData()
    form.add_field("other", b"x", filename="x")
    async with ann.http.post(ann.url + "/api/files", data=form) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (400, "no-file")
    async with ann.http.post(ann.url + "/api/files", data=b"raw") as answer:
        assert answer.status == 415


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(nobody: Api) -> None:
    answers = [
        await nobody.json("POST", "/api/login", {"username": name, "password": password})
        for name, password in (("ann", "wrong"), ("nobody", PASSWORD))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert answers[0][1]["code"] == "bad-credentials"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/me"),
        ("GET", "/api/jobs"),
        ("GET", "/api/jobs/" + "a" * 24),
        ("POST", "/api/jobs"),
        ("POST", "/api/calls/system.echo"),
        ("POST", "/api/files"),
        ("GET", "/api/files/" + "a" * 24),
        ("GET", "/api/orders/summary"),
    ],
)
async def test_without_a_valid_session_nothing_is_told(nobody: Api, method: str, path: str) -> None:
    for headers in ({}, {"Cookie": "tandem_session=rubbish"}, {"Authorization": "Bearer rubbish"}):
        async with nobody.http.request(method, nobody.url + path, headers=headers) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["code"]) == (401, "not-logged-in")


async def test_another_sites_page_can_not_use_the_session(ann: Api) -> None:
    headers = {"Origin": "https://evil.example"}
    async with ann.http.post(ann.url + "/api/jobs", json={}, headers=headers) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await ann.http.ws_connect(ann.url + "/websocket", headers=headers)
    assert refused.value.status == 403


async def test_an_unknown_path_and_method_are_problems_too(ann: Api) -> None:
    status, problem = await ann.json("GET", "/api/nope")
    assert (status, problem["code"]) == (404, "not-found")
    status, problem = await ann.json("PUT", "/api/jobs")
    assert (status, problem["code"]) == (405, "method-not-allowed")
    for path in ("/api/jobs/xyz", "/api/files/xyz", "/api/jobs/" + "f" * 24):
        status, problem = await ann.json("GET", path)
        assert (status, problem["code"]) == (404, "not-found")


async def test_a_frame_that_is_not_ddp_gets_an_error_and_the_connection_lives(ann: Api) -> None:
    async with ann.http.ws_connect(ann.url + "/websocket") as socket:
        await socket.send_str('{"msg":"connect","version":"1","support":["1"]}')
        assert (await socket.receive_json())["msg"] == "connected"
        for frame in ("rubbish", "5", '{"msg":"explode"}', '{"msg":"method","id":1}'):
            await socket.send_str(frame)
            assert (await socket.receive_json())["msg"] == "error"
        await socket.send_str('{"msg":"ping","id":"7"}')
        assert await socket.receive_json() == {"msg": "pong", "id": "7"}
