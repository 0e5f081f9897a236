"""What the quality verdict finds, what it costs the good photos, and how wide it makes intervals.

    python -m benchmarks.quality DATA [DATA …]        (`make quality DATA="dir [dir…]"`)

Bad photos are made of good ones (`spoiled.py`). Good photos are those of the data sets, each with
its own size limit, and rendered places in air of 5 to 400 ug m-3: neither refusals nor warnings
may follow PM2.5. Writes docs/scientific_background/quality.json and, from it alone, quality.md.
The spreads of flaws that are measured here are those of `handlers/flaw_spread.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before NumPy reads them

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.archives import unpacked_artifact  # noqa: E402
from benchmarks.quality_page import JSON, PAGE, page  # noqa: E402
from benchmarks.spoiled import (  # noqa: E402
    FIXED_VIEW,
    NEW_PLACE,
    RENDERED,
    SERVING,
    Source,
    Spoiled,
    is_by_day,
    real_sources,
    rendered_photo,
    rendered_sources,
    spoiled,
)
from features.errors import PhotoError  # noqa: E402
from features.photo import decode_photo  # noqa: E402
from features.quality import ImageQualityValidator  # noqa: E402
from features.scene import scene_of  # noqa: E402
from handlers.flaw_spread import FLAW_SPREAD  # noqa: E402
from handlers.predictor import Predictor  # noqa: E402
from lifecycle.production import production_archive  # noqa: E402
from tests.added_haze import OPTICAL_DEPTHS, as_png, hazy_series, read_picture  # noqa: E402
from training.dataset import DataSet, LabelledPhoto, read_dataset  # noqa: E402
from training.progress import progress_bar  # noqa: E402

SOURCES = 10  # good photos of each origin that bad ones are made of
PLACES = 16  # rendered places that are seen at every level
LEAST_FOUND = 8  # photos that a spread rests on
HAZED = 24  # real photos of each data set that haze is added to
LEVELS = (5.0, 12.0, 25.0, 50.0, 100.0, 200.0, 400.0)  # [ug m-3]
EDGES = (0.0, 12.0, 25.0, 50.0, 100.0, 200.0, np.inf)  # of the labels of real photos [ug m-3]
Record = dict[str, Any]


def findings(data: bytes, min_side: int) -> tuple[frozenset[str], bool]:
    """The codes of a photo's flaws, and whether it is refused."""
    try:
        photo = decode_photo(data)
    except PhotoError as error:
        return frozenset({error.code}), True
    result = ImageQualityValidator(min_side).validate(photo, scene_of(photo.light()))
    return frozenset(issue.code for issue in result.issues), not result.is_valid


def rates(found: Sequence[tuple[frozenset[str], bool]]) -> Record:
    """How many photos there are, how many are refused or warned of, and by which codes."""
    return {
        "n": len(found),
        "refused": sum(out for _, out in found),
        "refused_by_reason": by_frequency(code for codes, out in found if out for code in codes),
        "warned": sum(bool(codes) and not out for codes, out in found),
        "warned_by_reason": by_frequency(code for codes, out in found if not out for code in codes),
    }


def by_frequency(codes: Iterable[str]) -> dict[str, int]:
    """How often each is met, the most frequent first, and by name where two are met as often."""
    return dict(sorted(Counter(codes).items(), key=lambda met: (-met[1], met[0])))


def good_photos(datasets: Sequence[DataSet]) -> tuple[list[Record], list[Record]]:
    """Rates of all photos of each set, by day and not, and those by day against their labels."""
    good, levels = [], []
    for dataset in datasets:
        seen: dict[bool, list[tuple[LabelledPhoto, frozenset[str], bool]]] = defaultdict(list)
        with progress_bar(dataset.name, len(dataset.rows), 0, True) as advance:
            for photo in dataset.rows:
                found = findings(photo.path.read_bytes(), photo.min_side)
                seen[is_by_day(photo)].append((photo, *found))
                advance(1)
        for by_day, rows in sorted(seen.items(), reverse=True):
            name = f"{dataset.name}, {'by day' if by_day else 'sun below 5°'}"
            counted = rates([(codes, out) for _, codes, out in rows])
            good.append({"photos": name, "min_side": dataset.min_side} | counted)
        by_label = [row for row in seen[True] if row[0].pm25 is not None]
        bins = []
        for low, high in pairwise(EDGES):
            inside = [(c, out) for p, c, out in by_label if low <= (p.pm25 or 0.0) < high]
            if inside:
                upper = high if np.isfinite(high) else None
                bins.append({"from": low, "to": upper} | rates(inside))
        levels.append({"photos": f"{dataset.name}, by day", "bins": bins})
    return good, levels


def rendered_levels() -> Record:
    """Rates of the same rendered places at each of LEVELS."""
    bins = []
    with progress_bar("rendered haze", len(LEVELS) * PLACES, 0, True) as advance:
        for level in LEVELS:
            found = []
            for place in range(PLACES):
                found.append(findings(rendered_photo(place, level), SERVING))
                advance(1)
            bins.append({"from": level, "to": level} | rates(found))
    return {"photos": f"{PLACES} {RENDERED}", "bins": bins}


def by_kind(found: Iterable[Spoiled]) -> Iterator[Record]:
    """For each kind of bad photo and each origin: how many were named, and as what."""
    groups: dict[str, dict[str, list[Spoiled]]] = defaultdict(lambda: defaultdict(list))
    kinds = {}
    for one in found:
        groups[one.kind.name][one.origin].append(one)
        kinds[one.kind.name] = one.kind
    for name, origins in groups.items():
        kind = kinds[name]
        everything = [one for ones in origins.values() for one in ones]
        yield {
            "kind": name,
            "expected": list(kind.codes),
            "refuse": kind.refuse,
            "caught": {
                origin: [sum(bool(one.verdict.codes & set(kind.codes)) for one in ones), len(ones)]
                for origin, ones in origins.items()
            },
            "n": len(everything),
            "named": sum(bool(one.verdict.codes) for one in everything),
            "refused": sum(one.verdict.refused for one in everything),
            "codes": by_frequency(code for one in everything for code in one.verdict.codes),
        }


def spreads(found: Sequence[Spoiled]) -> Record:
    """Root mean square and mean of the shift of ln PM2.5 by code and situation [ln ug m-3].

    Over the bad photos of kinds that expect the code, in which it was found. Where it was found in
    fewer than LEAST_FOUND, over all photos of the kinds that expect it, and no other code if there
    are such kinds.
    """
    record: Record = {}
    for code in FLAW_SPREAD:
        record[code] = {}
        for situation in (NEW_PLACE, FIXED_VIEW):
            asked = [one for one in found if code in one.kind.codes and situation in one.shift]
            named = [one for one in asked if code in one.verdict.codes]
            own = [one for one in asked if one.kind.codes == (code,)] or asked
            used = named if len(named) >= LEAST_FOUND else own
            shifts = np.array([one.shift[situation] for one in used])
            record[code][situation] = {
                "n": len(used),
                "n_found": len(named),
                "spread": float(np.sqrt(np.mean(shifts**2))) if len(used) else None,
                "mean": float(np.mean(shifts)) if len(used) else None,
            }
    return record


def hazed_levels(sources: Sequence[Source]) -> Record:
    """Rates of the same real photos in more and more added haze."""
    depths = (0.0, *OPTICAL_DEPTHS)
    found: dict[float, list[tuple[frozenset[str], bool]]] = {depth: [] for depth in depths}
    for source in sources:
        for depth, hazy in zip(depths, hazy_series(read_picture(source.data)), strict=True):
            found[depth].append(findings(as_png(hazy), source.min_side))
    bins = [{"from": depth, "to": depth} | rates(found[depth]) for depth in depths]
    return {"photos": f"{len(sources)} real photos by day, haze added", "bins": bins}


def measure(datasets: Sequence[DataSet]) -> Record:
    """All that the page tells."""
    archive = production_archive()
    sources = [source for dataset in datasets for source in real_sources(dataset, SOURCES)]
    sources += rendered_sources(SOURCES)
    with tempfile.TemporaryDirectory() as scratch:
        predictor = Predictor.load(unpacked_artifact(archive, Path(scratch)))
        with progress_bar("bad photos", len(sources), 0, True) as advance:
            found: list[Spoiled] = []
            for source in sources:
                found += spoiled(predictor, [source])
                advance(1)
    good, levels = good_photos(datasets)
    return {
        "archive": archive.name,
        "sources": dict(Counter(source.origin for source in sources)),
        "kinds": list(by_kind(found)),
        "good": good,
        "levels": [*levels, rendered_levels()],
        "hazed": hazed_levels([s for dataset in datasets for s in real_sources(dataset, HAZED)]),
        "spreads": spreads(found),
    }


def main() -> None:
    """Measure, write the numbers and the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="a data set folder")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    begun = time.monotonic()
    result = measure([read_dataset(folder) for folder in parser.parse_args().data])
    JSON.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(result), encoding="utf-8")
    print(f"{PAGE}, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
