"""New keys for a server that asks for tokens, while it runs.

TorchServe writes three into key_file.json when it starts: for inference, for management, and one
that does nothing but renew the other two and never expires.
"""

from __future__ import annotations

from features.errors import ServerError
from lifecycle import edge
from lifecycle.edge import Edge
from lifecycle.management import Management
from lifecycle.torchserve import Server

__all__ = ["renew"]


def renew(server: Server, before: Edge | None) -> None:
    """Replace both keys of `server`, expired or not, and hand the new one to the edge `before` it.

    The old keys end at once. Requests that pass the edge before it has read the new one, some tens
    of milliseconds, are refused as the old key is. Raises ServerError: no_keys, not_running.
    """
    key = server.key("API")
    if key is None:
        raise ServerError(
            "no_keys",
            f"The server on port {server.port} asks for no keys.",
            "Start it with infra/torchserve/production.properties if it should.",
        )
    tokens = Management(server.port + 1, key)
    for kind in ("management", "inference"):
        tokens.call("GET", "/token", type=kind)
    if before is not None:
        edge.hand_over_key(before, server)
