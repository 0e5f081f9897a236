"""A balcony: a camera and two SIATA stations, as they are at the time of a fake clock."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.replaying_server import (
    MEDELLIN,
    Asked,
    FakeClock,
    ReplayingServer,
    Reply,
    siata_hours,
    siata_station,
)
from training.collection.collector import Round, collect_once
from training.collection.configuration import Collection
from training.dataset import read_dataset
from training.ground_truth.measurement import HOUR
from training.ground_truth.siata import LOCAL_TIME, Siata
from training.pairing import PairingRule

__all__ = ["collection", "world"]

LAT, LON = MEDELLIN
MORNING = datetime(2026, 9, 28, 13, 0, 5, tzinfo=UTC)  # 08:00:05 in Medellín
NEAR, FAR = "/geodata/geographJson/1/pm25/12", "/geodata/geographJson/1/pm25/30"
STATIONS = "/geodata/geodataJson/1/pm25_minio"
CAMERA = "/snapshot.jpg"


def picture(moment: datetime, side: int = 72) -> bytes:
    """What the camera sees at `moment`: another noise every second."""
    rng = np.random.default_rng(int(moment.timestamp()))
    pixels = rng.integers(0, 255, (side, side + 24, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def true_pm25(ends_at: datetime) -> int:
    """What the near station measures; the far one 100 more."""
    return 10 + int(ends_at.timestamp() / 3600) % 50


class World:
    """A camera and two stations, as they are at the clock's time; parts of it can be broken."""

    def __init__(self, server: ReplayingServer) -> None:
        self.server, self.clock, self.place = server, FakeClock(MORNING), MEDELLIN
        self.late = timedelta(minutes=7)  # after which an hour is published
        self.gaps: set[tuple[str, datetime]] = set()
        self.broken = server.broken
        server.routes[CAMERA] = lambda _: Reply(picture(self.clock.now()))
        stations = [siata_station(12, LAT + 0.005, LON), siata_station(30, LAT - 0.01, LON)]
        server.routes[STATIONS] = lambda _: Reply({"features": stations})
        for path, more in ((NEAR, 0), (FAR, 100)):
            server.routes[path] = lambda asked, more=more: Reply(self.hours(asked, more))

    def hours(self, asked: Asked, more: int) -> dict[str, Any]:
        last = (self.clock.now() - self.late).replace(minute=0, second=0, microsecond=0)
        ends = [last - n * HOUR for n in range(71, -1, -1)]
        values = [
            None if (asked.path, ends_at) in self.gaps else true_pm25(ends_at) + more
            for ends_at in ends
        ]
        return siata_hours(12, f"{last.astimezone(LOCAL_TIME):%Y-%m-%d %H:%M:%S}", values)

    def siata(self) -> Siata:
        """A client as a new process has it: with nothing in its cache."""
        return Siata(base_url=self.server.url, clock=self.clock)


@pytest.fixture
def world() -> Iterator[World]:
    """A morning on which everything works."""
    with ReplayingServer() as server:
        yield World(server)


@pytest.fixture
def collection(tmp_path: Path, world: World) -> Collection:
    """A frame every quarter of an hour, labelled by the nearest station."""
    return Collection(
        folder=tmp_path / "balcony",
        name="Balcony",
        licence="CC0-1.0",
        min_side=60,
        site="laureles",
        country="CO",
        lat=LAT,
        lon=LON,
        timezone=LOCAL_TIME,
        camera="east",
        address=world.server.url + CAMERA,
        frames=None,
        every=timedelta(minutes=15),
        last_modified=True,
        source="siata",
        source_address="",
        correction="",
        rule=PairingRule(),
        patience=timedelta(hours=6),
    )


def rounds(collection: Collection, world: World, n: int, **step: float) -> list[Round]:
    """`n` rounds as cron starts them, each a new process, `step` apart."""
    done = []
    for _ in range(n):
        with_source = world.siata()
        done.append(collect_once(collection, with_source, world.clock))
        with_source.close()
        world.clock.pass_by(**step)
    return done


def labels(collection: Collection) -> dict[str, float | None]:
    """PM2.5 by local time of the frame."""
    return {
        f"{row.metadata.captured_at:%d %H:%M}": row.pm25
        for row in read_dataset(collection.folder).rows
        if row.metadata.captured_at
    }


def pairing(collection: Collection) -> list[dict[str, str]]:
    """The rows of `pairing.csv`."""
    with (collection.folder / "pairing.csv").open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def assert_labels_are_true(collection: Collection) -> None:
    """Every label is what a station measured in the frame's own hour."""
    for row in read_dataset(collection.folder).rows:
        taken = row.metadata.captured_at
        assert taken
        ends_at = taken.replace(minute=0, second=0, microsecond=0) + HOUR
        assert row.pm25 in (None, true_pm25(ends_at), true_pm25(ends_at) + 100)
