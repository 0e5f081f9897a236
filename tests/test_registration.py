"""Versions come into a running server, answer side by side with their own code, and leave."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from features.errors import ServerError
from lifecycle import registration
from lifecycle.torchserve import Server
from tests.serving import JPEG, Client, is_answer
from training.package import PACKAGES, ROOT, build_archive


@pytest.fixture(scope="session")
def second_version(
    archive: Path, artifact: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Version 0.0.2: the same artefact, with code of its own, registered for batches of 4."""
    folder = tmp_path_factory.mktemp("other")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / "code" / package)
    with (folder / "code" / "handlers" / "problem.py").open("a") as source:
        source.write('\nPROBLEM_TYPE = "urn:other-code:"\n')
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


def test_registration_says_what_is_wrong(
    server: Server, archive: Path, artifact: Path, tmp_path: Path
) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(ServerError) as caught:
            registration.register(server, path)
        return caught.value.code

    assert refused(archive) == "already_registered"
    assert refused(archive.parent / "pm25-9.9.9.mar") == "no_archive"
    elsewhere = build_archive(artifact, "0.0.8", tmp_path)
    assert refused(elsewhere) == "not_in_model_store"
    damaged = tmp_path / "damaged"
    shutil.copytree(artifact, damaged)
    (damaged / "manifest.json").write_text("{}")
    assert refused(build_archive(damaged, "0.0.9", archive.parent)) == "archive_refused"
    assert [entry["modelVersion"] for entry in server.management.versions()] == ["0.0.1"]
    with pytest.raises(ServerError) as caught:
        registration.set_default(server.management, "9.9.9")
    assert caught.value.code == "not_ready"
    with pytest.raises(ServerError) as caught:
        registration.pending_requests(server.management, "9.9.9")
    assert caught.value.code == "not_registered"
