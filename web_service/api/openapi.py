"""``GET /api/openapi.json``: the HTTP API for programs, made from the types that it checks."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from shared.contracts.contract import Contract
from shared.ops.version import VERSION
from web_service.body import json_response
from web_service.jobs import SubmitRequest
from web_service.keys import JOBS

_REF = "#/components/schemas/{name}"
_JSON = "application/json"

Schema = dict[str, Any]


async def openapi(request: web.Request) -> web.Response:
    """OpenAPI 3.1; one path for each job type that can be called."""
    return json_response(_document(request.app[JOBS].contracts))


def _document(contracts: Mapping[str, type[Contract[Any]]]) -> Schema:
    types = [SubmitRequest, *contracts.values(), *(c.result for c in contracts.values())]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(id, types), schemas, strict=True))
    calls = {
        f"/api/calls/{name}": {
            "post": _operation(
                (contract.__doc__ or name).partition("\n")[0],
                body=_content(schema_of[id(contract)]),
                ok=("200", "The result.", _content(schema_of[id(contract.result)])),
            )
        }
        for name, contract in contracts.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tandem", "version": VERSION},
        "components": {
            "schemas": components | {"Problem": _PROBLEM},
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "tandem_session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"cookie": []}, {"bearer": []}],
        "paths": _accounts() | _files() | _jobs(schema_of[id(SubmitRequest)]) | _orders() | calls,
    }


def _accounts() -> Schema:
    credentials = _object({"username": _STRING, "password": _STRING})
    identity = _content(_object({"id": _ID, "username": _STRING, "role": _STRING}))
    return {
        "/api/login": {
            "post": _operation(
                "Log in; the answer sets the session's cookie.",
                body=_content(credentials),
                ok=("200", "Who you are, and the session's token.", identity),
            )
        },
        "/api/logout": {"post": _operation("End the session.", ok=("204", "Done.", None))},
        "/api/settings": {
            "get": _operation("The public settings.", ok=("200", "An object.", _content({})))
        },
        "/api/openapi.json": {"get": _operation("This.", ok=("200", "OpenAPI 3.1.", _content({})))},
        "/api/me": {"get": _operation("Who am I?", ok=("200", "Who you are.", identity))},
    }


def _files() -> Schema:
    stored = _object({"id": _ID, "filename": _STRING, "contentType": _STRING, "size": _INTEGER})
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "/api/files": {
            "post": _operation(
                "Store a file, streamed.",
                body=_UPLOAD,
                ok=("201", "The stored file.", _content(stored)),
            )
        },
        "/api/files/{id}": {
            "parameters": [_ID_IN_PATH],
            "get": _operation("Get a file, or a range of it.", ok=("200", "Its bytes.", content)),
            "delete": _operation("Delete a file.", ok=("204", "Done.", None)),
        },
    }


def _jobs(submit: Schema) -> Schema:
    job = _content(_object({"id": _ID, "type": _STRING, "state": _STRING}))
    page = _content(_object({"jobs": {"type": "array"}, "next": {"type": ["string", "null"]}}))
    return {
        "/api/jobs": {
            "post": _operation(
                "Submit a durable job.", body=_content(submit), ok=("202", "The job.", job)
            ),
            "get": _operation("My jobs, newest first.", ok=("200", "One page.", page))
            | {"parameters": [_query("limit", _INTEGER), _query("before", _ID)]},
        },
        "/api/jobs/{id}": {
            "parameters": [_ID_IN_PATH],
            "get": _operation("One job.", ok=("200", "The job.", job)),
        },
        "/api/jobs/{id}/cancel": {
            "parameters": [_ID_IN_PATH],
            "post": _operation("Cancel a job.", ok=("200", "The job.", job)),
        },
        "/api/jobs/{id}/retry": {
            "parameters": [_ID_IN_PATH],
            "post": _operation("Run an ended job again.", ok=("200", "The job.", job)),
        },
    }


def _orders() -> Schema:
    totals = _content(_object({"count": _INTEGER, "quantity": _INTEGER, "totalCents": _INTEGER}))
    imported = _content(_object({"imported": _INTEGER}))
    return {
        "/api/orders/summary": {
            "get": _operation("Sums over a period.", ok=("200", "The sums.", totals))
            | {"parameters": [_query("start", _DAY), _query("end", _DAY)]},
        },
        "/api/orders/import": {
            "post": _operation(
                "Add the orders of a CSV file; operators only.",
                body=_UPLOAD,
                ok=("201", "How many.", imported),
            )
        },
    }


def _operation(
    summary: str, *, ok: tuple[str, str, Schema | None], body: Schema | None = None
) -> Schema:
    status, description, content = ok
    success: Schema = {"description": description}
    if content is not None:
        success["content"] = content
    failure = {
        "description": "What went wrong, with a code.",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    operation: Schema = {"summary": summary, "responses": {status: success, "default": failure}}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _content(schema: Schema) -> Schema:
    return {_JSON: {"schema": schema}}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_DAY: Schema = {"type": "string", "format": "date"}
_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_ID_IN_PATH: Schema = {"name": "id", "in": "path", "required": True, "schema": _ID}
_UPLOAD: Schema = {
    "multipart/form-data": {
        "schema": _object({"file": {"type": "string", "format": "binary"}}),
    }
}
_PROBLEM: Schema = _object(
    {"title": _STRING, "status": _INTEGER, "code": _STRING, "detail": _STRING}
)

routes = [web.get("/api/openapi.json", openapi)]
