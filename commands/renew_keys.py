"""`pm25 renew-keys`: new tokens for a server that asks for them, while it serves."""

from __future__ import annotations

from typing import Annotated

import typer

from features.errors import ServerError
from lifecycle import edge, keys, torchserve


def renew_keys(
    port: Annotated[
        int, typer.Option(help="Inference port of the server.")
    ] = torchserve.DEFAULT_PORT,
    edge_port: Annotated[int, typer.Option(help="Port of the edge before it.")] = edge.EDGE_PORT,
) -> None:
    """Replace the inference and the management key, and give the new one to the edge."""
    server = torchserve.running(port)
    if server is None:
        raise ServerError(
            "not_running", f"No TorchServe runs on port {port}.", "Start it with `make serve`."
        )
    before = edge.running(edge_port)
    keys.renew(server, before)
    told = f"The edge on port {edge_port} has the new one." if before else "No edge runs."
    typer.echo(f"New keys are in {server.key_file}; the old ones have ended. {told}")
