"""The server as it runs in production: on loopback, and with a key for each of its doors."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from features.errors import ServerError
from lifecycle import torchserve
from lifecycle.management import Management
from lifecycle.torchserve import Server
from tests.serving import JPEG, Client, free_port, is_answer, run_pm25


@pytest.fixture(scope="module")
def production(archive: Path) -> Iterator[Server]:
    """A server of its own with infra/torchserve/production.properties."""
    port = free_port()
    try:
        yield torchserve.start(archive, port, config=torchserve.PRODUCTION)
    finally:
        torchserve.stop(port)


def bearer(key: str | None) -> dict[str, str]:
    return {**JPEG, "Authorization": f"Bearer {key}"}


def test_a_photo_is_answered_to_the_inference_key_alone(production: Server, photo: bytes) -> None:
    client = Client(production.port)
    wrong = [JPEG, bearer("x"), bearer(production.key("management"))]
    assert [client.exchange(photo, headers)[0] for headers in wrong] == [400, 400, 400]
    status, _, content = client.send(photo, bearer(production.key("inference")))
    assert status == 200
    assert is_answer(content)


def test_the_inference_key_opens_no_management(production: Server) -> None:
    for key in (None, "x", production.key("inference")):
        with pytest.raises(ServerError) as caught:
            Management(production.port + 1, key).versions()
        assert caught.value.code == "not_authorised"
    (version,) = production.management.versions()
    assert version["modelVersion"] == "0.0.1"


def test_the_keys_are_for_their_owner_and_outlive_any_uptime(production: Server) -> None:
    assert stat.S_IMODE(production.key_file.stat().st_mode) == 0o600
    keys = json.loads(production.key_file.read_text())
    years = [int(keys[kind]["expiration time"][:4]) for kind in ("inference", "management")]
    assert min(years) >= datetime.now(UTC).year + 9


def test_production_listens_on_this_machine_alone(production: Server) -> None:
    family = [psutil.Process(production.pid), *psutil.Process(production.pid).children()]
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in family
        for connection in process.net_connections("inet")
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    }
    assert listening == {"127.0.0.1"}


def test_the_command_knows_the_key_and_tells_it_to_nobody(production: Server) -> None:
    ran = run_pm25("serve", "--port", str(production.port))
    assert ran.returncode == 0
    assert '"pm25_estimate"' in ran.stdout
    assert str(production.key_file) in ran.stdout
    said = [path.read_text() for path in production.folder.rglob("*.log")] + [ran.stdout]
    for kind in ("inference", "management"):
        assert not [text for text in said if str(production.key(kind)) in text]


def test_the_keys_leave_with_the_server(production: Server) -> None:
    """Runs last: it stops what the tests above have asked."""
    ran = run_pm25("stop", "--port", str(production.port))
    assert ran.returncode == 0
    assert not production.key_file.exists()
    assert not psutil.pid_exists(production.pid)
