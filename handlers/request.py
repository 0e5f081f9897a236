"""What a request holds: one photo or several, each with what is known of its circumstances.

A client may send

    the bytes of a photo                  Content-Type: image/jpeg, application/octet-stream, …
    JSON                                  {"photo": base64, "metadata": {…}}
    JSON, several photos                  {"photos": [{"photo": base64, "metadata": {…}}, …]}
    a multipart form                      image, and metadata (JSON) or its fields one by one
    a multipart form, several photos      image_1, image_2, …; metadata_1, … beside the shared ones

A photo without any Content-Type cannot be helped: curl and others then call it a form, and
TorchServe tries to read it as one, answers 500 by itself or hands over nothing (see
missing_content_type).

`image`, `file`, `data` and `photo` mean the same. `"return": ["features"]` in the metadata asks
for the named features as well, "quantiles" for 19 of them at 5 … 95 %.

Nothing here knows TorchServe, except for the shape in which it hands a request over: one mapping
of part names to bytes, text or parsed JSON, with the name `body` for a request that is no form.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from features.errors import PM25Error, RequestError

PHOTO_NAMES = ("image", "photo", "file", "data")
RETURNABLE = ("features", "quantiles")
MAX_PHOTOS = 32  # a worker answers one photo after the other: a longer list would time out
_NUMBERED = re.compile(rf"({'|'.join(PHOTO_NAMES)}|metadata)_(\d{{1,3}})")
_DATA_URL = re.compile(r"data:[\w/+.;=-]*;base64,")
_HOW_TO_SEND = (
    "Send the photo's bytes with Content-Type: image/jpeg, a form with a part 'image', "
    'or JSON {"photo": base64, "metadata": {…}}.'
)


@dataclass(frozen=True)
class PhotoRequest:
    """One photo to be answered: its bytes, its metadata as sent, and what to return besides."""

    data: bytes
    metadata: Mapping[str, object] = field(default_factory=dict)
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """The photos of one request, in its order. One that cannot be read is there as its error."""

    photos: tuple[PhotoRequest | PM25Error, ...]
    several: bool


def read_request(parts: Mapping[str, object], content_type: str = "") -> Request:
    """Read the `parts` of one request.

    Raises RequestError (400): missing_photo, missing_content_type, invalid_json, invalid_base64,
    invalid_metadata, invalid_return, too_many_photos. Of several photos, one that cannot be read
    does not spoil the others.
    """
    if not parts:
        raise _nothing_arrived(content_type)
    if set(parts) == {"body"}:
        return _read_body(parts["body"], content_type)
    return _read_form(parts)


def _nothing_arrived(content_type: str) -> RequestError:
    if "urlencoded" in content_type or not content_type:
        return RequestError(
            "missing_content_type",
            "The photo was lost: without a Content-Type, curl calls any body a form.",
            "Add -H 'Content-Type: image/jpeg' to the request.",
        )
    return RequestError("missing_photo", "The request has no body.", _HOW_TO_SEND)


def _read_body(body: object, content_type: str) -> Request:
    if isinstance(body, (bytes, bytearray, str)):
        raw = body.encode() if isinstance(body, str) else bytes(body)
        if not raw.strip():
            raise RequestError("missing_photo", "The request's body is empty.", _HOW_TO_SEND)
        # JSON that cannot be parsed, or that names a charset, arrives as bytes; no photo starts so.
        if "json" not in content_type and raw.lstrip()[:1] not in (b"{", b"["):
            return Request((PhotoRequest(raw),), several=False)
        body = _parse_json(raw, "The body")
    if not isinstance(body, dict):
        raise RequestError("invalid_json", "The JSON body is no object.", _HOW_TO_SEND)
    if "photos" not in body:
        return Request((_read_object(body),), several=False)
    photos = body["photos"]
    if not isinstance(photos, list) or not photos:
        raise RequestError("missing_photo", "'photos' is no list of photos.", _HOW_TO_SEND)
    _check_number(len(photos))
    return Request(tuple(_read_object_or_error(photo) for photo in photos), several=True)


def _read_object_or_error(entry: object) -> PhotoRequest | PM25Error:
    try:
        return _read_object(entry)
    except RequestError as error:
        return error


def _read_object(entry: object) -> PhotoRequest:
    """A photo as a JSON object."""
    if not isinstance(entry, dict):
        raise RequestError("invalid_json", "A photo in the JSON is no object.", _HOW_TO_SEND)
    names = [name for name in PHOTO_NAMES if entry.get(name)]
    if not names:
        raise _missing_photo("object", entry)
    return _photo_request(_from_base64(names[0], entry[names[0]]), entry.get("metadata"))


def _from_base64(name: str, text: object) -> bytes:
    """Standard base64, with or without line breaks, or a data URL of it."""
    fix = f"'{name}' takes the file's bytes in standard base64, as `base64 photo.jpg` prints them."
    if not isinstance(text, str):
        raise RequestError("invalid_base64", f"'{name}' is no text.", fix)
    prefix = _DATA_URL.match(text)
    packed = "".join(text[prefix.end() if prefix else 0 :].split())
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("invalid_base64", f"'{name}' is no base64: {error}.", fix) from None


def _read_form(parts: Mapping[str, object]) -> Request:
    photos: dict[str, object] = {}
    numbered_metadata: dict[str, object] = {}
    shared: dict[str, object] = {}
    for name, value in parts.items():
        numbered = _NUMBERED.fullmatch(name)
        if numbered and numbered[1] == "metadata":
            numbered_metadata[numbered[2]] = value
        elif numbered:
            photos[numbered[2]] = value
        elif name in PHOTO_NAMES or name == "body":
            photos[""] = value
        else:
            shared[name] = value
    if not photos:
        raise _missing_photo("form", parts)
    _check_number(len(photos))
    if set(photos) == {""}:
        return Request((_photo_of_form(photos[""], shared, None),), several=False)
    ordered = sorted(photos, key=lambda number: int(number or 0))
    return Request(
        tuple(
            _photo_of_form_or_error(photos[number], shared, numbered_metadata.get(number))
            for number in ordered
        ),
        several=True,
    )


def _photo_of_form_or_error(
    value: object, shared: Mapping[str, object], own: object
) -> PhotoRequest | PM25Error:
    try:
        return _photo_of_form(value, shared, own)
    except RequestError as error:
        return error


def _photo_of_form(value: object, shared: Mapping[str, object], own: object) -> PhotoRequest:
    """A photo of a form; what is said of it alone wins over what is said of all.

    Empty fields, which browsers send for what was left blank, count as absent.
    """
    metadata = _metadata_object(shared.get("metadata"))
    fields = {name: _field_text(text) for name, text in shared.items() if name != "metadata"}
    metadata.update({name: text for name, text in fields.items() if text != ""})
    metadata.update(_metadata_object(own))
    if isinstance(metadata.get("return"), str):
        metadata["return"] = str(metadata["return"]).replace(",", " ").split()
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, (bytes, bytearray)) or not value:
        raise RequestError(
            "missing_photo", "The form's part for the photo holds no file.", _HOW_TO_SEND
        )
    return _photo_request(bytes(value), metadata)


def _field_text(value: object) -> object:
    """A form field as text; it arrives as bytes, or parsed when it came as JSON."""
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return bytes(value).decode().strip()
    except UnicodeDecodeError:
        raise RequestError(
            "invalid_metadata", "A form field beside the photo is no text.", _HOW_TO_SEND
        ) from None


def _photo_request(data: bytes, metadata: object) -> PhotoRequest:
    known = _metadata_object(metadata)
    wanted = known.pop("return", None) or []
    if not isinstance(wanted, list) or any(name not in RETURNABLE for name in wanted):
        raise RequestError(
            "invalid_return",
            "'return' in the metadata asks for something that is not there.",
            f"Allowed is a list of {' and '.join(RETURNABLE)}.",
        )
    return PhotoRequest(data, known, include=tuple(wanted))


def _metadata_object(value: object) -> dict[str, object]:
    if isinstance(value, (bytes, bytearray, str)):
        raw = value.encode() if isinstance(value, str) else bytes(value)
        value = _parse_json(raw, "The metadata") if raw.strip() else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(
            "invalid_metadata",
            f"The metadata is a JSON {type(value).__name__}, no object.",
            'Send an object, such as {"captured_at": "2025-03-01T08:30:00-05:00"}.',
        )
    return dict(value)


def _parse_json(raw: bytes, what: str) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise RequestError(
            "invalid_json", f"{what} is no valid JSON{where}.", "Check it with a JSON parser."
        ) from None


def _missing_photo(kind: str, names: Mapping[str, object]) -> RequestError:
    shown = [name for name in names if re.fullmatch(r"[\w-]{1,32}", name)][:8]
    got = f"It has {', '.join(map(repr, shown))}." if shown else ""
    return RequestError("missing_photo", f"The {kind} holds no photo. {got}".strip(), _HOW_TO_SEND)


def _check_number(photos: int) -> None:
    if photos > MAX_PHOTOS:
        raise RequestError(
            "too_many_photos",
            f"The request holds {photos} photos; at most {MAX_PHOTOS} are answered at once.",
            "Split it into several requests.",
        )
