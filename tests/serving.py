"""What tests of the server share: a small real archive, photos for it, and a client."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from features.errors import ServerError
from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.metadata import PhotoMetadata
from features.photo import photo_from_pixels
from lifecycle import ports, torchserve
from lifecycle.torchserve import Server
from training.artifact_folder import write_artifact
from training.dataset import LabelledPhoto
from training.fit import fit_estimator
from training.package import ROOT, build_archive
from training.renderer import draw_moment, draw_place, render
from training.table import TrainingTable, training_table

METADATA = {"captured_at": "2026-03-20T10:00:00-05:00", "lat": 6.2518, "lon": -75.5636}
JPEG = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET = "a-token-that-no-log-may-hold"
SCENES = 4
ROWS = 48


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


def small_archive(folder: Path, version: str, *, code: Path = ROOT) -> Path:
    """Train on a handful of rendered scenes, each repeated with noise, and package the models.

    The estimates are worth nothing; everything else is what a full training gives.
    """
    artifact = folder / f"artifact-{version}"
    table = _table()
    extractor = ScientificFeatureExtractor()
    estimator = fit_estimator(table, seed=1, feature_set=extractor.feature_set)
    write_artifact(
        artifact,
        estimator,
        table,
        version=version,
        dataset_hash=hashlib.sha256(b"rendered").hexdigest(),
        scores={},
        model_card="A small model for tests.",
    )
    return build_archive(artifact, version, folder / "model_store", code=code)


def _table() -> TrainingTable:
    extractor = ScientificFeatureExtractor()
    rng = np.random.default_rng(1)
    levels = np.geomspace(8, 160, SCENES)
    read = [
        list(extractor.extract(light_of(photo_from_pixels(scene(pm25)).pixels)).values())
        for pm25 in levels
    ]
    of_scene = np.arange(ROWS) % SCENES
    X = np.array(read)[of_scene]
    X = X + rng.normal(0, 0.05, X.shape) * np.nanstd(X, axis=0)
    pm25 = levels[of_scene] * np.exp(rng.normal(0, 0.1, ROWS))
    return training_table(list(_rows(pm25)), X, extractor.names)


def _rows(pm25: NDArray[np.float64]) -> Iterator[LabelledPhoto]:
    day = datetime(2026, 3, 1, 15, tzinfo=UTC)
    somewhere = PhotoMetadata(captured_at=day, lat=6.25, lon=-75.57)
    for i, label in enumerate(pm25):
        yield LabelledPhoto(
            path=Path(f"{i}.jpg"),
            file=f"{i}.jpg",
            sha256=hashlib.sha256(bytes([i])).hexdigest(),
            min_side=512,
            site=f"site-{i % 4}",
            camera="",
            country="CO",
            session=str(i),
            pm25=float(label),
            pm25_quality="A",
            pm25_as_published="",
            pm10=None,
            metadata=replace(somewhere, captured_at=day + timedelta(days=i)),
        )


class Client:
    """Sends one request at a time and reads its JSON."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(
        self,
        body: bytes,
        headers: dict[str, str],
        path: str = "/predictions/pm25",
        method: str = "POST",
    ) -> tuple[int, str, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"X-Secret": SECRET, **headers})
            response = connection.getresponse()
            content = json.loads(response.read())
            return response.status, response.headers["Content-Type"], content
        finally:
            connection.close()

    def form(self, **parts: bytes) -> tuple[int, str, dict[str, Any]]:
        boundary = "boundary-of-the-parts"
        lines = []
        for name, value in parts.items():
            file = '; filename="a.jpg"' if name.startswith("image") else ""
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
            lines.append(head.encode() + value + b"\r\n")
        body = b"".join(lines) + f"--{boundary}--\r\n".encode()
        return self.send(body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def free_port() -> int:
    """An inference port whose whole family of ports is free."""
    for port in range(18480, 28000, 100):
        try:
            ports.check_ports(port)
        except ServerError:
            continue
        if torchserve.running(port) is None:
            return port
    raise AssertionError("no free ports")


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
