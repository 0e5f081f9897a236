"""Good photos of every origin, and what becomes of them: named or not, answered as before or not.

Real photos come from data sets, rendered ones from our own scenes. Each kind of `bad_photos.py` is
made from each of them, and each file goes through the predictor that serves: what is measured is
its verdict, and by how much its estimate of ln PM2.5 moved.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.bad_photos import KINDS, Kind
from benchmarks.bad_scenes import Picture
from features.errors import PhotoError
from features.sun import solar_position
from handlers.predictor import Predictor
from tests.added_haze import as_jpeg, read_picture
from training.dataset import DataSet, LabelledPhoto
from training.evaluate import request_metadata
from training.rendering.renderer import draw_moment, draw_place, render

DAY_SUN = 5.0  # least elevation of the sun [deg]; unknown counts as day
RENDERED, SIZE = "rendered scenes", (960, 720)
FIXED_VIEW, NEW_PLACE = "fixed_view", "new_place"
SERVING = 512  # least short side of what a client sends [px]
_SEED = 53
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Source:
    """A good photo: its origin, its bytes, what a client would say with it, its size limit."""

    origin: str
    data: bytes
    metadata: Mapping[str, object]
    min_side: int


@dataclass(frozen=True)
class Verdict:
    """The codes of a photo, whether it was refused, and its estimates of ln PM2.5 by situation."""

    codes: frozenset[str]
    refused: bool
    ln_pm25: Mapping[str, float]


@dataclass(frozen=True)
class Spoiled:
    """One bad photo: its kind, the origin of the good one, the verdict, the shift by situation."""

    kind: Kind
    origin: str
    verdict: Verdict
    shift: Mapping[str, float]


def is_by_day(photo: LabelledPhoto) -> bool:
    """Whether the sun was at least 5° up, or its height is unknown."""
    known = photo.metadata
    if known.captured_at is None or known.lat is None or known.lon is None:
        return True
    return solar_position(known.captured_at, known.lat, known.lon).elevation >= DAY_SUN


def real_sources(dataset: DataSet, count: int) -> list[Source]:
    """`count` photos of a data set by day, evenly spaced."""
    rows = [photo for photo in dataset.rows if is_by_day(photo)]
    chosen = [rows[(2 * i + 1) * len(rows) // (2 * count)] for i in range(min(count, len(rows)))]
    return [
        Source(
            dataset.name,
            photo.path.read_bytes(),
            request_metadata(photo.metadata),
            min(photo.min_side, SERVING),
        )
        for photo in chosen
    ]


def rendered_photo(place: int, pm25: float) -> bytes:
    """The `place`-th view in air of `pm25` [ug m-3]; all else stays from level to level."""
    rng = np.random.default_rng([_SEED, place])
    scene = draw_place(rng)
    moment = draw_moment(rng, scene, pm25=pm25)
    moment = replace(moment, air=replace(moment.air, pm25=pm25))
    return as_jpeg(render(scene, moment, *SIZE), _JPEG_QUALITY)


def rendered_sources(count: int) -> list[Source]:
    """`count` rendered places in air of 8 to 300 ug m-3."""
    levels = np.geomspace(8, 300, count)
    return [
        Source(RENDERED, rendered_photo(place, float(pm25)), {}, SERVING)
        for place, pm25 in enumerate(levels)
    ]


def verdict(predictor: Predictor, data: bytes, metadata: Mapping[str, Any], side: int) -> Verdict:
    """What the service says of a photo; with a camera that it knows, with it and without."""
    known = predictor.estimator.knows(metadata.get("camera"))
    unnamed = {name: value for name, value in metadata.items() if name != "camera"}
    ways = {NEW_PLACE: unnamed} | ({FIXED_VIEW: dict(metadata)} if known else {})
    ln_pm25 = {}
    codes: set[str] = set()
    for situation, known_of_it in ways.items():
        try:
            answer: Any = predictor.answer(data, known_of_it, min_side=side)
        except PhotoError as error:
            return Verdict(frozenset({error.code}), True, {})
        codes |= {issue["code"] for issue in answer["quality"]["issues"]}
        ln_pm25[situation] = math.log(answer["pm25_estimate"])
    return Verdict(frozenset(codes), False, ln_pm25)


def spoiled(predictor: Predictor, sources: Sequence[Source]) -> Iterator[Spoiled]:
    """Every kind of bad photo that can be made of each source."""
    for source in sources:
        before = verdict(predictor, source.data, source.metadata, 1)
        picture = read_picture(source.data)
        for kind in KINDS:
            if kind.needs_detail and source.min_side < SERVING:
                continue  # small pictures are enlarged, and softness is no flaw of theirs
            # The crops of a small photo are small; that is a kind of its own.
            side = SERVING if "too_small" in kind.codes else 1
            after = verdict(predictor, _file(kind, picture, source), source.metadata, side)
            shift = {
                situation: value - before.ln_pm25[situation]
                for situation, value in after.ln_pm25.items()
                if situation in before.ln_pm25
            }
            yield Spoiled(kind, source.origin, after, shift)


def _file(kind: Kind, picture: Picture, source: Source) -> bytes:
    """The same source gives the same bad photo."""
    seed = hashlib.sha256(kind.name.encode() + source.data).digest()[:8]
    return kind.file(picture, np.random.default_rng(int.from_bytes(seed, "little")))
