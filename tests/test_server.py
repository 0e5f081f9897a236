"""A real TorchServe with a real archive: what clients get, and what never happens to it."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from features.errors import ServerError
from lifecycle import ports, registration, torchserve
from lifecycle.torchserve import Server
from tests.serving import jpeg, small_archive
from training.package import PACKAGES, ROOT, build_archive

METADATA = {"captured_at": "2026-03-20T10:00:00-05:00", "lat": 6.2518, "lon": -75.5636}
JPEG = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}
SECRET = "a-token-that-no-log-may-hold"


def free_port() -> int:
    """An inference port whose whole family of ports is free."""
    for port in range(18480, 28000, 100):
        try:
            ports.check_ports(port)
        except ServerError:
            continue
        if torchserve.running(port) is None:
            return port
    raise AssertionError("no free ports")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_archive(tmp_path_factory.mktemp("serving"), "0.0.1")


@pytest.fixture(scope="session")
def server(archive: Path) -> Iterator[Server]:
    port = free_port()
    try:
        yield torchserve.start(archive, port)
    finally:
        torchserve.stop(port)


class Client:
    """Sends one request at a time and reads its JSON."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(
        self,
        body: bytes,
        headers: dict[str, str],
        path: str = "/predictions/pm25",
        method: str = "POST",
    ) -> tuple[int, str, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"X-Secret": SECRET, **headers})
            response = connection.getresponse()
            content = json.loads(response.read())
            return response.status, response.headers["Content-Type"], content
        finally:
            connection.close()

    def form(self, **parts: bytes) -> tuple[int, str, dict[str, Any]]:
        boundary = "boundary-of-the-parts"
        lines = []
        for name, value in parts.items():
            file = '; filename="a.jpg"' if name.startswith("image") else ""
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
            lines.append(head.encode() + value + b"\r\n")
        body = b"".join(lines) + f"--{boundary}--\r\n".encode()
        return self.send(body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


@pytest.fixture(scope="session")
def client(server: Server) -> Client:
    return Client(server.port)


@pytest.fixture(scope="session")
def photo() -> bytes:
    return jpeg(40.0)


def as_text(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def worker_pids(server: Server, version: str = "0.0.1") -> list[object]:
    return [worker["pid"] for worker in server.management.workers(version)]


def is_answer(content: dict[str, Any]) -> bool:
    lower, upper = content["interval"]["lower"], content["interval"]["upper"]
    return bool(
        lower <= content["pm25_estimate"] <= upper
        and content["model_version"] == "0.0.1"
        and content["processing_time"] > 0
        and content["request_id"]
    )


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
        "broken JSON": (400, b'{"photo": "', JSON),
        "JSON list": (400, b"[]", JSON),
        "no photo in JSON": (400, b'{"metadata": {}}', JSON),
        "no base64": (400, b'{"photo": "%%%"}', JSON),
        "metadata is a list": (400, described([1]), JSON),
        "out of range": (422, described({"lat": 600.0, "lon": 0}), JSON),
        "unknown field": (422, described({"latitude": 6.2}), JSON),
        "no number": (422, described({"temperature_c": "warm"}), JSON),
        "explain": (404, photo, JPEG),
    }


def test_bad_input_gets_its_reason_and_the_same_worker_answers_the_next(
    client: Client, server: Server, photo: bytes
) -> None:
    before = worker_pids(server)
    for name, (expected, body, headers) in bad_requests(photo).items():
        path = "/explanations/pm25" if name == "explain" else "/predictions/pm25"
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
    """`curl --data-binary` calls it a form: TorchServe loses it, or refuses it as one (500)."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, content = client.send(b"lost", form)
    assert (status, content["code"]) == (400, "missing_content_type")
    assert "Content-Type" in content["how_to_fix"]
    assert client.send(b"%" + photo, form)[0] == 500
    assert client.send(photo, JPEG)[0] == 200


# ---- batches and versions


@pytest.fixture(scope="session")
def second_version(archive: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Version 0.0.2: the same artefact, with code of its own, registered for batches of 4."""
    folder = tmp_path_factory.mktemp("other")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / "code" / package)
    with (folder / "code" / "handlers" / "problem.py").open("a") as source:
        source.write('\nPROBLEM_TYPE = "urn:other-code:"\n')
    artifact = archive.parent.parent / "artifact-0.0.1"
    other = build_archive(artifact, "0.0.2", archive.parent, code=folder / "code")
    return registration.register(
        server, other, make_default=False, batch_size=4, max_batch_delay=500
    )


def test_two_versions_run_their_own_code_side_by_side(
    client: Client, server: Server, second_version: str, photo: bytes
) -> None:
    for _ in range(2):
        _, _, first = client.send(b"text", JPEG, "/predictions/pm25/0.0.1")
        _, _, second = client.send(b"text", JPEG, "/predictions/pm25/0.0.2")
        assert first["type"].startswith("urn:pm25:")
        assert second["type"].startswith("urn:other-code:")
    _, _, default = client.send(b"text", JPEG)
    assert default["type"].startswith("urn:pm25:")
    assert client.send(photo, JPEG, "/predictions/pm25/0.0.2")[0] == 200


def test_a_bad_photo_in_a_batch_fails_alone(
    client: Client, server: Server, second_version: str, photo: bytes
) -> None:
    """Four clients in one batch: the handler sees them together, each gets its own."""
    bodies = [photo, b"text", photo, photo[:5000]]
    replies: dict[int, tuple[int, str, dict[str, Any]]] = {}

    def ask(i: int) -> None:
        replies[i] = client.send(bodies[i], JPEG, "/predictions/pm25/0.0.2")

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [replies[i][0] for i in range(4)] == [200, 415, 200, 422]
    assert is_answer(replies[0][2]) and is_answer(replies[2][2])


def test_a_version_becomes_the_default_and_the_old_one_leaves(
    client: Client, server: Server, second_version: str, photo: bytes
) -> None:
    management = server.management
    with pytest.raises(ServerError) as caught:
        registration.unregister(management, "0.0.1")
    assert caught.value.code == "still_default"
    registration.set_default(management, second_version)
    assert client.send(b"text", JPEG)[2]["type"].startswith("urn:other-code:")
    registration.set_default(management, "0.0.1")
    assert client.send(b"text", JPEG)[2]["type"].startswith("urn:pm25:")
    registration.unregister(management, second_version)
    assert management.workers(second_version) == []
    assert client.send(photo, JPEG)[0] == 200


def test_registration_says_what_is_wrong(server: Server, archive: Path, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(ServerError) as caught:
            registration.register(server, path)
        return caught.value.code

    assert refused(archive) == "already_registered"
    assert refused(archive.parent / "pm25-9.9.9.mar") == "no_archive"
    elsewhere = build_archive(archive.parent.parent / "artifact-0.0.1", "0.0.8", tmp_path)
    assert refused(elsewhere) == "not_in_model_store"
    damaged = tmp_path / "damaged"
    shutil.copytree(archive.parent.parent / "artifact-0.0.1", damaged)
    (damaged / "manifest.json").write_text("{}")
    assert refused(build_archive(damaged, "0.0.9", archive.parent)) == "archive_refused"
    assert [entry["modelVersion"] for entry in server.management.versions()] == ["0.0.1"]
    with pytest.raises(ServerError) as caught:
        registration.set_default(server.management, "9.9.9")
    assert caught.value.code == "not_ready"
    with pytest.raises(ServerError) as caught:
        registration.pending_requests(server.management, "9.9.9")
    assert caught.value.code == "not_registered"


# ---- the server itself


def test_every_port_listens_on_this_machine_alone(server: Server) -> None:
    connections = psutil.Process(server.pid).net_connections("tcp")
    listening = {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    expected = {
        number for key, number in ports.ports_of(server.port).items() if "worker" not in key
    }
    assert {address.port for address in listening} == expected


def test_the_worker_knows_no_training_library(server: Server) -> None:
    """Not merely unused: nothing of them is mapped into the process, nor can be imported."""
    (pid,) = worker_pids(server)
    mapped = {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
    assert any("xgboost" in path for path in mapped)
    for library in ("sklearn", "skimage", "pandas"):
        assert not [path for path in mapped if f"/{library}/" in path]
    code = (
        "import pm25_handler, sys; "
        "print([n for n in ('sklearn','skimage','pandas','joblib') if sys.modules.get(n)])"
    )
    folder = Path(f"/proc/{pid}/cwd").resolve()
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_counters_tell_outcomes_and_stages(server: Server, client: Client, photo: bytes) -> None:
    client.send(photo, JPEG)
    client.send(b"text", JPEG)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", server.port + 2, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        if 'outcome="unsupported_media_type"' in text:
            break
    assert 'pm25_photos_total{version="0.0.1",outcome="answered"' in text
    assert 'pm25_photos_total{version="0.0.1",outcome="unsupported_media_type"' in text
    assert 'pm25_processing_le_total{version="0.0.1",le="+Inf"' in text
    for stage in ("decode", "features", "models", "all"):
        assert f'pm25_stage_seconds_total{{version="0.0.1",stage="{stage}"' in text


def test_the_model_describes_itself(server: Server) -> None:
    (entry,) = server.management.call("GET", "/models/pm25", customized="true")["items"]
    assert entry["customizedMetadata"]["model_version"] == "0.0.1"
    assert len(entry["customizedMetadata"]["feature_set"]) == 64


def test_a_running_server_and_a_taken_port_are_named(archive: Path, server: Server) -> None:
    assert torchserve.running(server.port) == server
    with pytest.raises(ServerError) as caught:
        torchserve.start(archive, server.port)
    assert caught.value.code == "already_running"
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + 1))
        taken.listen()
        with pytest.raises(ServerError) as caught:
            torchserve.start(archive, port)
    assert caught.value.code == "port_taken"
    assert str(port + 1) in caught.value.detail
    assert str(psutil.Process().pid) in caught.value.detail


@pytest.mark.parametrize("port", [80, 2000, 65_000])
def test_a_port_that_leaves_no_room_is_refused(archive: Path, port: int) -> None:
    with pytest.raises(ServerError) as caught:
        torchserve.start(archive, port)
    assert caught.value.code == "port_out_of_range"


def test_stopping_what_does_not_run_is_no_error() -> None:
    assert torchserve.stop(free_port()) is False


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pm25-1.0.0.mar"
    file.write_bytes(b"no zip")
    for path in (file, tmp_path / "missing.mar"):
        with pytest.raises(ServerError) as caught:
            torchserve.start(path, free_port())
        assert caught.value.code == "no_archive"


def test_no_log_holds_a_header_a_photo_or_a_place(
    client: Client, server: Server, photo: bytes
) -> None:
    """Runs last: the logs hold everything that was asked above."""
    client.send(
        photo, {**JPEG, "Authorization": f"Bearer {SECRET}"}, "/predictions/pm25?lat=6.2518"
    )
    client.form(image=photo, metadata=json.dumps(METADATA).encode())
    client.form(image=photo, metadata=b'{"lat": 6.2518, "lon"')
    client.send(b"%" + photo, {"Content-Type": "application/x-www-form-urlencoded"})
    time.sleep(0.5)
    logs = [path for path in server.folder.rglob("*") if path.suffix in (".log", ".gz")]
    assert {path.name for path in logs} >= {"access.log", "worker.log", "http.log", "console.log"}
    for path in logs:
        text = path.read_bytes()
        assert SECRET.encode() not in text, path
        assert b"6.2518" not in text and b"75.5636" not in text, path
        assert b"JFIF" not in text and photo[200:240] not in text, path
        assert as_text(photo)[200:260].encode() not in text, path
