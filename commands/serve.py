"""`pm25 serve` and `pm25 stop`: TorchServe with the production archive on this machine."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from features.errors import ServerError
from lifecycle import torchserve
from lifecycle.production import production_archive

SAMPLE = Path("docs/examples/photo.jpg")

Port = Annotated[int, typer.Option(help="Inference port; all other ports move with it.")]


def serve(
    port: Port = torchserve.DEFAULT_PORT,
    archive: Annotated[
        Path | None, typer.Option(help="The archive to serve; the production one if absent.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """Start TorchServe in the background, wait for READY, and estimate a sample photo."""
    server = torchserve.running(port)
    if server is not None:
        typer.echo(f"Already running on port {port} (pid {server.pid}).")
    else:
        begun = time.monotonic()
        server = torchserve.start(archive or production_archive(), port, workers=workers)
        typer.echo(f"READY on port {port} after {time.monotonic() - begun:.1f} s.")
    typer.echo(json.dumps(_ask(server), indent=2, ensure_ascii=False))
    # A key is for those who may read its file; the terminal's scrollback is not.
    token = "-H 'Authorization: Bearer …' " if server.key("inference") else ""
    if token:
        typer.echo(f"\nThe server asks for the inference key in {server.key_file}.")
    typer.echo(
        "\nYour own photo:\n  curl -H 'Content-Type: image/jpeg' "
        f"{token}--data-binary @{SAMPLE} {server.inference_url}\n"
        f"Stop the server:\n  make stop{'' if port == torchserve.DEFAULT_PORT else f' PORT={port}'}"
    )


def stop(port: Port = torchserve.DEFAULT_PORT) -> None:
    """Stop the TorchServe that `pm25 serve` started on this port."""
    stopped = torchserve.stop(port)
    typer.echo(f"Stopped port {port}." if stopped else f"Nothing ran on port {port}.")


def _ask(server: torchserve.Server) -> object:
    headers = {"Content-Type": "image/jpeg"}
    if key := server.key("inference"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        server.inference_url, data=SAMPLE.read_bytes(), headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
    except OSError as error:
        raise ServerError(
            "no_answer",
            f"The server is up but did not answer the sample photo: {error}.",
            "Read the end of its logs below build/torchserve.",
        ) from None
