"""docs/openapi.yaml as tests hold the server against it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker

CONTRACT = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """The whole contract."""
    return dict(yaml.safe_load(CONTRACT.read_text(encoding="utf-8")))


def schema(name: str) -> dict[str, Any]:
    """One of its schemas."""
    return dict(document()["components"]["schemas"][name])


@cache
def _validator(name: str) -> Draft202012Validator:
    rooted = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return Draft202012Validator(rooted, format_checker=FormatChecker())


def assert_obeys(content: Any, name: str) -> None:
    """Fail with the first thing in which `content` differs from the schema `name`."""
    errors = sorted(_validator(name).iter_errors(content), key=lambda error: list(error.path))
    assert not errors, f"{name}: {errors[0].json_path}: {errors[0].message}"
