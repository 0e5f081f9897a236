"""Start and stop the edge on this machine: nginx between the outside and one TorchServe.

infra/edge/nginx.conf says what it does. Its folder build/edge/<port> holds the effective
configuration, the inference key (mode 600), logs and the parts of photos that are being received.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from features.errors import ServerError
from lifecycle.ports import check_port
from lifecycle.torchserve import Server
from training.package import ROOT

__all__ = ["EDGE_PORT", "Edge", "hand_over_key", "nginx", "running", "start", "stop"]

EDGE_PORT = 8000
TEMPLATE = ROOT / "infra" / "edge" / "nginx.conf"
_KEY_FILE = "inference_key.conf"


@dataclass(frozen=True)
class Edge:
    """An nginx that runs on this machine: its port, its folder, the pid of its master."""

    port: int
    folder: Path
    pid: int

    @property
    def url(self) -> str:
        """Where the outside asks."""
        return f"http://127.0.0.1:{self.port}"


def start(server: Server, port: int = EDGE_PORT, *, patience: float = 10.0) -> Edge:
    """Start nginx on `port` before `server`, in the background, and wait until it listens.

    It waits `patience` [s] at most. Raises ServerError: no_nginx, port_taken, edge_refused.
    """
    program = nginx()
    if program is None:
        raise ServerError(
            "no_nginx", "nginx was not found.", "Install it (Debian: apt-get install nginx)."
        )
    check_port(port)
    folder = _folder(port)
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("tmp", "logs"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "nginx.conf").write_text(_configuration(server, port), encoding="utf-8")
    _write_key(server, folder)
    command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "logs/error.log"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + patience
    while ran.returncode == 0 and time.monotonic() < deadline:
        edge = running(port)
        if edge is not None and _listens(port):
            return edge
        time.sleep(0.02)
    stop(port)
    raise ServerError(
        "edge_refused",
        f"nginx did not start: {ran.stderr.strip() or 'it does not listen'}.",
        f"Read {folder / 'logs' / 'error.log'}.",
    )


def nginx() -> str | None:
    """The nginx of this machine; Debian keeps it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def running(port: int = EDGE_PORT) -> Edge | None:
    """The edge that `start` left on `port`, or None."""
    folder = _folder(port)
    try:
        pid = int((folder / "nginx.pid").read_text(encoding="ascii"))
        alive = "nginx" in " ".join(psutil.Process(pid).cmdline())
    except (OSError, ValueError, psutil.Error):
        return None
    return Edge(port, folder, pid) if alive else None


def hand_over_key(edge: Edge, server: Server) -> None:
    """Give the running `edge` the inference key that `server` has now; no request is cut off."""
    _write_key(server, edge.folder)
    os.kill(edge.pid, signal.SIGHUP)


def stop(port: int = EDGE_PORT) -> bool:
    """Stop the edge on `port`, after the requests in flight, 10 s at most; False when none ran."""
    edge = running(port)
    if edge is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            master = psutil.Process(edge.pid)
            family = [master, *master.children()]
            master.send_signal(signal.SIGQUIT)
            _, alive = psutil.wait_procs(family, timeout=10)
            for process in alive:
                process.kill()
    (_folder(port) / _KEY_FILE).unlink(missing_ok=True)
    return edge is not None


def _folder(port: int) -> Path:
    return ROOT / "build" / "edge" / str(port)


def _configuration(server: Server, port: int) -> str:
    """The template for these ports. Started by root, nginx would give its workers to a user who
    may not read below a home folder: they stay with who starts it, as TorchServe does.
    """
    values = {
        "user": "user root;" if os.geteuid() == 0 else "",
        "edge_port": str(port),
        "inference_port": str(server.port),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _write_key(server: Server, folder: Path) -> None:
    """What adds the inference key to requests, for its owner alone; nothing without tokens."""
    key = server.key("inference")
    line = f'proxy_set_header Authorization "Bearer {key}";\n' if key else ""
    fresh = folder / f"{_KEY_FILE}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(line, encoding="utf-8")
    fresh.replace(folder / _KEY_FILE)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
