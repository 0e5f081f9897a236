"""aqpictures: one webcam over Milan in 2025, with ARPA's PM2.5 and ERA5's weather.

github.com/gisgeolab/aqpictures, layout of November 2026:

    code/images/YYYYMMDD-HHMM.jpg            frames of 1920 × 1080, named by Milan's clock
    code/model input/PM25_MI Marche_ARPA.csv Datetime (dd/mm/yyyy HH:MM), PM25 [ug m-3]
    code/model input/era5.csv                date, hour, u10, v10 [m s-1], blh [m], sp [Pa],
                                             tp [m], t2m [K]
    data/interim/arpa_merged.csv             Data-Ora (UTC), relative_humidity_mean [%]; optional

Three clocks meet here. ARPA publishes in UTC+1 the whole year, ERA5 in UTC, and the frames carry
Milan's own time, which is an hour ahead of ARPA's from the last Sunday of March on. The authors
match frames and PM2.5 by the clock's face: that value is kept as `pm25_as_published`, and `pm25` is
the one of the true hour. This and the conversions of ERA5 give the labels of the set that 1.2.0
was trained on; its humidity ends with February, as the repository's then did.

Frames are cut to rows 30 to 942, where neither the clock above nor the strip and logo below reach,
reduced to 1440 × 684 and written as JPEG of quality 95. Rows and scale were found by comparing mean
colours of sky and ground with the authors' published ones (0.1 to 0.3 of 255 apart). How the
frames of pm25-1.2.0 were compressed is not known, so rebuilt photos differ from those in their last
bits.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from features.errors import DataSetError
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

_FRAME = re.compile(r"(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})\.jpe?g", re.IGNORECASE)
_SOLAR = east_of_greenwich(1)
_SUMMER = east_of_greenwich(2)
_KEPT_ROWS = slice(30, 942)
_SIZE = (1440, 684)
_ORIGINAL = (1080, 1920)
_JPEG_QUALITY = 95
_PLACE = {"site": "milan", "camera": "milan_south", "country": "IT", "lat": "45.46", "lon": "9.19"}


def read_aqpictures(folder: Path) -> Imported:
    """The frames of the repository in `folder` that have a value of their hour."""
    frames = sorted(path for path in folder.rglob("*") if _FRAME.fullmatch(path.name))
    pm25 = _arpa(folder / "code" / "model input" / "PM25_MI Marche_ARPA.csv")
    weather = _era5(folder / "code" / "model input" / "era5.csv")
    humidity = _humidity(folder / "data" / "interim" / "arpa_merged.csv")
    if not frames:
        raise layout_changed(f"{folder} holds no frame named YYYYMMDD-HHMM.jpg")
    for path in frames:
        taken = moment_in_name(path.name, _FRAME, _SOLAR)
        if taken is None:
            yield LeftOut(str(path), "time_unknown", "no date and time in its name")
            continue
        face = taken.replace(tzinfo=None)
        if _is_summer(face):
            taken = taken.replace(tzinfo=_SUMMER)
        hour = taken.astimezone(UTC).replace(minute=0)
        label = pm25.get(taken.astimezone(_SOLAR).replace(minute=0, tzinfo=None))
        if label is None:
            yield LeftOut(str(path), "no_hour", "ARPA has no value of that hour")
            continue
        yield ImportedPhoto(
            name=f"milan_{path.stem}.jpg",
            source=path,
            cells={
                **_PLACE,
                **weather.get(hour, {}),
                "relative_humidity_pct": written(humidity.get(hour), 1),
                "captured_at": moment(taken),
                "session": f"milan_{face:%Y%m%d}",
                "pm25": str(label),
                "pm25_quality": "A",
                "pm25_as_published": str(pm25.get(face.replace(minute=0), "")),
            },
            change=without_overlays,
        )


def without_overlays(data: bytes) -> bytes:
    """A frame (1080, 1920, 3) without what is burnt into it, as JPEG; a smaller one as it is."""
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if frame is None or frame.shape[:2] != _ORIGINAL:
        return data  # the quality gate judges what is left
    kept = cv2.resize(frame[_KEPT_ROWS], _SIZE, interpolation=cv2.INTER_AREA)
    encoded: np.ndarray[tuple[int], np.dtype[np.uint8]] = cv2.imencode(
        ".jpg", kept, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )[1]
    return encoded.tobytes()


def _is_summer(face: datetime) -> bool:
    """Whether Milan's clock shows summer time: last Sundays of March and October, at 2 and 3."""
    start, end = (_last_sunday(face.year, month) for month in (3, 10))
    return start + timedelta(hours=2) <= face < end + timedelta(hours=3)


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def _arpa(path: Path) -> dict[datetime, float]:
    """PM2.5 [ug m-3] by the hour as published; absent where a value is missing or negative."""
    values = {}
    for line, row in published_rows(path, "Datetime", "PM25"):
        value = number(row["PM25"])
        if value is not None and value >= 0:
            values[_hour(path, line, row["Datetime"], "%d/%m/%Y %H:%M")] = value
    return values


def _era5(path: Path) -> dict[datetime, dict[str, str]]:
    """Cells of the weather by the hour (UTC)."""
    weather = {}
    for line, row in published_rows(path, "date", "hour", "u10", "v10", "blh", "sp", "tp", "t2m"):
        hour = _hour(path, line, f"{row['date']} {row['hour']}", "%Y-%m-%d %H:%M")
        known = {name: number(row[name]) for name in ("u10", "v10", "blh", "sp", "tp", "t2m")}
        weather[hour.replace(tzinfo=UTC)] = _weather_cells(**known)
    return weather


def _weather_cells(
    u10: float | None,
    v10: float | None,
    blh: float | None,
    sp: float | None,
    tp: float | None,
    t2m: float | None,
) -> dict[str, str]:
    """ERA5's units as ours: K to °C, Pa to hPa, m to mm, and where the wind comes from [deg]."""
    speed = direction = None
    if u10 is not None and v10 is not None:
        speed = math.hypot(u10, v10)
        direction = math.degrees(math.atan2(-u10, -v10)) % 360
    return {
        "temperature_c": written(None if t2m is None else t2m - 273.15, 2),
        "pressure_hpa": written(None if sp is None else sp / 100, 1),
        "wind_speed_ms": written(speed, 2),
        "wind_direction_deg": written(direction, 1),
        "rain_mm": written(None if tp is None else tp * 1000, 3),
        "boundary_layer_height_m": written(blh, 1),
    }


def _humidity(path: Path) -> dict[datetime, float]:
    """Relative humidity [%] by the hour (UTC); empty where the file is absent."""
    if not path.is_file():
        return {}
    humidity = {}
    for line, row in published_rows(path, "Data-Ora", "relative_humidity_mean"):
        value = number(row["relative_humidity_mean"])
        if value is not None:
            hour = moment_of(row["Data-Ora"], UTC)
            if hour is None:
                raise _no_time(path, line, row["Data-Ora"])
            humidity[hour] = min(value, 100.0)
    return humidity


def _hour(path: Path, line: int, text: str, form: str) -> datetime:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        raise _no_time(path, line, text) from None


def _no_time(path: Path, line: int, text: str) -> DataSetError:
    return layout_changed(f"{path} line {line} has {text!r:.40} where a time stood")


AQPICTURES = PublishedSet(
    name="aqpictures",
    title="Milan webcam 2025",
    licence="labels CC BY 4.0; images for non-commercial scientific research only",
    source="gisgeolab/aqpictures: webcam MeteoGiuliacci, PM2.5 and humidity ARPA Lombardia, "
    "weather ERA5",
    min_side=512,
    read=read_aqpictures,
)
