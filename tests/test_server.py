"""What a client of a real TorchServe gets for a photo, and for what is none."""

from __future__ import annotations

import http.client
import json
import struct
import zlib

import pytest

from lifecycle.torchserve import Server
from tests.serving import FORM, JPEG, JSON, METADATA, Client, as_text, is_answer, worker_pids

# ---- every way to send a photo


def test_the_same_photo_gives_the_same_estimate_however_it_is_sent(
    client: Client, photo: bytes
) -> None:
    metadata = json.dumps(METADATA).encode()
    body = json.dumps({"photo": as_text(photo), "metadata": METADATA}).encode()
    replies = [
        client.form(image=photo, metadata=metadata),
        client.form(file=photo, **{name: str(v).encode() for name, v in METADATA.items()}),
        client.send(body, JSON),
        client.send(body, {"Content-Type": "application/json; charset=utf-8"}),
    ]
    assert [(status, kind) for status, kind, _ in replies] == [(200, "application/json")] * 4
    assert all(is_answer(content) for _, _, content in replies)
    first, *others = [content["pm25_estimate"] for _, _, content in replies]
    assert others == pytest.approx([first] * 3, rel=1e-9)  # sums of floats, wherever they lie
    assert len({content["request_id"] for _, _, content in replies}) == 4


def test_a_raw_body_needs_nothing_else(client: Client, photo: bytes) -> None:
    for content_type in ("image/jpeg", "application/octet-stream", "text/plain"):
        status, _, content = client.send(photo, {"Content-Type": content_type})
        assert status == 200
        assert is_answer(content)


def test_named_features_come_when_asked_for(client: Client, photo: bytes) -> None:
    _, _, without = client.form(image=photo)
    _, _, with_them = client.form(image=photo, metadata=b'{"return": ["features"]}')
    assert "features" not in without
    assert len(with_them["features"]) > 50


def test_several_photos_are_answered_one_by_one(client: Client, photo: bytes) -> None:
    photos = [{"photo": as_text(photo)}, {"photo": "!"}, {"photo": as_text(b"text")}]
    as_json = client.send(json.dumps({"photos": photos}).encode(), JSON)
    as_parts = client.form(image_1=photo, image_2=b"", image_3=b"text")
    for (status, _, content), second in ((as_json, 400), (as_parts, 400)):
        assert status == 200
        answers = content["answers"]
        assert is_answer(answers[0])
        assert [problem["status"] for problem in answers[1:]] == [second, 415]


# ---- bad input

# How a photo begins that an iPhone took in its own format: box length, "ftyp", brand.
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(4096)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes with a header that announces `width` × `height` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def bad_requests(photo: bytes) -> dict[str, tuple[int, bytes, dict[str, str]]]:
    """Status, body and headers of each kind of bad request."""

    def described(metadata: object) -> bytes:
        return json.dumps({"photo": as_text(photo), "metadata": metadata}).encode()

    return {
        "empty body": (400, b"", JPEG),
        "text": (415, b"this is no photo", JPEG),
        "truncated JPEG": (422, photo[: len(photo) // 2], JPEG),
        "1 × 1 image": (422, png_that_claims(1, 1), {"Content-Type": "image/png"}),
        "huge PNG": (422, png_that_claims(60_000, 60_000), {"Content-Type": "image/png"}),
        "HEIC": (415, HEIC, {"Content-Type": "image/heic"}),
        "broken JSON": (400, b'{"photo": "', JSON),
        "JSON list": (400, b"[]", JSON),
        "no photo in JSON": (400, b'{"metadata": {}}', JSON),
        "no base64": (400, b'{"photo": "%%%"}', JSON),
        "metadata is a list": (400, described([1]), JSON),
        "out of range": (422, described({"lat": 600.0, "lon": 0}), JSON),
        "unknown field": (422, described({"latitude": 6.2}), JSON),
        "no number": (422, described({"temperature_c": "warm"}), JSON),
        "text to explain": (415, b"this is no photo", JPEG),
        "nothing to explain": (422, photo[: len(photo) // 2], JPEG),
    }


def test_bad_input_gets_its_reason_and_the_same_worker_answers_the_next(
    client: Client, server: Server, photo: bytes
) -> None:
    before = worker_pids(server)
    for name, (expected, body, headers) in bad_requests(photo).items():
        path = "/explanations/pm25" if name.endswith("explain") else "/predictions/pm25"
        status, content_type, content = client.send(body, headers, path)
        assert status == content["status"] == expected, name
        assert content_type == "application/problem+json", name
        assert content["code"] and content["detail"] and content["how_to_fix"], name
        status, _, content = client.send(photo, JPEG)
        assert status == 200, name
        assert is_answer(content), name
    assert worker_pids(server) == before


def test_a_photo_too_large_for_the_server_is_refused_by_it(client: Client) -> None:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.request("POST", "/predictions/pm25", b"\xff\xd8\xff" + bytes(36 * 2**20), JPEG)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may hang up before the body has been sent
    finally:
        connection.close()


def test_a_body_without_a_content_type_is_never_a_crash(
    client: Client, server: Server, photo: bytes
) -> None:
    """`curl --data-binary` calls it a form: TorchServe loses it, or refuses it as one (403)."""
    status, _, content = client.send(b"lost", FORM)
    assert (status, content["code"]) == (400, "missing_content_type")
    assert "Content-Type" in content["how_to_fix"]
    assert client.send(b"%" + photo, FORM)[0] == 403
    assert client.send(photo, JPEG)[0] == 200
