"""The real server held against docs/openapi.yaml: cases of ours, and as many as one can draw."""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import deepcopy
from typing import Any

import cv2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from schemathesis.transport.serialization import Binary

from handlers.request import PHOTO_NAMES
from tests.contract import assert_obeys, document, schema
from tests.serving import JPEG, JSON, METADATA, Client, as_text, jpeg, scene

PHOTO = jpeg(40.0)
AT_THE_EDGE_ALONE = {"/predict", "/readyz", "/version"}
HELD = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    (path, method)
    for path, item in document()["paths"].items()
    for method in item
    if method in ("get", "post")
]
# Bytes that are drawn for a photo: a real one more often than not. They are drawn as text, a
# character a byte: schemathesis judges some of what it draws by schema, which bytes it cannot.
PHOTO_PART = re.compile(rf"({'|'.join(PHOTO_NAMES)})(_\d+)?")
schemathesis.openapi.format(
    "binary",
    (st.sampled_from([PHOTO] * 3) | st.binary(max_size=60)).map(
        lambda data: data.decode("latin-1")
    ),
)
CONTRACT = schemathesis.openapi.from_dict(deepcopy(document()))  # it writes into what it is given


def assert_answered(content: dict[str, Any]) -> None:
    """An answer that obeys the schema, and whose figures fit together."""
    assert_obeys(content, "Answer")
    assert content["interval"]["lower"] <= content["pm25_estimate"] <= content["interval"]["upper"]


# ---- cases of ours


def small_photo() -> bytes:
    return cv2.imencode(".jpg", scene(40.0, 400, 300))[1].tobytes()


def as_json(photo: object = as_text(PHOTO), **metadata: object) -> bytes:
    return json.dumps({"photo": photo, "metadata": metadata}).encode()


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        METADATA,
        {name: spec["examples"][0] for name, spec in schema("Metadata")["properties"].items()},
        {**METADATA, "captured_at": "2026-03-20T23:30:00-05:00", "camera": "a_balcony"},
        {"return": ["quantiles"], "relative_humidity_pct": "99.5", "temperature_c": None},
    ],
    ids=["nothing", "time and place", "everything", "night", "text and null"],
)
def test_an_answer_obeys_the_contract_whatever_is_known(
    client: Client, metadata: dict[str, object]
) -> None:
    sent = json.loads(as_json(**metadata))
    if "temperature_c" not in metadata:  # text for a number is the form's licence, not JSON's
        assert_obeys(sent, "OnePhoto")
    status, media_type, content = client.send(json.dumps(sent).encode(), JSON)
    assert (status, media_type) == (200, "application/json"), content
    assert_answered(content)
    assert ("quantiles" in content) == bool(metadata.get("return"))


def test_answers_to_several_photos_obey_the_contract(client: Client) -> None:
    photos = [{"photo": as_text(PHOTO)}, {"photo": "!"}, {"photo": as_text(b"GIF")}, {}]
    body = {"photos": photos}
    assert_obeys({"photos": photos[:3]}, "SeveralPhotos")
    status, _, content = client.send(json.dumps(body).encode(), JSON)
    assert status == 200
    assert_obeys(content, "Answers")
    answer, *problems = content["answers"]
    assert_answered(answer)
    codes = [problem["code"] for problem in problems]
    assert codes == ["invalid_base64", "unsupported_media_type", "missing_photo"]


@pytest.mark.parametrize(
    ("code", "body", "headers"),
    [
        ("missing_photo", b"", JPEG),
        ("unsupported_media_type", b"GIF89a", JPEG),
        ("corrupt_photo", PHOTO[:-500], JPEG),
        ("too_small", small_photo(), JPEG),
        ("invalid_json", b"{", JSON),
        ("invalid_base64", as_json("%"), JSON),
        ("invalid_metadata", b'{"photo": "AAAA", "metadata": 7}', JSON),
        ("invalid_return", as_json(**{"return": ["all"]}), JSON),
        ("unknown_field", as_json(latitude=6.2), JSON),
        ("not_a_number", as_json(rain_mm="much"), JSON),
        ("out_of_range", as_json(lat=91, lon=0), JSON),
        ("invalid_time", as_json(captured_at="2026-03-20T10:00:00"), JSON),
        ("invalid_camera", as_json(camera="../a"), JSON),
        ("incomplete_position", as_json(lat=6.2), JSON),
        ("too_many_photos", json.dumps({"photos": [{}] * 33}).encode(), JSON),
    ],
)
def test_a_problem_obeys_the_contract_and_its_catalogue(
    client: Client, code: str, body: bytes, headers: dict[str, str]
) -> None:
    status, media_type, content = client.send(body, headers)
    assert media_type == "application/problem+json"
    assert_obeys(content, "Problem")
    assert (content["code"], content["status"]) == (code, status)
    listed = {entry["const"]: entry["x-status"] for entry in schema("ProblemCode")["oneOf"]}
    assert listed[code] == status


def test_what_the_server_itself_refuses_is_in_the_contract(client: Client) -> None:
    for path in ("/predictions/pm25/9.9.9", "/predictions/other"):
        status, media_type, content = client.send(PHOTO, JPEG, path)
        assert (status, media_type) == (404, "application/json")
        assert_obeys(content, "TorchServeError")
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    nameless = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"
    status, media_type, content = client.send(nameless, form)
    assert (status, media_type) == (403, "application/json")
    assert_obeys(content, "TorchServeError")
    assert "a part has no name" in content["message"]


# ---- as many as one can draw


def hold(
    base_url: str,
    operation: tuple[str, str],
    examples: int,
    *,
    again: bool = True,
) -> Counter[int]:
    """Draw requests that the contract allows, and some that it does not; check every reply.

    again  draw the same ones each time
    """
    path, method = operation
    drawn = CONTRACT[path][method.upper()]
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=again,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=drawn.as_strategy() | drawn.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        with_photo=st.booleans(),
    )
    def check(case: Case, with_photo: bool) -> None:
        _turn_text_to_bytes(case)
        if with_photo:
            _put_photos_into(case.body)
        response = case.call(base_url=base_url, timeout=30)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=HELD)

    check()
    return statuses


def _turn_text_to_bytes(case: Case) -> None:
    """What was drawn as text for a body of bytes, or for a part with a photo."""
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        for name in filter(PHOTO_PART.fullmatch, case.body):
            case.body[name] = _bytes_of(case.body[name])
    elif case.media_type != "application/json":
        case.body = _bytes_of(case.body)


def _bytes_of(drawn: Any) -> Any:
    if isinstance(drawn, str) and (drawn.isascii() or max(drawn) <= "\xff"):
        return Binary(drawn.encode("latin-1"))
    return drawn


def _put_photos_into(body: Any) -> None:
    """Base64 that is drawn is no photo: let every other JSON body hold one."""
    if not isinstance(body, dict):
        return
    for name in PHOTO_NAMES:
        if isinstance(body.get(name), str):
            body[name] = as_text(PHOTO)
    photos = body.get("photos")
    for photo in photos if isinstance(photos, list) else ():
        _put_photos_into(photo)


def assert_some_are_answered(statuses: Counter[int], operation: tuple[str, str]) -> None:
    assert statuses[200] > 0, statuses
    assert operation[1] == "get" or any(400 <= status < 500 for status in statuses), statuses


DIRECT = [operation for operation in OPERATIONS if operation[0] not in AT_THE_EDGE_ALONE]


@pytest.mark.parametrize("operation", DIRECT, ids=lambda operation: operation[0])
def test_the_server_holds_its_contract(client: Client, operation: tuple[str, str]) -> None:
    url = f"http://127.0.0.1:{client.port}"
    statuses = hold(url, operation, examples=100)
    if "{version}" not in operation[0]:  # no version that is drawn is loaded
        assert_some_are_answered(statuses, operation)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation[0])
def test_the_edge_holds_its_contract(
    request: pytest.FixtureRequest, operation: tuple[str, str]
) -> None:
    statuses = hold(request.getfixturevalue("edge").url, operation, examples=100)
    if "{version}" not in operation[0]:
        assert_some_are_answered(statuses, operation)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation[0])
def test_the_edge_holds_its_contract_for_long(
    request: pytest.FixtureRequest, operation: tuple[str, str]
) -> None:
    hold(request.getfixturevalue("edge").url, operation, examples=1000, again=False)
