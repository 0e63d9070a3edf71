from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI

from api.problems import MEDIA_TYPE, Problem

_REFUSED: Final = {
    "description": "Refused; the problem document says why (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def with_problems(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, in which every operation may answer with a problem document.

    FastAPI describes its own body for invalid requests, which this API never sends.
    """
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = described()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(own.pop("$defs", {}))
        schemas["Problem"] = own
        for operations in document["paths"].values():
            for operation in operations.values():
                responses = operation["responses"]
                for status in [code for code in responses if code[0] in "45"]:
                    del responses[status]
                responses["default"] = _REFUSED
        return document

    return openapi
