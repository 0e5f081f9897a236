"""The contract is valid, its catalogues are those of the code, and its limits those that hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from features.metadata import ALLOWED_FIELDS, RANGES
from handlers.air_quality_index import STANDARDS
from handlers.estimator import LEVEL
from handlers.explanation import LISTED
from handlers.plain_words import GROUPS, SITUATIONS
from handlers.predictor import FURTHER_LEVELS
from handlers.request import MAX_PHOTOS, PHOTO_NAMES, RETURNABLE
from handlers.size_limit import DEFAULT_MIN_SIDE
from tests.contract import CONTRACT, document, schema
from tests.stated_codes import problem_statuses, warnings

DOCUMENT = document()


def catalogue(name: str) -> dict[str, Any]:
    return {entry["const"]: entry for entry in schema(name)["oneOf"]}


def lines_to_add(codes: set[str]) -> str:
    return "".join(f"\n        - {{const: {code}, description: …}}" for code in sorted(codes))


def test_the_contract_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def test_the_catalogue_of_problems_is_what_the_code_can_say() -> None:
    listed = {code: entry["x-status"] for code, entry in catalogue("ProblemCode").items()}
    said = problem_statuses()
    assert not said.keys() - listed.keys(), (
        f"{CONTRACT.name}, ProblemCode lacks{lines_to_add(said.keys() - listed.keys())}"
    )
    assert not listed.keys() - said.keys(), "nothing in the code says these any more"
    assert listed == said


def test_the_catalogue_of_findings_is_what_the_code_can_say() -> None:
    listed, said = catalogue("FindingCode").keys(), warnings()
    assert not said - listed, f"{CONTRACT.name}, FindingCode lacks{lines_to_add(said - listed)}"
    assert not listed - said, "nothing in the code says these any more"


@pytest.mark.parametrize("name", ["ProblemCode", "FindingCode"])
def test_every_code_is_explained_once(name: str) -> None:
    entries = schema(name)["oneOf"]
    assert len(catalogue(name)) == len(entries)
    assert all(len(entry["description"]) > 8 for entry in entries)


def test_metadata_have_the_ranges_that_are_checked() -> None:
    properties = schema("Metadata")["properties"]
    assert set(properties) == {*ALLOWED_FIELDS, "return"}
    for name, (low, high, unit) in RANGES.items():
        assert (properties[name]["minimum"], properties[name]["maximum"]) == (low, high), name
        assert f"[{unit}]" in properties[name]["description"], name
    assert properties["return"]["items"]["enum"] == list(RETURNABLE)


def test_other_limits_are_those_of_the_code() -> None:
    assert schema("SeveralPhotos")["properties"]["photos"]["maxItems"] == MAX_PHOTOS
    assert set(schema("OnePhoto")["properties"]) == {*PHOTO_NAMES, "metadata"}
    fields = {*PHOTO_NAMES, "metadata", "return", *ALLOWED_FIELDS}
    assert set(schema("Form")["properties"]) == fields
    standards = schema("Answer")["properties"]["air_quality"]["items"]["properties"]["standard"]
    assert standards["enum"] == [standard.name for standard in STANDARDS]
    levels = schema("Interval")["properties"]["level"]["enum"]
    assert levels == sorted((*FURTHER_LEVELS, LEVEL))
    assert (
        f"less than {DEFAULT_MIN_SIDE} pixels"
        in catalogue("ProblemCode")["too_small"]["description"]
    )


def test_explanations_are_of_the_groups_and_models_that_there_are() -> None:
    assert schema("Group")["enum"] == list(GROUPS)
    properties = schema("Explanation")["properties"]
    assert properties["features"]["maxItems"] == LISTED
    assert set(properties["baseline"]["properties"]["models"]["enum"]) == {*SITUATIONS}


def nodes(value: Any) -> list[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(value, list):
        return [node for item in value for node in nodes(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(node for item in value.values() for node in nodes(item))]


def test_every_figure_has_its_unit_and_an_example() -> None:
    """Numbers beside a description of their own; of the rest the object above them tells."""
    numbers = [n for n in nodes(DOCUMENT["components"]["schemas"]) if n.get("type") == "number"]
    described = [number for number in numbers if "description" in number]
    assert len(described) >= 10
    for number in described:
        assert re.search(r"\[[^\]]+\]", number["description"]), number
        assert number["examples"], number


def test_examples_obey_their_own_schemas() -> None:
    checked = 0
    for node in nodes(DOCUMENT["components"]["schemas"]):
        for example in node.get("examples", ()):
            validator = Draft202012Validator({**node, "components": DOCUMENT["components"]})
            assert validator.is_valid(example), (node, example)
            checked += 1
    assert checked > 30


def test_examples_of_bodies_and_replies_obey_their_schemas() -> None:
    checked = 0
    for node in nodes(DOCUMENT["components"]):
        if "schema" not in node or not isinstance(node.get("examples"), dict):
            continue
        for example in node["examples"].values():
            rooted = {**node["schema"], "components": DOCUMENT["components"]}
            assert Draft202012Validator(rooted).is_valid(example["value"]), example["summary"]
            checked += 1
    assert checked >= 4


def test_the_page_on_answers_leads_to_the_contract() -> None:
    page = Path(__file__).parent.parent / "docs" / "how-to" / "read-an-answer.md"
    assert "(../openapi.yaml)" in page.read_text(encoding="utf-8")


def test_the_contract_is_plain_yaml() -> None:
    """Merge keys are no part of YAML 1.2: half of the tools would not read them."""
    assert "<<:" not in CONTRACT.read_text(encoding="utf-8")
