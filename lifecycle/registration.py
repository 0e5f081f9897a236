"""Bring another version into a running server without a stall, and take one out without a loss.

TorchServe's network threads are shared: a registration that waits for its workers blocks
inference for 1.3 to 1.5 s. So a version is registered without workers, scaled without waiting,
polled, and only made the default when a worker of it is READY. The old version keeps its workers
until then.
"""

from __future__ import annotations

import time
from pathlib import Path

from features.errors import ServerError
from lifecycle.management import Management
from lifecycle.torchserve import Server, archive_version, wait_until_ready
from training.package import MODEL

RESPONSE_TIMEOUT = 60  # a worker that is silent for so long is restarted [s]


def register(
    server: Server,
    archive: Path,
    *,
    make_default: bool = True,
    workers: int = 1,
    batch_size: int = 1,
    max_batch_delay: int = 1,
    patience: float = 60.0,
) -> str:
    """Register `archive`, which lies in the server's model store, and return its version.

    max_batch_delay [ms], patience [s]. A version that does not become READY is unregistered, and
    the default stays. Raises ServerError: no_archive, not_running, already_registered,
    not_in_model_store, archive_refused, not_ready.
    """
    version = archive_version(archive)
    management = server.management
    if any(entry.get("modelVersion") == version for entry in management.versions()):
        raise ServerError(
            "already_registered",
            f"Version {version} is registered already.",
            f"Make it the default, or unregister it first, or package a version after {version}.",
        )
    try:
        management.call(
            "POST",
            "/models",
            url=archive.name,
            model_name=MODEL,
            initial_workers=0,
            batch_size=batch_size,
            max_batch_delay=max_batch_delay,
            response_timeout=RESPONSE_TIMEOUT,
        )
    except ServerError as error:
        if error.code == "management_404":
            raise ServerError(
                "not_in_model_store",
                f"The server's model store holds no {archive.name}.",
                "Put the archive beside the one that the server was started with.",
            ) from None
        raise
    log_size = server.worker_log.stat().st_size if server.worker_log.is_file() else 0
    try:
        scale(management, version, workers)
        wait_until_ready(server, version, patience=patience, log_offset=log_size)
    except ServerError:
        management.call("DELETE", f"/models/{MODEL}/{version}")
        raise
    if make_default:
        set_default(management, version)
    return version


def scale(management: Management, version: str, workers: int) -> None:
    """Ask for `workers` workers of `version` without waiting for them."""
    management.call(
        "PUT",
        f"/models/{MODEL}/{version}",
        min_worker=workers,
        max_worker=workers,
        synchronous="false",
    )


def set_default(management: Management, version: str) -> None:
    """Let requests that name no version go to `version`, once a worker of it is READY."""
    if not management.is_ready(version):
        raise ServerError(
            "not_ready",
            f"No worker of version {version} is READY.",
            "Register it, or wait until its worker has loaded.",
        )
    management.call("PUT", f"/models/{MODEL}/{version}/set-default")


def unregister(management: Management, version: str, *, patience: float = 60.0) -> None:
    """Take `version` out once nothing waits for it.

    A deletion loses what is queued: wait until nothing is pending, then one service time more.
    Raises ServerError: still_default, still_busy, not_registered.
    """
    deadline = time.monotonic() + patience
    while pending_requests(management, version):
        if time.monotonic() > deadline:
            raise ServerError(
                "still_busy",
                f"Version {version} still has requests waiting after {patience:g} s.",
                "Make another version the default first, then try again.",
            )
        time.sleep(0.1)
    time.sleep(0.5)
    try:
        management.call("DELETE", f"/models/{MODEL}/{version}")
    except ServerError as error:
        if error.code == "management_403":
            raise ServerError(
                "still_default",
                f"Version {version} is the default.",
                "Make another version the default first.",
            ) from None
        raise


def pending_requests(management: Management, version: str) -> int:
    """How many requests wait for `version`. Raises ServerError not_registered."""
    for entry in management.versions():
        if entry.get("modelVersion") == version:
            status = entry.get("jobQueueStatus")
            return int(status.get("pendingRequests", 0)) if isinstance(status, dict) else 0
    raise ServerError(
        "not_registered",
        f"Version {version} is not registered.",
        "See what is: `curl localhost:8081/models/pm25/all`.",
    )
