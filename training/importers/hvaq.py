"""HVAQ: views from the air over one campus, and ten point sensors below, on three days of 2019.

Chu et al. 2021, arXiv:2102.09332, github.com/implicitDeclaration/HVAQ-dataset, layout of 2021:

    7_24_data/, 10_19_data/, 11_10_data/     a day each
        location1.csv … location10.csv       pm2.5, pm10 [ug m-3], time, temperature [deg C],
                                             humidity [%], about one row a second
        images.tar.gz                        the photos; unpack it into images/ beside it

A photo shows the whole field, so its label is the median over the sensors of each sensor's mean
within 30 s of the photo. It is of low-cost sensors, published beside the photo: B. A day is one
visit: three visits at one site teach a model little, and a split by photo would flatter it.

Not verified: how photos are named. A name must hold the time as YYYYMMDD or YYYY-MM-DD and HHMMSS,
with any marks between; others are left out. Times are taken to be China's (UTC+8).
"""

from __future__ import annotations

import re
import statistics
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from pathlib import Path

from training.dataset_folder import pictures_below
from training.importers.imported_photo import (
    Imported,
    ImportedPhoto,
    LeftOut,
    PublishedSet,
    east_of_greenwich,
    layout_changed,
    moment,
    moment_in_name,
    moment_of,
    number,
    published_rows,
    written,
)

WINDOW = timedelta(seconds=30)  # on each side of the photo
_CHINA = east_of_greenwich(8)
_QUANTITIES = ("pm2.5", "pm10", "temperature", "humidity")
_NAME = re.compile(r"(\d{4})\D?(\d{2})\D?(\d{2})\D{0,3}(\d{2})\D?(\d{2})\D?(\d{2})")


class _Sensor:
    """One sensor's day: times ascending, and the values beside them."""

    def __init__(self, path: Path) -> None:
        read = []
        for _, row in published_rows(path, "time", *_QUANTITIES):
            if time := moment_of(row["time"], _CHINA):
                read.append((time, [number(row[name]) for name in _QUANTITIES]))
        read.sort(key=lambda at: at[0])
        self._times = [time for time, _ in read]
        self._values = [values for _, values in read]

    def means(self, time: datetime) -> list[float | None]:
        """Means of the quantities within 30 s of `time`; None where there is no value."""
        first = bisect_left(self._times, time - WINDOW)
        last = bisect_right(self._times, time + WINDOW)
        by_quantity = zip(*self._values[first:last], strict=True) if last > first else ()
        known = [[v for v in values if v is not None] for values in by_quantity]
        return [statistics.fmean(values) if values else None for values in known] or [None] * 4


def read_hvaq(folder: Path) -> Imported:
    """The photos of all days in `folder`."""
    days = sorted(path.parent for path in folder.glob("*/location1.csv"))
    if not days:
        raise layout_changed(f"{folder} holds no */location1.csv")
    for day in days:
        sensors = [_Sensor(path) for path in sorted(day.glob("location*.csv"))]
        for path in pictures_below(day / "images"):
            taken = moment_in_name(path.name, _NAME, _CHINA)
            if taken is None:
                yield LeftOut(str(path), "time_unknown", "no date and time in its name")
                continue
            pm25, pm10, temperature, humidity = _medians(sensors, taken)
            if pm25 is None:
                yield LeftOut(str(path), "label_missing", "no sensor has a value within 30 s")
                continue
            yield ImportedPhoto(
                name=f"{day.name}_{path.name}",
                source=path,
                cells={
                    "site": "hvaq_campus",
                    "country": "CN",
                    "captured_at": moment(taken),
                    "session": f"hvaq_{day.name}",
                    "pm25": written(pm25, 2),
                    "pm25_quality": "B",
                    "pm10": written(pm10, 2),
                    "temperature_c": written(temperature, 2),
                    "relative_humidity_pct": written(humidity, 1),
                },
            )


def _medians(sensors: list[_Sensor], time: datetime) -> list[float | None]:
    by_quantity = zip(*(sensor.means(time) for sensor in sensors), strict=True)
    known = [[v for v in values if v is not None] for values in by_quantity]
    return [statistics.median(values) if values else None for values in known]


HVAQ = PublishedSet(
    name="hvaq",
    title="HVAQ, views from the air over one campus",
    licence="as its authors state: ask them before passing it on",
    source="Chu et al. 2021, HVAQ, arXiv:2102.09332",
    min_side=512,
    read=read_hvaq,
)
