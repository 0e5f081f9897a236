"""The server as it runs in production: on loopback, and with a key for each of its doors."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from features.errors import ServerError
from handlers.prediction_writer import KEEP_DAYS, KEEP_SETTING, OFF, SETTING
from lifecycle import torchserve
from lifecycle.management import Management
from lifecycle.torchserve import Server
from tests.prometheus import value, wait_for
from tests.serving import JPEG, Client, bearer, free_port, is_answer, run_pm25
from training.package import ROOT


@pytest.fixture(scope="module")
def production(archive: Path) -> Iterator[Server]:
    """A server of its own with infra/torchserve/production.properties."""
    port = free_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SETTING, OFF)
            server = torchserve.start(archive, port, config=torchserve.PRODUCTION)
        yield server
    finally:
        torchserve.stop(port)


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


def test_the_container_and_the_service_keep_their_log_in_one_place() -> None:
    told = (ROOT / "infra" / "torchserve" / "production.env").read_text(encoding="utf-8")
    (path,) = re.findall(rf"^{SETTING}=(\S+)$", told, re.MULTILINE)
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"{SETTING}={path}\n" in dockerfile
    assert f"VOLUME {Path(path).parent}\n" in dockerfile
    assert f"--mode=700 {Path(path).parent}\n" in dockerfile
    (days,) = re.findall(rf"^{KEEP_SETTING}=(\S+)$", told, re.MULTILINE)
    assert float(days) == KEEP_DAYS


def test_a_prediction_log_that_is_switched_off_keeps_nothing(
    production: Server, photo: bytes
) -> None:
    key = production.key("inference")
    assert Client(production.port).send(photo, bearer(key))[0] == 200
    assert wait_for(lambda: value(production, "pm25_photos_total", outcome="answered"), 1)
    assert value(production, "pm25_prediction_log_rows_total") == 0
    # An earlier server on this port may have left its log in the same folder.
    began = psutil.Process(production.pid).create_time()
    kept = production.folder.glob("predictions*")
    assert not [path for path in kept if path.stat().st_mtime >= began]


def test_no_log_holds_a_key_that_was_right_or_wrong(production: Server, photo: bytes) -> None:
    """The logs hold everything that was asked above as well."""
    wrong = "a-wrong-key-that-somebody-tried"
    client = Client(production.port)
    for headers in (bearer(wrong), {**JPEG, "Authorization": wrong}):
        assert client.exchange(photo, headers, f"/predictions/pm25?token={wrong}")[0] == 400
    with pytest.raises(ServerError):
        Management(production.port + 1, wrong).versions()
    keys = [str(production.key(kind)) for kind in ("inference", "management")]
    logs = list(production.folder.rglob("*.log"))
    assert {path.name for path in logs} >= {"access.log", "http.log", "server.log", "console.log"}
    for path in logs:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [key for key in (*keys, wrong) if key in text], path


def test_the_keys_leave_with_the_server(production: Server) -> None:
    """Runs last: it stops what the tests above have asked."""
    ran = run_pm25("stop", "--port", str(production.port))
    assert ran.returncode == 0
    assert not production.key_file.exists()
    assert not psutil.pid_exists(production.pid)
