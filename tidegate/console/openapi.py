"""The API's own description (OpenAPI 3.1), made from the table of operations and the forms. Pure."""

import re
from collections.abc import Iterable
from typing import Any

from tidegate.console.operations import ALERTS, OPEN, Operation

REFERENCES = "#/components/schemas/{model}"
CODES = {
    "400": "The body or a field of it is wrong",
    "401": "The bearer is missing or wrong",
    "403": "A policy, role or quarantine says no",
    "404": "There is no such service, version or release",
    "409": "Somebody else owns it now, or a person must look",
    "503": "Try again later",
}


def describe(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
        if one.body is not None:
            schema = one.body.model_json_schema(ref_template=REFERENCES, by_alias=True)
            schemas |= schema.pop("$defs", {})
            schemas[one.body.__name__] = schema
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tidegate", "version": version, "description": "Releases, and their way back."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "api": {"type": "http", "scheme": "bearer", "description": "tidegate keys console"},
                "alerts": {"type": "http", "scheme": "bearer", "description": "tidegate keys alerts"},
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.run.__name__,
        "summary": one.summary,
        "security": [] if one.access == OPEN else [{"alerts" if one.access == ALERTS else "api": []}],
        "parameters": [*_path_parameters(one.path), *_query_parameters(one)],
        "responses": {
            "200": _content("Done, or nothing to do", {"type": "object"}),
            "202": _content("Recorded; it goes on", {"type": "object"}),
            **{code: _content(text, _reference("Error")) for code, text in CODES.items()},
        },
    }
    if one.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(one.body.__name__)}},
        }
    if one.run.__name__ == "roll_back":
        found["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "maxLength": 200},
                "description": "The same key is the same rollback, however often it is sent.",
            }
        )
    return found


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in (one.query or {}).items()
    ]


def _content(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": REFERENCES.format(model=name)}


_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "remedy"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "remedy": {"type": "string", "description": "What to do."},
                "field": {"type": ["string", "null"], "description": "The field that is wrong."},
                "context": {"type": "object"},
            },
        }
    },
}
