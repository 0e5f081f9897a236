"""`pm25 register`: load another version into the running TorchServe."""

from __future__ import annotations

from typing import Annotated

import typer

from features.errors import ServerError
from lifecycle import torchserve
from lifecycle.production import archive_path
from lifecycle.registration import register as register_archive


def register(
    version: Annotated[str, typer.Option(help="The version to load, for instance 1.0.1.")],
    port: Annotated[int, typer.Option(help="Inference port.")] = torchserve.DEFAULT_PORT,
) -> None:
    """Load a version without stalling requests, wait for READY, make it the default."""
    server = torchserve.running(port)
    if server is None:
        raise ServerError(
            "not_running", f"No server of this project runs on port {port}.", "Run `make serve`."
        )
    loaded = register_archive(server, archive_path(version))
    typer.echo(f"Version {loaded} is READY and the default on port {port}.")
