"""What tests of the sources share: a sensor, and a source that asks a local server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.replaying_server import MEDELLIN, NOW, FakeClock, ReplayingServer
from training.ground_truth.measurement import GroundTruthError, Sensor, SensorHour
from training.ground_truth.sources import open_source

__all__ = ["clock", "keys", "server"]

LAT, LON = MEDELLIN
LAST = datetime(2026, 9, 28, 22, 0, tzinfo=UTC)  # the last closed hour at NOW
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def sensor(sensor_id: str = "12") -> Sensor:
    return Sensor("any", sensor_id, "Centro", LAT, LON, "A")


def values(hours: list[SensorHour]) -> list[float | None]:
    return [hour.pm25 for hour in hours]


@pytest.fixture
def server() -> Iterator[ReplayingServer]:
    with ReplayingServer() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPLEAIR_API_KEY", "a-key")
    monkeypatch.setenv("OPENAQ_API_KEY", "a-key")


def source(name: str, server: ReplayingServer, clock: FakeClock) -> Any:
    return open_source(name, address=server.url, clock=clock)


def refused_as_changed(ask: Any, *arguments: Any) -> str:
    with pytest.raises(GroundTruthError) as caught:
        ask(*arguments)
    assert caught.value.code == "payload_changed"
    return caught.value.detail
