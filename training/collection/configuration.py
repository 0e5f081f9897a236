"""The TOML file that says what is collected: data set, place, camera and labels.

Every key is checked, and one that nobody knows is an error: a misspelt radius is no default.
Secrets stay outside: `${NAME}` in the camera's address is taken from the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.errors import MetadataError, PM25Error
from features.metadata import parse_metadata
from training.dataset import DEFAULT_MIN_SIDE
from training.pairing import RADIUS_KM, PairingRule


class CollectionError(PM25Error):
    """What is to be collected is not said clearly, or the camera gives no picture."""


@dataclass(frozen=True)
class Collection:
    """What is collected, and where it goes.

    folder         the data set
    site, …        its rows' cells; `timezone` gives times their offset
    address        of the camera; empty where `frames` names a folder
    every          one frame in each such stretch of time
    last_modified  whether the camera's Last-Modified header is the time of its frame
    rule, source, …  how frames find their labels
    patience       how long the best sensor is waited for before the others stand in
    """

    folder: Path
    name: str
    licence: str
    min_side: int
    site: str
    country: str
    lat: float
    lon: float
    timezone: tzinfo
    camera: str
    address: str
    frames: Path | None
    every: timedelta
    last_modified: bool
    source: str
    source_address: str
    correction: str
    rule: PairingRule
    patience: timedelta

    def slot(self, time: datetime) -> int:
        """The stretch that `time` lies in, by its beginning [s since 1970]."""
        return int(time.timestamp() // self.every.total_seconds() * self.every.total_seconds())


# Table, key: its type and its default; without a default the key is required.
_KEYS: dict[str, dict[str, tuple[type, Any] | tuple[type]]] = {
    "dataset": {
        "folder": (str,),
        "name": (str,),
        "licence": (str,),
        "min_side": (int, DEFAULT_MIN_SIDE),
    },
    "place": {
        "site": (str,),
        "country": (str, ""),
        "lat": (float,),
        "lon": (float,),
        "timezone": (str,),
    },
    "camera": {
        "name": (str,),
        "url": (str, ""),
        "folder": (str, ""),
        "every_minutes": (int, 15),
        "last_modified": (bool, True),
    },
    "labels": {
        "source": (str,),
        "method": (str, "nearest"),
        "radius_km": (float, RADIUS_KM),
        "patience_hours": (float, 6.0),
        "correction": (str, ""),
        "address": (str, ""),
    },
}


_KINDS = {str: "some text", int: "a whole number", float: "a number", bool: "true or false"}


def read_configuration(file: Path) -> Collection:
    """The collection that `file` describes; relative folders lie beside it.

    Raises CollectionError invalid_configuration with the key, what stands there and what may.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(file, str(error), "Write TOML in UTF-8; see docs/examples.") from None
    unknown = [name for name in tables if name not in _KEYS]
    if unknown:
        raise _invalid(file, f"[{unknown[0]}] is unknown", f"Tables are {', '.join(_KEYS)}.")
    dataset, place, camera, labels = (_table(file, name, tables.get(name, {})) for name in _KEYS)
    if bool(camera["url"]) == bool(camera["folder"]):
        raise _invalid(file, "[camera] has both url and folder, or neither", "Give one of them.")
    if not 1 <= camera["every_minutes"] <= 24 * 60 or labels["patience_hours"] < 0:
        raise _invalid(
            file,
            f"every_minutes {camera['every_minutes']}, patience_hours {labels['patience_hours']:g}",
            "Allowed are 1 to 1440 minutes, and 0 hours or more.",
        )
    try:
        at = parse_metadata({"lat": place["lat"], "lon": place["lon"], "camera": camera["name"]})
        rule = PairingRule(labels["method"], labels["radius_km"])
    except PM25Error as error:
        kind = "place or camera" if isinstance(error, MetadataError) else "labels"
        raise _invalid(file, f"{kind}: {error.detail}", error.how_to_fix) from None
    assert at.lat is not None and at.lon is not None and at.camera is not None
    here = file.resolve().parent
    return Collection(
        folder=here / Path(dataset["folder"]).expanduser(),
        name=dataset["name"],
        licence=dataset["licence"],
        min_side=dataset["min_side"],
        site=place["site"],
        country=place["country"],
        lat=at.lat,
        lon=at.lon,
        timezone=_timezone(file, place["timezone"]),
        camera=at.camera,
        address=_with_environment(file, camera["url"]),
        frames=here / Path(camera["folder"]).expanduser() if camera["folder"] else None,
        every=timedelta(minutes=camera["every_minutes"]),
        last_modified=camera["last_modified"],
        source=labels["source"],
        source_address=labels["address"],
        correction=labels["correction"],
        rule=rule,
        patience=timedelta(hours=labels["patience_hours"]),
    )


def _table(file: Path, name: str, given: Any) -> Mapping[str, Any]:
    """The table with its defaults; numbers may be whole where any number is allowed."""
    keys = _KEYS[name]
    if not isinstance(given, dict):
        raise _invalid(file, f"{name} is no table", f"Write [{name}] and its keys below it.")
    for key in given:
        if key not in keys:
            raise _invalid(file, f"[{name}] {key} is unknown", f"Keys are {', '.join(keys)}.")
    table: dict[str, Any] = {}
    for key, (kind, *default) in keys.items():
        if key not in given and not default:
            raise _invalid(file, f"[{name}] {key} is missing", "Add it.")
        value: Any = given[key] if key in given else default[0]
        if kind is float and type(value) is int:
            value = float(value)
        empty = kind is str and not default and not str(value).strip()
        if type(value) is not kind or empty:
            shown = f"[{name}] {key} is {value!r:.60}"
            raise _invalid(file, shown, f"Allowed is {_KINDS[kind]}.")
        table[key] = value
    return table


def _timezone(file: Path, name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid(
            file, f"[place] timezone is {name!r:.60}", 'Give one such as "America/Bogota".'
        ) from None


def _with_environment(file: Path, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise _invalid(file, f"the variable {match[1]} is empty", f"export {match[1]}=…")
        return found

    return re.sub(r"\$\{(\w+)\}", value, text)


def _invalid(file: Path, what: str, how_to_fix: str) -> CollectionError:
    return CollectionError("invalid_configuration", f"{file}: {what}.", how_to_fix)
