"""What a request holds: every shape a client may send, and why one cannot be read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import PM25Error, RequestError
from handlers.request import MAX_PHOTOS, PHOTO_NAMES, PhotoRequest, read_request

PHOTO = b"\xff\xd8\xff\xe0 the bytes of a photo {[%"
BASE64 = base64.b64encode(PHOTO).decode()
METADATA = {"lat": 6.25, "lon": -75.57}


def only(parts: dict[str, Any], content_type: str = "") -> PhotoRequest:
    """The one photo of a request that holds one."""
    request = read_request(parts, content_type)
    assert not request.several
    (photo,) = request.photos
    assert isinstance(photo, PhotoRequest)
    return photo


def refused(parts: dict[str, Any], content_type: str = "") -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_request(parts, content_type)
    error = caught.value
    assert error.status == 400
    assert error.code and error.detail and error.how_to_fix
    return error


# ---- one photo


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "text/plain"])
def test_a_raw_body_is_the_photo(content_type: str) -> None:
    assert only({"body": bytearray(PHOTO)}, content_type) == PhotoRequest(PHOTO)


@pytest.mark.parametrize("name", PHOTO_NAMES)
def test_a_form_may_call_the_photo_by_any_of_its_names(name: str) -> None:
    assert only({name: bytearray(PHOTO)}).data == PHOTO


@pytest.mark.parametrize("name", PHOTO_NAMES)
def test_json_may_call_the_photo_by_any_of_its_names(name: str) -> None:
    photo = only({"body": {name: BASE64, "metadata": METADATA}}, "application/json")
    assert photo == PhotoRequest(PHOTO, METADATA)


@pytest.mark.parametrize(
    "metadata",
    [METADATA, json.dumps(METADATA), bytearray(json.dumps(METADATA).encode())],
    ids=["parsed", "text", "bytes"],
)
def test_metadata_of_a_form_arrives_parsed_or_not(metadata: object) -> None:
    assert only({"image": bytearray(PHOTO), "metadata": metadata}).metadata == METADATA


def test_single_fields_of_a_form_are_metadata_and_blank_ones_are_not() -> None:
    parts = {
        "image": bytearray(PHOTO),
        "metadata": bytearray(b'{"lat": 1, "camera": "roof"}'),
        "lat": bytearray(b" 6.25 "),
        "lon": "-75.57",
        "captured_at": bytearray(b""),
    }
    assert only(parts).metadata == {"lat": "6.25", "lon": "-75.57", "camera": "roof"}


@pytest.mark.parametrize("metadata", [None, "", b"  ", {}])
def test_no_metadata_is_empty_metadata(metadata: object) -> None:
    assert only({"image": bytearray(PHOTO), "metadata": metadata}).metadata == {}


def test_json_that_arrives_as_bytes_is_still_json() -> None:
    """TorchServe parses `application/json` only, not `application/json; charset=utf-8`."""
    raw = bytearray(json.dumps({"photo": BASE64}).encode())
    assert only({"body": raw}, "application/json; charset=utf-8").data == PHOTO
    assert only({"body": raw}, "application/octet-stream").data == PHOTO


@given(st.binary(min_size=1))
def test_any_bytes_survive_base64_with_line_breaks_and_as_a_data_url(data: bytes) -> None:
    wrapped = base64.encodebytes(data).decode()
    assert only({"body": {"photo": wrapped}}).data == data
    assert only({"body": {"photo": f"data:image/jpeg;base64,{wrapped}"}}).data == data


@pytest.mark.parametrize(
    ("wanted", "include"),
    [
        (["features"], ("features",)),
        (["features", "quantiles"], ("features", "quantiles")),
        ([], ()),
        (None, ()),
    ],
)
def test_return_is_taken_out_of_the_metadata(wanted: object, include: tuple[str, ...]) -> None:
    body = {"photo": BASE64, "metadata": {**METADATA, "return": wanted}}
    assert only({"body": body}) == PhotoRequest(PHOTO, METADATA, include)


def test_return_may_be_a_form_field() -> None:
    parts = {"image": bytearray(PHOTO), "return": bytearray(b"features, quantiles")}
    assert only(parts).include == ("features", "quantiles")


# ---- several photos


def test_json_with_several_photos_keeps_their_order_and_the_bad_one() -> None:
    photos = [
        {"photo": BASE64, "metadata": METADATA},
        {"photo": "no base64!"},
        "no object",
        {"metadata": METADATA},
        {"image": BASE64},
    ]
    request = read_request({"body": {"photos": photos}}, "application/json")
    assert request.several
    codes = [photo.code if isinstance(photo, PM25Error) else "read" for photo in request.photos]
    assert codes == ["read", "invalid_base64", "invalid_json", "missing_photo", "read"]


def test_numbered_parts_are_several_photos_in_numeric_order() -> None:
    parts = {
        "image_10": bytearray(b"ten"),
        "image_2": bytearray(b"two"),
        "image_1": bytearray(b""),
        "metadata": bytearray(b'{"lat": 1, "lon": 2}'),
        "metadata_2": {"lat": 3},
    }
    request = read_request(parts)
    assert request.several
    empty, two, ten = request.photos
    assert isinstance(empty, RequestError) and empty.code == "missing_photo"
    assert two == PhotoRequest(b"two", {"lat": 3, "lon": 2})
    assert ten == PhotoRequest(b"ten", {"lat": 1, "lon": 2})


def test_one_numbered_part_is_a_list_of_one() -> None:
    request = read_request({"image_1": bytearray(PHOTO)})
    assert request.several
    assert len(request.photos) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_too_many_photos_are_refused_before_any_is_read(as_json: bool) -> None:
    number = MAX_PHOTOS + 1
    parts: dict[str, Any] = (
        {"body": {"photos": [{}] * number}}
        if as_json
        else {f"image_{i}": bytearray(PHOTO) for i in range(number)}
    )
    assert refused(parts).code == "too_many_photos"


# ---- what cannot be read


@pytest.mark.parametrize(
    ("parts", "content_type", "code"),
    [
        ({}, "application/x-www-form-urlencoded", "missing_content_type"),
        ({}, "", "missing_content_type"),
        ({}, "image/jpeg", "missing_photo"),
        ({"body": bytearray()}, "image/jpeg", "missing_photo"),
        ({"body": "  "}, "text/plain", "missing_photo"),
        ({"body": bytearray(b'{"photo": "')}, "application/json", "invalid_json"),
        ({"body": bytearray(b"hello")}, "application/json", "invalid_json"),
        ({"body": bytearray(b"\xff\xfe{")}, "application/json", "invalid_json"),
        ({"body": bytearray(b"[" * 100_000)}, "application/json", "invalid_json"),
        ({"body": ["photo"]}, "application/json", "invalid_json"),
        ({"body": None}, "application/json", "invalid_json"),
        ({"body": 7}, "application/json", "invalid_json"),
        ({"body": {}}, "application/json", "missing_photo"),
        ({"body": {"photo": ""}}, "application/json", "missing_photo"),
        ({"body": {"photo": 7}}, "application/json", "invalid_base64"),
        ({"body": {"photo": "%%%"}}, "application/json", "invalid_base64"),
        ({"body": {"photo": "abc"}}, "application/json", "invalid_base64"),
        ({"body": {"photo": "µ" * 8}}, "application/json", "invalid_base64"),
        ({"body": {"photo": BASE64, "metadata": [1]}}, "application/json", "invalid_metadata"),
        ({"body": {"photo": BASE64, "metadata": 7}}, "application/json", "invalid_metadata"),
        ({"body": {"photo": BASE64, "metadata": "{"}}, "application/json", "invalid_json"),
        ({"body": {"photos": []}}, "application/json", "missing_photo"),
        ({"body": {"photos": {"a": 1}}}, "application/json", "missing_photo"),
        ({"picture": bytearray(PHOTO)}, "multipart/form-data", "missing_photo"),
        ({"image": bytearray()}, "multipart/form-data", "missing_photo"),
        ({"image": {"a": 1}}, "multipart/form-data", "missing_photo"),
        ({"image": bytearray(PHOTO), "metadata": bytearray(b"{")}, "", "invalid_json"),
        ({"image": bytearray(PHOTO), "metadata": bytearray(b"[1]")}, "", "invalid_metadata"),
        ({"image": bytearray(PHOTO), "lat": bytearray(b"\xff")}, "", "invalid_metadata"),
        ({"image": bytearray(PHOTO), "return": "all"}, "", "invalid_return"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    parts: dict[str, Any], content_type: str, code: str
) -> None:
    assert refused(parts, content_type).code == code


@pytest.mark.parametrize("wanted", ["features", ["all"], {"features": True}, 1, [["features"]]])
def test_return_takes_a_list_of_what_there_is(wanted: object) -> None:
    body = {"photo": BASE64, "metadata": {"return": wanted}}
    assert refused({"body": body}).code == "invalid_return"


def test_a_lost_body_is_told_how_to_arrive() -> None:
    assert "Content-Type" in refused({}).how_to_fix


def test_a_message_quotes_part_names_but_no_binary_ones() -> None:
    assert "'picture'" in refused({"picture": b"x"}).detail
    assert "secret" not in refused({"secret \xff": b"x"}).detail


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from(["body", "image", "image_1", "metadata", "metadata_1", "return", "lat"])


@given(
    st.dictionaries(names, json_values | st.binary().map(bytearray)),
    st.sampled_from(["", "application/json", "image/jpeg", "multipart/form-data"]),
)
def test_whatever_arrives_is_read_or_refused(parts: dict[str, Any], content_type: str) -> None:
    """No other exception ever leaves the parser."""
    try:
        request = read_request(parts, content_type)
    except RequestError:
        return
    assert request.photos
