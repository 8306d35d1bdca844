"""The API's description names every route that there is, and is sound in itself."""

import json
import re
from typing import Any

from prometheus_client import CollectorRegistry

from settings import Settings
from shared.models.database import open_database
from tests.support.stack import Api
from web_service.app import application


async def test_every_route_is_described(ann: Api, mongo_url: str) -> None:
    status, document = await ann.json("GET", "/api/openapi.json")
    assert status == 200
    described = {
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "parameters"
    }
    async with open_database(mongo_url, "unused") as database:
        app = application(Settings(), database, [], CollectorRegistry())
    for route in app.router.routes():
        assert route.resource is not None
        path, method = route.resource.canonical, route.method.lower()
        if path.startswith("/api/") and "{type}" not in path and method != "head":
            assert (method, path) in described


async def test_job_types_are_described_by_their_contracts(ann: Api) -> None:
    _, document = await ann.json("GET", "/api/openapi.json")
    call = document["paths"]["/api/calls/images.thumbnail"]["post"]
    body = resolved(document, call["requestBody"]["content"]["application/json"]["schema"])
    assert body["required"] == ["source", "width"]
    width = body["properties"]["width"]
    assert (width["minimum"], width["maximum"]) == (1, 8192)


async def test_every_reference_leads_somewhere(ann: Api) -> None:
    _, document = await ann.json("GET", "/api/openapi.json")
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names
    assert names <= document["components"]["schemas"].keys()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema["$ref"].rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found
