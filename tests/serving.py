"""What tests of the server share: photos, a client, and code that is not the tree's."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from features.errors import ServerError
from handlers.content_hash import PACKAGES
from lifecycle import edge, ports, torchserve
from lifecycle.torchserve import Server
from training.package import ROOT
from training.rendering.renderer import draw_moment, draw_place, render

METADATA = {"captured_at": "2026-03-20T10:00:00-05:00", "lat": 6.2518, "lon": -75.5636}
JPEG = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# What fits models, measures them or asks for their data, and no process that serves may load.
TRAINING_LIBRARIES = frozenset(
    {"boto3", "joblib", "lightgbm", "pandas", "scipy", "skimage", "sklearn", "xgboost"}
)
SECRET = "a-token-that-no-log-may-hold"


@cache
def scene(pm25: float, width: int = 1024, height: int = 768) -> NDArray[np.uint8]:
    """A rendered picture (height, width, 3) uint8 RGB through `pm25` [ug m-3]."""
    rng = np.random.Generator(np.random.PCG64(round(pm25)))
    place = draw_place(rng)
    return render(place, draw_moment(rng, place, pm25=pm25), width, height)


def jpeg(pm25: float = 40.0) -> bytes:
    """A rendered scene as a JPEG file."""
    bgr = cv2.cvtColor(scene(pm25), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class Client:
    """Sends one request at a time and reads its JSON."""

    def __init__(self, port: int) -> None:
        self.port = port

    def exchange(
        self,
        body: bytes,
        headers: dict[str, str],
        path: str = "/predictions/pm25",
        method: str = "POST",
    ) -> tuple[int, Message, dict[str, Any]]:
        """Status, headers and content of the reply to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"X-Secret": SECRET, **headers})
            response = connection.getresponse()
            return response.status, response.headers, json.loads(response.read() or b"{}")
        finally:
            connection.close()

    def send(
        self, body: bytes, headers: dict[str, str], path: str = "/predictions/pm25"
    ) -> tuple[int, str, dict[str, Any]]:
        """Status, media type and content of the reply to one request."""
        status, told, content = self.exchange(body, headers, path)
        return status, str(told["Content-Type"]), content

    def form(self, **parts: bytes) -> tuple[int, str, dict[str, Any]]:
        """The reply to a form with these parts."""
        boundary = "boundary-of-the-parts"
        lines = []
        for name, value in parts.items():
            file = '; filename="a.jpg"' if name.startswith("image") else ""
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
            lines.append(head.encode() + value + b"\r\n")
        body = b"".join(lines) + f"--{boundary}--\r\n".encode()
        return self.send(body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def other_code(folder: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """A copy of the bundled code in `folder`, where text was replaced once in each named file."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    for name, (old, new) in changes.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    return folder


def free_port() -> int:
    """An inference port whose whole family of ports is free.

    Where the search begins depends on the process: two suites at once do not meet.
    """
    ports_to_try = [*range(18480, 28000, 100)]
    first = os.getpid() % len(ports_to_try)
    for port in ports_to_try[first:] + ports_to_try[:first]:
        try:
            ports.check_ports(port)
        except ServerError:
            continue
        if torchserve.running(port) is None:
            return port
    raise AssertionError("no free ports")


def needs_nginx() -> None:
    """Skip where there is no nginx, of which the edge is made; fail where .ci/run has got one."""
    if edge.nginx() is None:
        lack = pytest.fail if os.environ.get("EDGE_TESTS") == "required" else pytest.skip
        lack("nginx is not installed (Debian: apt-get install nginx)")


def bearer(key: str | None) -> dict[str, str]:
    """The headers of a photo from somebody who has this key."""
    return {**JPEG, "Authorization": f"Bearer {key}"}


def edge_port(inference_port: int) -> int:
    """A port for the edge before the server on `inference_port`: ports of servers leave it free."""
    return inference_port + 50


def run_pm25(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `pm25` prints when it is called with these arguments in the project's folder."""
    code = "from commands.main import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def as_text(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def worker_pids(server: Server, version: str = "0.0.1") -> list[object]:
    return [worker["pid"] for worker in server.management.workers(version)]


def is_answer(content: dict[str, Any]) -> bool:
    lower, upper = content["interval"]["lower"], content["interval"]["upper"]
    return bool(
        lower <= content["pm25_estimate"] <= upper
        and content["model_version"] == "0.0.1"
        and content["processing_time"] > 0
        and content["request_id"]
    )
