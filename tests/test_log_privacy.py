"""What is written as text: nothing that a client has sent, whatever becomes of the request."""

from __future__ import annotations

import io
import json
import struct
import time
from pathlib import Path

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from lifecycle.torchserve import Server
from tests.serving import FORM, JPEG, JSON, SECRET, Client, as_text

LAT, LON = 6.251837, -75.563591
IN_DEGREES = ((6, 15, 6.6132), (75, 33, 48.9276))  # the same, as EXIF has it
CAMERA, QUERY = "camera-of-the-neighbours", "query-of-a-client"
TAKEN = "2026-02-03T07:08:09-05:00"


def with_position(photo: bytes) -> bytes:
    """The photo as a phone would save it: with time, place and its own name in EXIF."""
    exif = Image.Exif()
    exif[0x010F] = CAMERA
    exif[0x9003] = exif[0x0132] = "2026:02:03 07:08:09"
    north, west = (
        tuple(IFDRational(round(part * 10_000), 10_000) for part in parts) for parts in IN_DEGREES
    )
    exif.get_ifd(0x8825).update({1: "N", 2: north, 3: "W", 4: west})
    file = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def requests(photo: bytes) -> list[tuple[bytes, dict[str, str], str]]:
    """Body, headers and address of good requests and of every kind of bad one."""
    asked = f"/predictions/pm25?lat={LAT}&lon={LON}&note={QUERY}"
    told = {
        "Authorization": f"Bearer {SECRET}",
        "Cookie": f"session={SECRET}",
        "X-Place": f"{LAT},{LON}",
        "User-Agent": SECRET,
        "Referer": f"http://{SECRET}/?{QUERY}",
    }
    place = {"captured_at": TAKEN, "lat": LAT, "lon": LON, "camera": CAMERA}

    def described(metadata: object) -> bytes:
        return json.dumps({"photo": as_text(photo), "metadata": metadata}).encode()

    return [
        (photo, {**JPEG, **told}, asked),
        (photo, {**JPEG, **told}, f"/explanations/pm25?{QUERY}={LAT}"),
        (photo, {**JPEG, **told}, f"/predictions/pm25/0.0.1?{QUERY}"),
        (photo, {**JPEG, **told}, f"/predictions/pm25/9.9.9?{QUERY}={LAT}"),
        (photo, {**JPEG, **told}, f"/nowhere?{QUERY}={LON}"),
        (described(place), {**JSON, **told}, asked),
        (described({**place, "lat": LAT * 1000}), {**JSON, **told}, asked),
        (described({**place, "camera": f"{CAMERA} {SECRET}"}), {**JSON, **told}, asked),
        (described({**place, SECRET: CAMERA}), {**JSON, **told}, asked),
        (described({**place, "captured_at": f"{TAKEN} {SECRET}"}), {**JSON, **told}, asked),
        (described(place)[:-40], {**JSON, **told}, asked),
        (f'{{"lat": {LAT}, "camera": "{CAMERA}"'.encode(), {**JSON, **told}, asked),
        (photo[: len(photo) // 2], {**JPEG, **told}, asked),
        (b"%" + photo, {**FORM, **told}, asked),
        (f"lat={LAT}&camera={CAMERA}&{SECRET}=%zz".encode(), {**FORM, **told}, asked),
        (b"", {**JPEG, **told}, asked),
        (SECRET.encode(), {**JPEG, **told}, asked),
    ]


def files_of(server: Server) -> dict[Path, bytes]:
    """What the server has written, but for its keys."""
    return {
        path: path.read_bytes()
        for path in server.folder.rglob("*")
        if path.is_file()
        and path != server.key_file
        and "tmp" not in path.relative_to(server.folder).parts
    }


@pytest.fixture(scope="module")
def sent(client: Client, server: Server, photo: bytes) -> bytes:
    """The photo that all of it was about."""
    tagged = with_position(photo)
    statuses = []
    for body, headers, address in requests(tagged):
        status, _, _ = client.exchange(body, headers, address)
        statuses.append(status)
    assert {200, 400, 404, 415, 422} <= set(statuses), statuses
    metadata = json.dumps({"lat": LAT, "lon": LON, "camera": CAMERA}).encode()
    assert client.form(image=tagged, metadata=metadata)[0] == 200
    assert client.form(image=tagged, metadata=metadata[:-3])[0] == 400
    assert client.form(image=tagged, camera=b"\xff" + SECRET.encode())[0] == 400
    time.sleep(1.5)
    return tagged


def test_no_log_tells_what_a_client_has_sent(server: Server, sent: bytes) -> None:
    logs = {path: text for path, text in files_of(server).items() if "predictions" not in path.name}
    assert {path.name for path in logs} >= {"access.log", "worker.log", "http.log", "console.log"}
    words = [SECRET, CAMERA, QUERY, TAKEN, "2026:02:03", "07:08:09", "6.2518", "75.5635", "6251.8"]
    for path, text in logs.items():
        for word in words:
            assert word.encode() not in text, f"{word} in {path}"
        assert b"JFIF" not in text and b"Exif" not in text, path
        for start in range(0, len(sent), 997):
            assert sent[start : start + 24] not in text, path
        assert as_text(sent)[200:260].encode() not in text, path


def test_the_access_log_tells_that_something_was_asked(server: Server, sent: bytes) -> None:
    """A log that holds nothing keeps every secret."""
    lines = (server.folder / "logs" / "access.log").read_text().splitlines()
    assert [line for line in lines if '"POST /predictions/pm25 ' in line and " 200 " in line]
    assert [line for line in lines if '"POST /explanations/pm25 ' in line]


def test_the_prediction_log_tells_no_precise_place(server: Server, sent: bytes) -> None:
    kept = b"".join(text for path, text in files_of(server).items() if "predictions" in path.name)
    assert CAMERA.encode() in kept  # whose photos drift is a question that it is there for
    assert struct.pack(">d", 6.3) in kept and struct.pack(">d", -75.6) in kept
    for number in (LAT, LON):
        assert struct.pack(">d", number) not in kept
        assert f"{number:.3f}".encode() not in kept
    for word in (SECRET, QUERY, TAKEN, "2026:02:03"):
        assert word.encode() not in kept
    for start in range(0, len(sent), 997):
        assert sent[start : start + 24] not in kept
