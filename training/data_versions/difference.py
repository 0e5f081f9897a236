"""What changed from one version to another: photos are recognised by their bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from operator import itemgetter
from typing import Any

LABEL_COLUMNS = ("pm25", "pm25_quality", "pm25_as_published", "pm10")
Row = Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A photo whose cells differ: its file in the newer version, and by column before and after."""

    file: str
    cells: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Difference:
    """added, removed: files; relabelled: a label differs; redescribed: other cells alone do."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[Change, ...]
    redescribed: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists; cells as {column: [before, after]}."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            **{
                name: [
                    {"file": c.file, "cells": {k: list(v) for k, v in c.cells.items()}}
                    for c in getattr(self, name)
                ]
                for name in ("relabelled", "redescribed")
            },
        }


def difference(before: Iterable[tuple[str, Row]], after: Iterable[tuple[str, Row]]) -> Difference:
    """From the rows of one version to those of another, each with the SHA-256 of its photo.

    A photo that stands there several times is matched copy by copy, equal rows first.
    """
    old, new = _by_photo(before), _by_photo(after)
    added, removed = [], []
    relabelled, redescribed = [], []
    for sha256 in {**old, **new}:
        for was, now in _pairs(old[sha256], new[sha256]):
            if was is None:
                added.append((now or {})["file"])
            elif now is None:
                removed.append(was["file"])
            else:
                cells = {
                    column: (was.get(column, ""), now.get(column, ""))
                    for column in sorted({*was, *now})
                    if was.get(column, "") != now.get(column, "")
                }
                change = Change(now["file"], cells)
                if not cells.keys().isdisjoint(LABEL_COLUMNS):
                    relabelled.append(change)
                elif cells:
                    redescribed.append(change)
    return Difference(
        tuple(sorted(added)),
        tuple(sorted(removed)),
        tuple(sorted(relabelled, key=lambda change: change.file)),
        tuple(sorted(redescribed, key=lambda change: change.file)),
    )


def _by_photo(rows: Iterable[tuple[str, Row]]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for sha256, row in rows:
        found[sha256].append(row)
    return found


def _pairs(old: list[Row], new: list[Row]) -> Iterable[tuple[Row | None, Row | None]]:
    """Rows of one photo, matched: equal ones leave, then those of one file, then the rest."""
    left, right = list(old), list(new)
    for equal_in in (dict, itemgetter("file")):
        for row in list(left):
            match = next((other for other in right if equal_in(other) == equal_in(row)), None)
            if match is not None:
                left.remove(row)
                right.remove(match)
                yield row, match
    yield from zip_longest(left, right)
