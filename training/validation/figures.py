"""Figures of a validation report as they stand in a text, each with its place in the JSON.

A figure in the HTML is `<data value="0.8934" data-figure="/splits/…">0.89</data>`: what is printed,
the number behind it, and where the JSON holds it (a JSON pointer, RFC 6901).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from markupsafe import Markup

from training.validation.svg import number

NOT_DEFINED = Markup("–")
Path = Sequence[str | int]

SPLITS = {
    "unseen_days": "New days",
    "unseen_months": "Later months",
    "unseen_sites": "New places",
}
RECORDS = {
    "known_camera": "known camera, by day",
    "sessions": "all places, by session",
    "photos": "all photos",
}


@dataclass(frozen=True)
class Judged:
    """One set of records of one split that the report shows.

    path  where the JSON holds its block
    """

    split: str
    records: str
    path: tuple[str, ...]

    @property
    def title(self) -> str:
        return SPLITS[self.split]

    @property
    def over(self) -> str:
        words = RECORDS[self.records]
        return words.removeprefix("all places, ") if self.split == "unseen_sites" else words


class Figures:
    """Reads the JSON of a report by path, from its root or from a `prefix` downwards."""

    def __init__(self, report: Mapping[str, Any], prefix: Path = ()) -> None:
        self.report = report
        self.prefix = tuple(prefix)

    def at(self, path: Path) -> Figures:
        """The same from `path` downwards."""
        return Figures(self.report, (*self.prefix, *path))

    def value(self, *path: str | int) -> Any:
        """What stands at `path`; None where there is nothing."""

        def inside(block: Any, key: str | int) -> Any:
            if isinstance(block, Mapping):
                return block.get(str(key))
            if isinstance(block, list) and isinstance(key, int) and key < len(block):
                return block[key]
            return None

        return reduce(inside, (*self.prefix, *path), self.report)

    def number(self, *path: str | int, digits: int = 0) -> Markup:
        """The number at `path` with so many decimals."""
        return self._figure(path, digits, scale=1.0, unit="")

    def percent(self, *path: str | int, digits: int = 0) -> Markup:
        """The share at `path`, as percent."""
        return self._figure(path, digits, scale=100.0, unit="\u00a0%")

    def range(self, *path: str | int, digits: int = 0, percent: bool = False) -> Markup:
        """The interval [lower, upper] at `path`; empty where there is none."""
        if self.value(*path) is None:
            return Markup("")
        ends = [
            self._figure((*path, i), digits, scale=100.0 if percent else 1.0, unit="")
            for i in (0, 1)
        ]
        return Markup('<span class="range">{} to {}</span>').format(*ends)

    def met(self, *path: str | int) -> Markup:
        """Whether the target at `path` is met."""
        value = self.value(*path)
        if value is None:
            return NOT_DEFINED
        return Markup("met") if value else Markup("<em>missed</em>")

    def judged(self) -> list[Judged]:
        """What the report shows of each honest split: known cameras by day, and all sessions.

        Later months are those of one camera: its photos by day where there are any.
        """
        return [found for split in SPLITS for found in self._records_of(split)]

    def headline(self, split: str) -> Judged | None:
        """The first of them of one split."""
        return next(self._records_of(split), None)

    def single_photos(self, split: str) -> Judged | None:
        """What has photos as rows: those of known cameras by day, otherwise all."""
        return self.of(split, "known_camera") or self.of(split, "photos")

    def moving(self) -> list[Judged]:
        """Every set of single photos: of each split those of known cameras by day, and all."""
        found = [self.of(s, records) for s in SPLITS for records in ("known_camera", "photos")]
        return [judged for judged in found if judged is not None]

    def of(self, split: str, records: str) -> Judged | None:
        """Certain records of a split, None where the report has none."""
        path = ("splits", split, "full", records)
        return Judged(split, records, path) if self.value(*path, "coverage", "n") else None

    def _records_of(self, split: str) -> Iterator[Judged]:
        known, sessions = self.of(split, "known_camera"), self.of(split, "sessions")
        if known is not None:
            yield known
        if sessions is not None and not (known is not None and split == "unseen_months"):
            yield sessions

    def _figure(self, path: Path, digits: int, *, scale: float, unit: str) -> Markup:
        value = self.value(*path)
        if value is None or isinstance(value, bool | str):
            return NOT_DEFINED
        return Markup('<data value="{}" data-figure="{}">{}</data>').format(
            repr(value), pointer((*self.prefix, *path)), number(scale * value, digits) + unit
        )


def pointer(path: Path) -> str:
    """The JSON pointer of a path."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)
