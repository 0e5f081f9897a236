"""What the outside sees: the paths of the contract, problems for all else, nothing behind it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from features.errors import ServerError
from lifecycle import edge as edges
from lifecycle import torchserve
from lifecycle.edge import Edge
from lifecycle.torchserve import Server
from tests.contract import assert_obeys
from tests.serving import FORM, JPEG, METADATA, SECRET, Client, edge_port, free_port, needs_nginx

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def outside(edge: Edge) -> Client:
    return Client(edge.port)


@pytest.fixture(scope="module")
def before_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An edge whose TorchServe is down."""
    needs_nginx()
    port = free_port()
    down = Server(port, tmp_path_factory.mktemp("down"), pid=0)
    try:
        yield Client(edges.start(down, edge_port(port)).port)
    finally:
        edges.stop(edge_port(port))


def refused(client: Client, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, str]:
    """Status and code of a problem that obeys the contract."""
    status, told, content = client.exchange(body, JPEG, path, method)
    assert told["Content-Type"] == PROBLEM
    assert_obeys(content, "Problem")
    assert content["status"] == status
    return status, content["code"]


# ---- what passes


@pytest.mark.parametrize("path", ["/predict", "/predictions/pm25", "/predictions/pm25/0.0.1"])
def test_a_photo_gets_the_answer_that_the_server_gives(
    outside: Client, client: Client, photo: bytes, path: str
) -> None:
    _, _, behind = client.send(photo, JPEG)
    status, media_type, content = outside.send(photo, JPEG, path)
    assert (status, media_type) == (200, "application/json")
    assert_obeys(content, "Answer")
    assert content["pm25_estimate"] == behind["pm25_estimate"]


@pytest.mark.parametrize("headers", [{}, FORM], ids=["no type", "curl's"])
def test_a_photo_without_its_content_type_arrives(
    outside: Client, photo: bytes, headers: dict[str, str]
) -> None:
    status, _, content = outside.send(photo, headers, "/predict")
    assert status == 200
    assert_obeys(content, "Answer")
    in_json = json.dumps({"photo": "%%%"}).encode()
    assert outside.send(in_json, headers, "/predict")[2]["code"] == "invalid_base64"


def test_a_form_keeps_its_parts(edge: Edge, photo: bytes) -> None:
    status, _, content = Client(edge.port).form(image=photo, metadata=json.dumps(METADATA).encode())
    assert status == 200
    assert content["metadata_used"]["place"] == {"lat": 6.3, "lon": -75.6, "source": "request"}


@pytest.mark.parametrize("path", ["/readyz", "/version", "/version?of=what"])
def test_readiness_is_told_by_a_worker(outside: Client, path: str, photo: bytes) -> None:
    for body in (b"", photo):  # a body is not passed on
        status, told, content = outside.exchange(body, JPEG, path, "GET")
        assert (status, told["Content-Type"]) == (200, "application/json")
        assert_obeys(content, "Description")
        assert content["model_version"] == "0.0.1"
    assert outside.exchange(b"", {}, path, "HEAD")[0] == 200


def test_the_process_says_that_it_lives(outside: Client) -> None:
    status, _, content = outside.exchange(b"", {}, "/ping", "GET")
    assert status == 200
    assert_obeys(content, "Ping")


def test_a_client_s_headers_change_nothing_behind(outside: Client, photo: bytes) -> None:
    for name in ("describe", "Explain", "DESCRIBE"):
        status, _, content = outside.send(photo, {**JPEG, name: "True"}, "/predict")
        assert status == 200
        assert_obeys(content, "Answer")
    assert outside.send(b"", {"describe": "True"}, "/predict")[0] == 400


def test_a_handler_s_problem_passes_as_it_is(outside: Client) -> None:
    status, media_type, content = outside.send(b"no photo", JPEG, "/predict")
    assert (status, media_type) == (415, PROBLEM)
    assert_obeys(content, "Problem")
    assert content["request_id"]


# ---- what does not


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/models", "/models/pm25", "/models/pm25/all", "/metrics", "/api-description"),
        *("/token", "/workflows", "/wfpredict/pm25", "/v1/models/pm25:predict", "/v2/models/pm25"),
        *("/predictions", "/predictions/other", "/predictions/pm25/", "/predictions/pm25/latest"),
        *("/predictions/pm25/../../models", "/predictions/pm25/%2e%2e/%2e%2e/models"),
        *("/predictions/pm25/1.2.3/x", "/predict/", "/Predict", "/ping/x", "/problem", "/version/"),
        *("/predictions/pm25/1.2.3-%0d%0aX:y", "/nginx.conf", "/inference_key.conf"),
        *("/ping%0a", "/predict%0a", "/version%0a", "/predictions/pm25%0a"),
        *("/predictions/pm25/0.0.1%0a", "/explanations/pm25%0a"),
    ],
)
def test_no_other_path_leads_anywhere(outside: Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PUT"):
        assert refused(outside, path, method) == (404, "not_found")


def test_a_version_that_is_not_loaded_is_not_found(outside: Client, photo: bytes) -> None:
    assert refused(outside, "/predictions/pm25/9.9.9", "POST", photo) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed", "others"),
    [
        ("/predict", "POST", ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH")),
        ("/predictions/pm25", "POST", ("GET", "OPTIONS", "DELETE")),
        ("/explanations/pm25", "POST", ("GET", "DELETE")),
        ("/readyz", "GET, HEAD", ("POST", "OPTIONS", "DELETE")),
        ("/version", "GET, HEAD", ("POST", "PUT")),
        ("/ping", "GET, HEAD", ("POST", "OPTIONS", "TRACE")),
    ],
)
def test_a_path_is_asked_in_its_own_way_alone(
    outside: Client, path: str, allowed: str, others: tuple[str, ...]
) -> None:
    for method in others:
        status, told, content = outside.exchange(b"", JPEG, path, method)
        assert (status, told["Allow"], told["Content-Type"]) == (405, allowed, PROBLEM), method
        if method != "HEAD":
            assert_obeys(content, "Problem")


def test_too_much_is_refused_before_it_is_sent(edge: Edge) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 35651585\r\n\r\n"
    status, content = raw(edge, head)
    assert status == 413
    assert_obeys(content, "Problem")
    assert content["code"] == "too_large"


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n",
    ],
    ids=["no HTTP", "long address", "long header", "no host", "length", "coding"],
)
def test_what_breaks_http_is_a_problem_too(edge: Edge, sent: bytes) -> None:
    status, content = raw(edge, sent)
    assert status == 400
    assert_obeys(content, "Problem")
    assert content["code"] == "bad_request"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b'Content-Disposition: form-data; name=""\r\n\r\nx', "invalid_form"),
        (b"Content-Disposition: form-data\r\n\r\nx", "invalid_form"),
        (b"no header at all", "missing_photo"),
    ],
    ids=["empty name", "no name", "no header"],
)
def test_a_form_that_cannot_be_read_is_the_client_s_fault(
    outside: Client, photo: bytes, part: bytes, code: str
) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    status, media_type, content = outside.send(
        b"--b\r\n" + part + b"\r\n--b--\r\n", form, "/predict"
    )
    assert (status, media_type, content["code"]) == (400, PROBLEM, code)
    assert_obeys(content, "Problem")
    assert outside.send(photo, JPEG, "/predict")[0] == 200


def raw(edge: Edge, sent: bytes) -> tuple[int, dict[str, object]]:
    """Status and content of the reply to these very bytes."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())


def test_without_a_server_it_says_when_to_come_again(before_nothing: Client, photo: bytes) -> None:
    for path, method in (("/predict", "POST"), ("/readyz", "GET"), ("/ping", "GET")):
        status, told, content = before_nothing.exchange(photo, JPEG, path, method)
        assert (status, told["Retry-After"]) == (503, "5")
        assert_obeys(content, "Problem")
        assert content["code"] == "unavailable"


# ---- how it stands on this machine


def test_it_listens_on_this_machine_alone(edge: Edge) -> None:
    connections = psutil.Process(edge.pid).net_connections("inet")
    assert {(c.laddr.ip, c.laddr.port) for c in connections} == {("127.0.0.1", edge.port)}


def test_its_limits_are_those_of_the_server() -> None:
    text = edges.TEMPLATE.read_text(encoding="utf-8")
    for config in (torchserve.DEVELOPMENT, torchserve.PRODUCTION):
        settings = config.read_text(encoding="utf-8")
        limits = re.findall(r"^max_request_size=(\d+)$", settings, re.MULTILINE)
        assert re.findall(r"client_max_body_size (\d+);", text) == limits
        (patience,) = re.findall(r"^default_response_timeout=(\d+)$", settings, re.MULTILINE)
        assert int(patience) < int(re.findall(r"proxy_read_timeout (\d+)s;", text)[0])


def test_a_second_one_and_a_taken_port_are_named(edge: Edge, server: Server) -> None:
    assert edges.running(edge.port) == edge
    with pytest.raises(ServerError) as caught:
        edges.start(server, edge.port)
    assert caught.value.code == "port_taken"
    assert edges.running(edge.port) == edge


def test_no_log_holds_an_address_a_header_a_place_or_a_photo(
    outside: Client, edge: Edge, photo: bytes
) -> None:
    """Runs last: the logs hold everything that was asked above."""
    outside.send(photo, {**JPEG, "Cookie": SECRET}, "/predict?lat=6.2518&lon=-75.5636")
    outside.exchange(b"", {"Referer": "http://x/6.2518"}, "/at/6.2518,-75.5636?x", "GET")
    raw(edge, b"GET /6.2518 nonsense\r\n\r\n")
    raw(edge, b"POST /predict?lat=6.2518 HTTP/1.1\r\nHost: x\r\nContent-Length: 35651585\r\n\r\n")
    deadline = time.monotonic() + 60
    log = edge.folder / "logs" / "access.log"
    while "POST /predict 413" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    texts = {path: path.read_bytes() for path in edge.folder.rglob("*.log")}
    assert {path.name for path in texts} == {"access.log", "error.log"}
    for path, text in texts.items():
        for secret in (SECRET.encode(), b"6.2518", b"75.5636", b"127.0.0.1", b"JFIF"):
            assert secret not in text, (path, secret)
    assert b"GET other 404" in texts[log]
    assert not any(Path(edge.folder, "tmp", "body").rglob("*.*"))
