"""Versions come into a running server, answer side by side with their own code, and leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from features.errors import ServerError
from lifecycle import registration
from lifecycle.torchserve import Server
from tests.serving import JPEG, Client, other_code
from training.package import build_archive


@pytest.fixture(scope="module")
def second_version(
    archive: Path, fitted_artifact: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Version 0.0.2, registered beside 0.0.1: the same artefact, with code of its own."""
    changes = {"handlers/problem.py": ('"urn:pm25:problem:"', '"urn:other-code:"')}
    code = other_code(tmp_path_factory.mktemp("other") / "code", changes)
    other = build_archive(fitted_artifact, "0.0.2", archive.parent, code=code)
    return registration.register(server, other, make_default=False)


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


def test_registration_says_what_is_wrong(
    server: Server, archive: Path, fitted_artifact: Path, tmp_path: Path
) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(ServerError) as caught:
            registration.register(server, path)
        return caught.value.code

    before = server.management.versions()
    assert refused(archive) == "already_registered"
    assert refused(archive.parent / "pm25-9.9.9.mar") == "no_archive"
    elsewhere = build_archive(fitted_artifact, "0.0.8", tmp_path)
    assert refused(elsewhere) == "not_in_model_store"
    damaged = tmp_path / "damaged"
    shutil.copytree(fitted_artifact, damaged)
    (damaged / "manifest.json").write_text("{}")
    assert refused(build_archive(damaged, "0.0.9", archive.parent)) == "archive_refused"
    after = server.management.versions()
    assert [entry["modelVersion"] for entry in after] == [e["modelVersion"] for e in before]
    with pytest.raises(ServerError) as caught:
        registration.set_default(server.management, "9.9.9")
    assert caught.value.code == "not_ready"
    with pytest.raises(ServerError) as caught:
        registration.pending_requests(server.management, "9.9.9")
    assert caught.value.code == "not_registered"
