"""The server that all tests share: started once, with an archive trained once, stopped at the end.

What it needs is imported where it is asked for, so that tests without a server stay quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rendered import *  # noqa: F403

if TYPE_CHECKING:
    from lifecycle.torchserve import Server
    from tests.serving import Client


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small archive of version 0.0.1, alone in its model store."""
    from tests.serving import small_archive

    return small_archive(tmp_path_factory.mktemp("serving"), "0.0.1")


@pytest.fixture(scope="session")
def artifact(archive: Path) -> Path:
    """The artefact folder from which `archive` was built."""
    return archive.parent.parent / "artifact-0.0.1"


@pytest.fixture(scope="session")
def server(archive: Path) -> Iterator[Server]:
    """A TorchServe of this session's own, with one worker of `archive`."""
    from lifecycle import torchserve
    from tests.serving import free_port

    port = free_port()
    try:
        yield torchserve.start(archive, port)
    finally:
        torchserve.stop(port)


@pytest.fixture(scope="session")
def client(server: Server) -> Client:
    """Sends requests to `server`."""
    from tests.serving import Client

    return Client(server.port)


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A rendered scene as a JPEG file."""
    from tests.serving import jpeg

    return jpeg(40.0)
