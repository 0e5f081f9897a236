"""A photo and the sensors around it: what the air held where and when the picture was taken.

A photo at t is judged by an hour that holds t, at one sensor or at several:

    nearest  the value of the nearest sensor that has one
    idw      Σ w_i C_i, w_i ∝ 1 / max(d_i, 50 m)², Σ w_i = 1: inverse-distance weighting
             (Shepard 1968, doi:10.1145/800186.810616) of all that have one, of the 5 nearest

Both stay within the values measured. Nothing is guessed: a photo without a value in reach stays
without a label and says why. What a label rests on is kept with it: distances, the hour, how far
from it the photo lies, the correction, the source and its sensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from features.errors import PM25Error
from training.ground_truth.measurement import HOUR, Sensor, SensorHour, in_reach

Method = Literal["nearest", "idw"]
METHODS: tuple[Method, ...] = ("nearest", "idw")
RADIUS_KM = 3.0  # beyond it a valley's air is another
POWER = 2
MOST_SENSORS = 5  # asked and weighed: requests cost points, and further ones add little
NEAREST_KM = 0.05  # a sensor on the same roof does not outweigh all others without end
REASONS = {
    "time_unknown": "nobody knows when it was taken",
    "place_unknown": "nobody knows where it was taken",
    "no_sensor": "no sensor lies within reach",
    "no_hour": "no sensor within reach has published that hour",
    "unusable": "all that was published for that hour had to be dropped",
    "unreadable": "the file is no photo that can be read",
}


@dataclass(frozen=True)
class PairingRule:
    """How a photo finds its value.

    method    nearest or idw
    radius_km how far a sensor may lie from the photo [km]
    max_age   how far the photo may lie outside the hour; 0: the hour must hold it
    """

    method: Method = "nearest"
    radius_km: float = RADIUS_KM
    max_age: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.method not in METHODS or not 0 < self.radius_km <= 100 or self.max_age < HOUR * 0:
            raise PM25Error(
                "pairing_rule",
                f"method {self.method}, radius {self.radius_km:g} km, age {self.max_age}.",
                f"Allowed are {' and '.join(METHODS)}, 0 to 100 km, and an age of 0 or more.",
            )


@dataclass(frozen=True)
class Part:
    """One sensor's share of a label: how far [km], how much [1], what [ug m-3]."""

    sensor: Sensor
    distance_km: float
    weight: float
    hour: SensorHour
    pm25: float


@dataclass(frozen=True)
class Label:
    """The PM2.5 of one photo [ug m-3], and what it rests on.

    pm25     Σ weight · pm25 of the parts
    quality  A if every part is of a reference station, otherwise C
    age      how far the photo lies outside the hour that is furthest from it; 0 inside all
    """

    pm25: float
    method: Method
    parts: tuple[Part, ...]
    age: timedelta

    @property
    def quality(self) -> str:
        return max(part.sensor.quality for part in self.parts)


@dataclass(frozen=True)
class Unpaired:
    """Why a photo has no label: a code of `REASONS`, and a sentence."""

    reason: str
    detail: str


def pair(
    captured_at: datetime | None,
    lat: float | None,
    lon: float | None,
    sensors: Sequence[Sensor],
    hours: Mapping[str, Sequence[SensorHour]],
    rule: PairingRule,
) -> Label | Unpaired:
    """The label of a photo taken at `captured_at` (with an offset) at `lat`, `lon` [deg].

    hours  by sensor id; may hold more than is needed
    """
    if captured_at is None:
        return Unpaired("time_unknown", REASONS["time_unknown"])
    if lat is None or lon is None:
        return Unpaired("place_unknown", REASONS["place_unknown"])
    near = in_reach(sensors, lat, lon, rule.radius_km)[:MOST_SENSORS]
    if not near:
        nearest = in_reach(sensors, lat, lon, float("inf"))[:1]
        far = f"; the nearest, {nearest[0][1].name}, {nearest[0][0]:.1f} km away" if nearest else ""
        return Unpaired("no_sensor", f"no sensor within {rule.radius_km:g} km{far}")
    parts: list[Part] = []
    dropped: list[str] = []
    for distance, sensor in near:
        fitting = _fitting(captured_at, hours.get(sensor.id, ()), rule.max_age)
        usable = [hour for hour in fitting if hour.pm25 is not None]
        dropped += [f"{sensor.id}: {' '.join(hour.flags)}" for hour in fitting if hour.pm25 is None]
        if usable and usable[0].pm25 is not None:
            parts.append(Part(sensor, distance, 1.0, usable[0], usable[0].pm25))
            if rule.method == "nearest":
                break
    if not parts and dropped:
        return Unpaired("unusable", "; ".join(dropped))
    if not parts:
        when = f"{captured_at:%Y-%m-%d %H:%M %z}"
        return Unpaired("no_hour", f"{len(near)} sensors within reach, no value for {when}")
    weights = idw_weights([part.distance_km for part in parts])
    values = [part.pm25 for part in parts]
    mean = sum(w * value for w, value in zip(weights, values, strict=True))
    return Label(
        pm25=min(max(mean, min(values)), max(values)),  # a sum of rounded weights may leave them
        method=rule.method,
        parts=tuple(
            Part(p.sensor, p.distance_km, w, p.hour, p.pm25)
            for p, w in zip(parts, weights, strict=True)
        ),
        age=max(age_of(captured_at, part.hour) for part in parts),
    )


def idw_weights(distances_km: Sequence[float]) -> list[float]:
    """Weights (n,), Σ = 1, of sensors at these distances [km] ≥ 0."""
    shares = [(NEAREST_KM / max(distance, NEAREST_KM)) ** POWER for distance in distances_km]
    return [share / sum(shares) for share in shares]


def age_of(captured_at: datetime, hour: SensorHour) -> timedelta:
    """How far a moment lies outside an hour: 0 for start ≤ t < end."""
    return max(hour.starts_at - captured_at, captured_at - hour.ends_at, timedelta(0))


def _fitting(
    captured_at: datetime, hours: Sequence[SensorHour], max_age: timedelta
) -> list[SensorHour]:
    """The hours that may judge the moment, the best first: one that holds it, then the nearest.

    The end of an hour belongs to the next one, which is why age 0 alone does not say 'inside'.
    """
    fitting = [
        hour
        for hour in hours
        if hour.starts_at <= captured_at < hour.ends_at
        or (max_age > timedelta(0) and age_of(captured_at, hour) <= max_age)
    ]
    return sorted(
        fitting,
        key=lambda hour: (
            not hour.starts_at <= captured_at < hour.ends_at,
            age_of(captured_at, hour),
            hour.ends_at,
        ),
    )
