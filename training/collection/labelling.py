"""When an hour is ripe: who has to be asked, and what the frames of it are worth.

A frame's hour is looked at once it has closed. Its label is settled when the best that can be had
is there: by `nearest` the nearest sensor's value, by `idw` that of every sensor in reach. Late
hours are waited for with patience (6 hours, as configured); after it the label is made of what
every sensor has answered since. Only when the source no longer keeps the hour (SIATA: 72 hours) is
a frame given up: so an outage shorter than that, of the source or of ourselves, loses no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from training.collection.configuration import Collection
from training.collection.journal import HeardHour, Journal, KeptFrame, KnownSensor
from training.ground_truth.measurement import (
    HOUR,
    GroundTruthError,
    GroundTruthSource,
    SensorHour,
    hour_end,
    in_reach,
)
from training.pairing import MOST_SENSORS, Label, Unpaired, pair
from training.pairing_table import label_cells, pairing_row

LIST_AGAIN = timedelta(hours=24)
ASK_AGAIN = timedelta(minutes=10)  # while an hour is awaited with patience
ASK_AGAIN_LATE = timedelta(hours=1)
GIVE_UP = timedelta(days=7)  # where a source's history has no known end
NOT_PUBLISHED = "not_published"  # flag of an hour that an answer left out


@dataclass(frozen=True)
class Labelled:
    """What one round of labelling did; `problems` in words."""

    labelled: int
    given_up: int
    problems: tuple[str, ...]


def settle_labels(
    collection: Collection, journal: Journal, source: GroundTruthSource, now: datetime
) -> Labelled:
    """Ask whom it needs for the hours that have closed, and settle what is ripe."""
    frames = [f for f in journal.unsettled() if hour_end(f.captured_at) <= now]
    if not frames:
        return Labelled(0, 0, ())
    problems = _list_sensors(collection, journal, source, now)
    near = _near(collection, journal)
    for rank, known in enumerate(near):
        needed = [f for f in frames if _needs(collection, journal, near, rank, f, now)]
        if needed and _may_ask(collection, known, needed, now):
            problems += _ask(journal, source, known, needed, now)
    labelled = given_up = 0
    for frame in frames:
        found = _ripe(collection, journal, source, near, frame, now)
        if found is not None:
            pairing = pairing_row(frame.file, frame.captured_at, found)
            journal.settle(frame.file, label_cells(found), pairing, now)
            labelled += isinstance(found, Label)
            given_up += isinstance(found, Unpaired)
    return Labelled(labelled, given_up, tuple(problems))


def _list_sensors(
    collection: Collection, journal: Journal, source: GroundTruthSource, now: datetime
) -> list[str]:
    """Look once a day who is around; who was there yesterday will do while nobody answers."""
    known = journal.sensors()
    if known and min(sensor.listed_at for sensor in known) > now - LIST_AGAIN:
        return []
    at, radius = (collection.lat, collection.lon), collection.rule.radius_km
    try:
        found = source.sensors(*at, radius, now - (source.history or GIVE_UP))
    except GroundTruthError as error:
        return [str(error)]
    if not found:  # and those of yesterday, if there were any, are kept
        return [f"{source.name} knows no sensor within {radius:g} km of {at[0]:g}, {at[1]:g}."]
    journal.list_sensors(found[:MOST_SENSORS], now)
    return []


def _near(collection: Collection, journal: Journal) -> list[KnownSensor]:
    known = {sensor.sensor.id: sensor for sensor in journal.sensors()}
    sensors = [sensor.sensor for sensor in known.values()]
    around = in_reach(sensors, collection.lat, collection.lon, collection.rule.radius_km)
    return [known[sensor.id] for _, sensor in around]


def _needs(
    collection: Collection,
    journal: Journal,
    near: Sequence[KnownSensor],
    rank: int,
    frame: KeptFrame,
    now: datetime,
) -> bool:
    """Whether the sensor at `rank` is to be asked for the hour of `frame`.

    By `nearest` the second is asked only once patience with the first is over.
    """
    ends_at = hour_end(frame.captured_at)
    hours = journal.hours(frame.captured_at)
    if _has_value(hours, near[rank].sensor.id):
        return False
    if collection.rule.method == "idw" or rank == 0:
        return True
    nearer = any(_has_value(hours, known.sensor.id) for known in near[:rank])
    return not nearer and now >= ends_at + collection.patience


def _may_ask(
    collection: Collection, known: KnownSensor, needed: Sequence[KeptFrame], now: datetime
) -> bool:
    if known.asked_at is None:
        return True
    latest = max(hour_end(frame.captured_at) for frame in needed)
    if known.asked_at < latest:
        return True
    awaited = now < latest + collection.patience
    return now - known.asked_at >= (ASK_AGAIN if awaited else ASK_AGAIN_LATE)


def _ask(
    journal: Journal,
    source: GroundTruthSource,
    known: KnownSensor,
    needed: Sequence[KeptFrame],
    now: datetime,
) -> list[str]:
    """Ask one sensor for all closed hours that it is needed for."""
    sensor = known.sensor
    start = min(hour_end(frame.captured_at) for frame in needed) - HOUR
    journal.ask(sensor.id, now)
    try:
        hours = source.hours(sensor, start, now)
    except GroundTruthError as error:
        if error.code != "not_found":
            return [str(error)]
        hours = []  # it is listed and keeps no hours: an answer, too
    absent = [
        SensorHour(sensor.id, hour_end(frame.captured_at), None, "", flags=(NOT_PUBLISHED,))
        for frame in needed
        if not any(hour.starts_at <= frame.captured_at < hour.ends_at for hour in hours)
    ]
    journal.hear([*hours, *absent], now)
    return []


def _ripe(
    collection: Collection,
    journal: Journal,
    source: GroundTruthSource,
    near: Sequence[KnownSensor],
    frame: KeptFrame,
    now: datetime,
) -> Label | Unpaired | None:
    """What the frame is worth, or None while something better may come."""
    ends_at = hour_end(frame.captured_at)
    hours = journal.hours(frame.captured_at)
    best = near if collection.rule.method == "idw" else near[:1]
    complete = bool(near) and all(_has_value(hours, known.sensor.id) for known in best)
    answered = bool(near) and _all_heard(collection, hours, near, ends_at)
    lost = now >= ends_at + (source.history or GIVE_UP)
    if source.history is None:  # what was not heard may still be asked for
        lost = lost and answered
    if not (complete or answered or lost):
        return None
    found = pair(
        frame.captured_at,
        collection.lat,
        collection.lon,
        [known.sensor for known in near],
        {
            sensor_id: [h.hour for h in told if NOT_PUBLISHED not in h.hour.flags]
            for sensor_id, told in hours.items()
        },
        collection.rule,
    )
    return found if isinstance(found, Label) or lost else None


def _all_heard(
    collection: Collection,
    hours: Mapping[str, Sequence[HeardHour]],
    near: Sequence[KnownSensor],
    ends_at: datetime,
) -> bool:
    """Whether, with patience over, every sensor has told its value or that it has none.

    By `nearest` those behind the first one with a value do not matter.
    """
    for known in near:
        if _has_value(hours, known.sensor.id):
            if collection.rule.method == "nearest":
                return True
            continue
        heard_at = [heard.heard_at for heard in hours.get(known.sensor.id, ())]
        if not heard_at or max(heard_at) < ends_at + collection.patience:
            return False
    return True


def _has_value(hours: Mapping[str, Sequence[HeardHour]], sensor_id: str) -> bool:
    return any(heard.hour.pm25 is not None for heard in hours.get(sensor_id, ()))
