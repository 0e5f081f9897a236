"""TorchServe's management API: one call, one JSON object back, one kind of error."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from features.errors import ServerError
from training.package import MODEL


@dataclass(frozen=True)
class Management:
    """The management port of one server on this machine.

    port  of the management API, one above the inference port
    key   token of a server that asks for one (its key_file.json), else None
    """

    port: int
    key: str | None = None

    def call(
        self, method: str, path: str, *, timeout: float = 30.0, **query: object
    ) -> dict[str, object]:
        """Send one request and read its JSON; a list comes back as {"items": […]}.

        Raises ServerError: not_running when nobody answers, not_authorised, and otherwise
        management_<status> with TorchServe's own message.
        """
        url = f"http://127.0.0.1:{self.port}{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                content = json.loads(response.read().strip() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise ServerError(
                "not_running",
                f"No TorchServe answers on port {self.port} ({error}).",
                "Start it with `make serve`.",
            ) from None
        return content if isinstance(content, dict) else {"items": content}

    def versions(self) -> list[dict[str, object]]:
        """What the server says of every registered version of the model; empty when none is."""
        try:
            content = self.call("GET", f"/models/{MODEL}/all")
        except ServerError as error:
            if error.code == "management_404":
                return []
            raise
        return _objects(content.get("items"))

    def workers(self, version: str) -> list[dict[str, object]]:
        """The workers of one version: id, status, pid. Empty when the version is not registered."""
        for entry in self.versions():
            if entry.get("modelVersion") == version:
                return _objects(entry.get("workers"))
        return []

    def is_ready(self, version: str) -> bool:
        """Whether a worker of `version` takes requests. /ping says nothing of the kind."""
        return any(worker.get("status") == "READY" for worker in self.workers(version))


def _objects(value: object) -> list[dict[str, object]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _refused(status: int, body: bytes) -> ServerError:
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")[:200]
    if status == 400 and "oken" in message:
        return ServerError(
            "not_authorised",
            f"The server refused the token: {message}",
            "Run the command where the server was started, so that it finds key_file.json.",
        )
    return ServerError(
        f"management_{status}",
        f"TorchServe answered {status}: {message}",
        "See the server's log for the cause.",
    )
