"""The keys of a server in production: the edge has one, they can be renewed, and they end."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import ServerError
from lifecycle import edge as edges
from lifecycle import keys, torchserve
from lifecycle.edge import Edge
from lifecycle.management import Management
from lifecycle.torchserve import Server
from tests.serving import (
    JPEG,
    Client,
    bearer,
    edge_port,
    free_port,
    is_answer,
    needs_nginx,
    run_pm25,
)


@pytest.fixture(scope="module")
def production(archive: Path) -> Iterator[Server]:
    """A server of its own with infra/torchserve/production.properties."""
    needs_nginx()
    port = free_port()
    try:
        yield torchserve.start(archive, port, config=torchserve.PRODUCTION)
    finally:
        torchserve.stop(port)


@pytest.fixture(scope="module")
def guarded(production: Server) -> Iterator[Edge]:
    """The edge before it."""
    port = edge_port(production.port)
    try:
        yield edges.start(production, port)
    finally:
        edges.stop(port)


def test_the_edge_adds_the_inference_key_and_keeps_it_to_itself(
    production: Server, guarded: Edge, photo: bytes
) -> None:
    outside = Client(guarded.port)
    for headers in (JPEG, bearer("x")):  # a client's own is not passed on
        status, _, content = outside.send(photo, headers, "/predict")
        assert status == 200
        assert is_answer(content)
    assert outside.exchange(b"", {}, "/readyz", "GET")[0] == 200
    assert outside.exchange(b"", bearer(production.key("management")), "/models", "GET")[0] == 404
    key = str(production.key("inference"))
    holding = [p for p in guarded.folder.rglob("*") if p.is_file() and key in p.read_text()]
    assert [path.name for path in holding] == ["inference_key.conf"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600


def test_new_keys_come_while_it_serves(production: Server, guarded: Edge, photo: bytes) -> None:
    old = {kind: production.key(kind) for kind in ("inference", "management")}
    ran = run_pm25("renew-keys", "--port", str(production.port), "--edge-port", str(guarded.port))
    assert ran.returncode == 0, ran.stderr
    for kind, key in old.items():
        assert production.key(kind) not in (None, key)
        assert str(key) not in ran.stdout and str(production.key(kind)) not in ran.stdout
    assert stat.S_IMODE(production.key_file.stat().st_mode) == 0o600
    assert Client(production.port).exchange(photo, bearer(old["inference"]))[0] == 400
    with pytest.raises(ServerError):
        Management(production.port + 1, old["management"]).versions()
    (version,) = production.management.versions()
    assert version["modelVersion"] == "0.0.1"
    assert answers_within(guarded, photo, seconds=5.0)


def answers_within(edge: Edge, photo: bytes, seconds: float) -> bool:
    """Whether the edge answers within so long: it takes a moment to read a new key."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if Client(edge.port).exchange(photo, JPEG, "/predict")[0] == 200:
            return True
    return False


@pytest.mark.long
def test_it_serves_past_the_expiry_of_its_tokens(
    archive: Path, photo: bytes, tmp_path: Path
) -> None:
    """With keys that live for a minute: the edge is given new ones, before and after they end."""
    needs_nginx()
    text = torchserve.PRODUCTION.read_text(encoding="utf-8")
    config = tmp_path / "one_minute.properties"
    config.write_text(re.sub("token_expiration_min=.*", "token_expiration_min=1", text), "utf-8")
    port = free_port()
    try:
        begun = time.monotonic()
        server = torchserve.start(archive, port, config=config)
        edge = edges.start(server, edge_port(port))
        first = str(server.key("inference"))
        failed: list[float] = []
        renewed_at: float | None = None
        while (age := time.monotonic() - begun) < 75:
            if age > 40 and renewed_at is None:
                keys.renew(server, edge)
                renewed_at = time.monotonic() - begun
            if Client(edge.port).exchange(photo, JPEG, "/predict")[0] != 200:
                failed.append(time.monotonic() - begun)
            time.sleep(0.02)
        # Past the first key's end; what failed met TorchServe before nginx had the new one.
        assert renewed_at is not None
        assert [at for at in failed if not 0 <= at - renewed_at < 2] == []
        assert Client(port).exchange(photo, bearer(first))[0] == 400
        while time.monotonic() - begun < renewed_at + 65:
            time.sleep(1)
        # Nobody renewed in time: the door is shut, and opens again without a restart.
        assert Client(edge.port).exchange(photo, JPEG, "/predict")[0] == 400
        with pytest.raises(ServerError):
            server.management.versions()
        keys.renew(server, edge)
        assert answers_within(edge, photo, seconds=5.0)
        assert len(server.management.versions()) == 1
    finally:
        edges.stop(edge_port(port))
        torchserve.stop(port)
