"""My jobs, live: every connection of their owner follows them, and nobody else's does."""

import pytest

from tests.support.ddp import DdpClient
from tests.support.stack import PASSWORD, Api, Stack
from tests.support.waiting import eventually


async def test_two_browsers_see_a_job_move_and_a_third_person_does_not(ann: Api, bob: Api) -> None:
    async with (
        DdpClient.connected(ann) as first,
        DdpClient.connected(ann) as second,
        DdpClient.connected(bob) as other,
    ):
        for client in (first, second, other):
            await client.subscribe("jobs.mine", {"limit": 10})
        answer = await first.call(
            "jobs.submit", {"type": "system.burn", "params": {"ms": 800}, "key": "once"}
        )
        job_id = answer["id"]
        for client in (first, second):
            await eventually(lambda c=client: c.documents("jobs")[job_id]["state"] == "completed")  # type: ignore[misc]
            changes = [m for m in client.received if m.get("id") == job_id and "fields" in m]
            states = [m["fields"]["state"] for m in changes if "state" in m["fields"]]
            assert states == ["available", "executing", "completed"]
            progress = [m["fields"]["progress"] for m in changes if m["fields"].get("progress")]
            assert all(p["total"] == 800 for p in progress)
            assert progress, "no progress was seen"
        assert job_id not in other.documents("jobs")
        assert (await other.result(await other.send_method("jobs.cancel", job_id)))["error"][
            "error"
        ] == 404


async def test_the_list_keeps_to_the_newest(ann: Api) -> None:
    async with DdpClient.connected(ann) as client:
        await client.subscribe("jobs.mine", {"limit": 3})
        ids = [await ann.submit("system.echo", {"value": n}) for n in range(5)]
        await eventually(lambda: set(client.documents("jobs")) == set(ids[-3:]))
        again = [await ann.json("GET", f"/api/jobs/{job_id}") for job_id in ids]
        assert [status for status, _ in again] == [200] * 5


async def test_one_job_and_its_cancel(ann: Api) -> None:
    async with DdpClient.connected(ann) as client:
        job_id = await ann.submit("system.sleep", {"ms": 60_000})
        await client.subscribe("jobs.one", job_id)
        await eventually(lambda: client.documents("jobs")[job_id]["state"] == "executing")
        assert await client.call("jobs.cancel", job_id) == "executing"
        await eventually(lambda: client.documents("jobs")[job_id]["state"] == "cancelled")
        assert await client.call("jobs.cancel", job_id) == "cancelled"
        await client.call("jobs.retry", job_id)
        await eventually(lambda: client.documents("jobs")[job_id]["state"] == "executing")
        await client.call("jobs.cancel", job_id)
        await eventually(lambda: client.documents("jobs")[job_id]["state"] == "cancelled")


async def test_my_files_come_and_go(ann: Api, bob: Api) -> None:
    async with DdpClient.connected(ann) as client, DdpClient.connected(bob) as other:
        for each in (client, other):
            await each.subscribe("files.mine", {"limit": 10})
        _, stored = await ann.upload(b"hello", "a.txt", "text/plain")
        file_id = stored.pop("id")
        shown = await eventually(lambda: client.documents("files").get(file_id))
        assert shown is not None
        assert shown.keys() == stored.keys()
        assert (shown["filename"], shown["size"]) == ("a.txt", 5)
        assert shown["createdAt"].keys() == shown["expiresAt"].keys() == {"$date"}
        assert (await ann.json("DELETE", f"/api/files/{file_id}"))[0] == 204
        await eventually(lambda: file_id not in client.documents("files"))
        assert other.documents("files") == {}


async def test_a_ddp_client_without_a_cookie_logs_in_by_password_and_resumes(
    stack: Stack, nobody: Api
) -> None:
    async with DdpClient.connected(nobody) as client:
        with pytest.raises(AssertionError, match="401"):
            await client.call("jobs.submit", {"type": "system.echo"})
        with pytest.raises(AssertionError, match="403"):
            await client.call("login", {"user": {"username": "ann"}, "password": "wrong"})
        login = await client.call("login", {"user": {"username": "ann"}, "password": PASSWORD})
        assert set(login) == {"id", "token", "tokenExpires", "type"}
        assert (await client.call("jobs.submit", {"type": "system.echo"}))["id"]
    async with DdpClient.connected(nobody) as client:
        assert (await client.call("login", {"resume": login["token"]}))["id"] == login["id"]
        await client.call("logout")
        with pytest.raises(AssertionError, match="401"):
            await client.call("jobs.submit", {"type": "system.echo"})
    async with DdpClient.connected(nobody) as client:
        with pytest.raises(AssertionError, match="403"):
            await client.call("login", {"resume": login["token"]})


async def test_logging_out_over_http_ends_the_live_connections_of_that_session(
    stack: Stack,
) -> None:
    async with stack.client("bob") as bob, DdpClient.connected(bob) as client:
        await client.subscribe("jobs.mine")
        assert (await bob.json("POST", "/api/logout"))[0] == 204
        await eventually(lambda: client.socket.closed, 10, "the connection is closed")
        assert (await bob.json("GET", "/api/me"))[0] == 401
