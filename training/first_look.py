"""What a first look at each photo says: is it fit to be judged, and what does it look like?

Looks are kept in datasets.db by the photo's bytes and by the code that looked, each as soon as it
is taken: a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from features.errors import PhotoError
from features.finding import Finding
from features.photo import decode_photo
from features.quality import ImageQualityValidator
from features.scene import scene_of
from training.dataset import LabelledPhoto
from training.datasets_db import DatasetsDatabase
from training.meter import Meter, silent
from training.picture_hash import METHOD, picture_hash
from training.reading_conditions import reading_conditions
from training.workers import LocalProcesses

_KEYS_PER_QUERY = 1000


@dataclass(frozen=True)
class FirstLook:
    """issues: of the quality validator, or why the photo cannot be decoded; picture_hash: None
    where it cannot."""

    issues: tuple[Finding, ...]
    picture_hash: bytes | None

    @property
    def refusal(self) -> Finding | None:
        """The error that refuses the photo, if one does."""
        return next((issue for issue in self.issues if issue.severity == "error"), None)


def first_looks(
    rows: Sequence[LabelledPhoto],
    database: DatasetsDatabase,
    *,
    jobs: int = 2,
    meter: Meter = silent,
) -> list[FirstLook]:
    """A look at each photo of `rows`, in their order; what `database` lacks is looked at now."""
    keys = [(row.sha256, _conditions(row.min_side)) for row in rows]
    looks = _known(database, keys)
    missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in looks}
    parts = ((key, row.path, row.min_side) for key, row in missing.items())
    with meter("looking at photos", len(missing)) as advance:
        for key, look in LocalProcesses(min(jobs, len(missing)) or 1).results(_look, parts):
            _remember(database, key, look)
            looks[key] = look
            advance(1)
    return [looks[key] for key in keys]


def look_at(data: bytes, min_side: int) -> FirstLook:
    """The look at one photo; `min_side` is the smallest short side that is accepted [px]."""
    try:
        photo = decode_photo(data)
    except PhotoError as error:
        return FirstLook((Finding(error.code, "error", error.detail, error.how_to_fix),), None)
    scene = scene_of(photo.light())
    verdict = ImageQualityValidator(min_side=min_side).validate(photo, scene)
    return FirstLook(verdict.issues, picture_hash(scene.light.grey))


def _look(key: tuple[str, str], path: Path, min_side: int) -> tuple[tuple[str, str], FirstLook]:
    cv2.setNumThreads(1)
    return key, look_at(path.read_bytes(), min_side)


def _conditions(min_side: int) -> str:
    return f"{reading_conditions(min_side).text} hash={METHOD}"


def _known(
    database: DatasetsDatabase, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], FirstLook]:
    known = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        chunk = json.dumps([list(key) for key in keys[start : start + _KEYS_PER_QUERY]])
        with database.naming_the_file():
            found = database.connection.execute(
                """
                SELECT sha256, conditions, issues, picture_hash
                FROM json_each(?) JOIN first_looks
                ON sha256 = json_each.value ->> 0 AND conditions = json_each.value ->> 1
                """,
                (chunk,),
            ).fetchall()
        for sha256, conditions, issues, hashed in found:
            findings = tuple(Finding(**issue) for issue in json.loads(issues))
            known[sha256, conditions] = FirstLook(findings, hashed)
    return known


def _remember(database: DatasetsDatabase, key: tuple[str, str], look: FirstLook) -> None:
    issues: list[Mapping[str, str]] = [asdict(issue) for issue in look.issues]
    with database.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO first_looks VALUES (?, ?, ?, ?)",
            (*key, json.dumps(issues, ensure_ascii=False), look.picture_hash),
        )
