"""The server that all tests share: started once, with an archive trained once, stopped at the end.

What it needs is imported where it is asked for, so that tests without a server stay quick.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.rendered import *  # noqa: F403

if TYPE_CHECKING:
    from lifecycle.edge import Edge
    from lifecycle.torchserve import Server
    from tests.serving import Client

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

WATCHED = "0.0.3"
# Goes to the top of the entry: what happens from its first import on is seen.
_WATCH = """
import sys as _sys

_unpickled = []


def _watch(event, arguments):
    if event == "pickle.find_class":
        _unpickled.append(".".join(arguments))


_sys.addaudithook(_watch)
"""
# Goes to its end: every reply tells, in its headers, about the batch and the process it comes from.
_TELL = """
_handle = handle


def handle(rows, context):
    replies = _handle(rows, context)
    for index in range(len(rows or ())):
        told = {
            "X-Batch": str(len(rows)),
            "X-Unpickled": ",".join(_unpickled),
            "X-Modules": ",".join(name for name, module in _sys.modules.items() if module),
        }
        for name, value in told.items():
            context.set_response_header(index, name, value)
    return replies
"""


@pytest.fixture(scope="session")
def archive(fitted_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of version 0.0.1, alone in a model store."""
    return Path(shutil.copy(fitted_archive, tmp_path_factory.mktemp("model_store")))


@pytest.fixture(scope="session")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of camera references that `server` reads; it does not exist yet."""
    return tmp_path_factory.mktemp("told") / "cameras"


@pytest.fixture(scope="session")
def server(archive: Path, cameras: Path) -> Iterator[Server]:
    """A TorchServe of this session's own, with one worker of `archive`."""
    from handlers.camera_folder import FOLDER
    from lifecycle import torchserve
    from tests.serving import free_port

    port = free_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(FOLDER, str(cameras))
            started = torchserve.start(archive, port)
        yield started
    finally:
        torchserve.stop(port)


@pytest.fixture(scope="session")
def watched(
    archive: Path, fitted_artifact: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Where to ask the same artefact in batches of four, with an entry that tells on itself."""
    from handlers.content_hash import ENTRY
    from lifecycle import registration
    from tests.serving import other_code
    from training.package import MODEL, build_archive

    code = other_code(tmp_path_factory.mktemp("watched"), {})
    source = (code / ENTRY).read_text(encoding="utf-8")
    first = "import logging\n"
    assert source.count(first) == 1
    (code / ENTRY).write_text(source.replace(first, _WATCH + first) + _TELL, encoding="utf-8")
    registration.register(
        server,
        build_archive(fitted_artifact, WATCHED, archive.parent, code=code),
        make_default=False,
        batch_size=4,
        max_batch_delay=500,
    )
    return f"/predictions/{MODEL}/{WATCHED}"


@pytest.fixture(scope="session")
def client(server: Server) -> Client:
    """Sends requests to `server`."""
    from tests.serving import Client

    return Client(server.port)


@pytest.fixture(scope="session")
def edge(server: Server) -> Iterator[Edge]:
    """An nginx of this session's own before `server`."""
    from lifecycle import edge
    from tests.serving import edge_port, needs_nginx

    needs_nginx()
    port = edge_port(server.port)
    try:
        yield edge.start(server, port)
    finally:
        edge.stop(port)


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A rendered scene as a JPEG file."""
    from tests.serving import jpeg

    return jpeg(40.0)
