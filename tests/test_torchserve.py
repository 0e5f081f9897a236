"""The server on this machine: where it listens, what it loads, counts, logs and refuses."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from features.errors import ServerError
from lifecycle import ports, torchserve
from lifecycle.torchserve import Server
from tests.serving import (
    TRAINING_LIBRARIES,
    free_port,
    worker_pids,
)
from training.package import ROOT


def test_every_port_listens_on_this_machine_alone(server: Server) -> None:
    connections = psutil.Process(server.pid).net_connections("tcp")
    listening = {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    expected = {
        number for key, number in ports.ports_of(server.port).items() if "worker" not in key
    }
    assert {address.port for address in listening} == expected


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux says what is mapped")
def test_no_training_library_is_mapped_into_the_worker(server: Server) -> None:
    """What the worker says of itself stands in test_parity.py; this is what the kernel says."""
    (pid,) = worker_pids(server)
    mapped = {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
    assert any("/torch/" in path for path in mapped)
    for library in TRAINING_LIBRARIES:
        assert not [path for path in mapped if f"/{library}/" in path]


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


def test_keys_that_are_being_written_are_read_once_they_are_whole(tmp_path: Path) -> None:
    """TorchServe writes the file in its place; a reader may come at any moment."""
    server = Server(8080, tmp_path, 1)
    assert server.key("inference") is None
    whole = json.dumps({"inference": {"key": "of this run"}})
    server.key_file.touch()

    def write() -> None:
        for end in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
            time.sleep(0.05)
            server.key_file.write_text(whole[:end])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert server.key("inference") == "of this run"
    finally:
        writer.join()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"inference": 1}'])
def test_keys_that_never_come_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(torchserve, "_KEYS_PATIENCE", 0.1)
    server = Server(8080, tmp_path, 1)
    server.key_file.write_text(content)
    with pytest.raises(ServerError) as caught:
        server.key("inference")
    assert caught.value.code == "keys_unreadable"
    assert str(server.key_file) in caught.value.detail


def settings(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_production_differs_in_its_tokens_alone() -> None:
    development = settings(torchserve.DEVELOPMENT)
    production = settings(torchserve.PRODUCTION)
    differing = {key for key in production if production[key] != development.get(key)}
    assert differing == {"disable_token_authorization", "token_expiration_min"}
    assert production.keys() >= development.keys()
    assert production["disable_token_authorization"] == "false"


@pytest.mark.parametrize("path", [torchserve.DEVELOPMENT, torchserve.PRODUCTION])
def test_a_configuration_keeps_to_loopback_and_names_no_version(path: Path) -> None:
    chosen = settings(path)
    moved = {key: str(number) for key, number in ports.ports_of(ports.DEFAULT_PORT).items()}
    for key, number in moved.items():
        assert chosen[key] in (number, f"http://127.0.0.1:{number}")
    assert not {"load_models", "models"} & chosen.keys()
    assert ".mar" not in path.read_text(encoding="utf-8")
    assert (ROOT / chosen["metrics_config"]).is_file()


def test_stopping_what_does_not_run_is_no_error() -> None:
    assert torchserve.stop(free_port()) is False


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pm25-1.0.0.mar"
    file.write_bytes(b"no zip")
    for path in (file, tmp_path / "missing.mar"):
        with pytest.raises(ServerError) as caught:
            torchserve.start(path, free_port())
        assert caught.value.code == "no_archive"
