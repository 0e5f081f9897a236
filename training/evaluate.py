"""Scoring an archive on data sets, through the very code that serves.

Each row's time, place, camera and weather go to the archive as a request's metadata would; its
site, session and label never do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from features.metadata import PhotoMetadata
from training.archive import RunningArchive
from training.dataset import DataSet
from training.scores import Predictions, labels_of, score_block

# What `--without` can withhold from the archive, to see what an estimate owes to it.
WITHHOLDABLE: dict[str, tuple[str, ...]] = {
    "weather": (
        "temperature_c",
        "relative_humidity_pct",
        "pressure_hpa",
        "wind_speed_ms",
        "wind_direction_deg",
        "rain_mm",
        "boundary_layer_height_m",
    ),
    "camera": ("camera",),
    "place": ("lat", "lon"),
}


def request_metadata(metadata: PhotoMetadata, without: Collection[str] = ()) -> dict[str, object]:
    """The metadata of one row as a client would send it, less the groups named in `without`."""
    withheld = {name for group in without for name in WITHHOLDABLE[group]}
    known = {
        field.name: getattr(metadata, field.name)
        for field in fields(metadata)
        if field.name not in withheld and getattr(metadata, field.name) is not None
    }
    if metadata.captured_at is not None:
        known["captured_at"] = metadata.captured_at.isoformat()
    return known


def evaluate(
    archive: Path,
    datasets: Sequence[DataSet],
    *,
    min_side: int | None = None,
    without: Collection[str] = (),
    progress: Any = lambda photos: photos,
) -> dict[str, object]:
    """The scores of `archive` on `datasets`: the JSON that `pm25 evaluate` prints.

    min_side replaces each data set's own size limit [px]. `progress` wraps the answers as they
    come in. All figures are over answered, labelled photos; undefined ones are None.
    """
    photos = [photo for dataset in datasets for photo in dataset.rows]
    with RunningArchive(archive) as running:
        seen = set(running.ready["training_photos"])
        baseline_by_camera = running.ready["baseline_by_camera"]
        baseline = [
            baseline_by_camera.get(photo.metadata.camera or "", running.ready["baseline_pm25"])
            for photo in photos
        ]
        requests = [
            {
                "photo": str(photo.path.resolve()),
                "metadata": request_metadata(photo.metadata, without),
                "min_side": photo.min_side if min_side is None else min_side,
                "return": ["quantiles"],
            }
            for photo in photos
        ]
        replies = list(progress(running.answers(requests)))
    scored = [
        i
        for i, (photo, reply) in enumerate(zip(photos, replies, strict=True))
        if "answer" in reply and photo.pm25 is not None
    ]
    answers = [replies[i]["answer"] for i in scored]
    predictions = Predictions(
        pm25=_column(answer["pm25_estimate"] for answer in answers),
        lower=_column(answer["interval"]["lower"] for answer in answers),
        upper=_column(answer["interval"]["upper"] for answer in answers),
        quantiles=np.array([answer["quantiles"] for answer in answers]).reshape(-1, 19),
        baseline=_column(baseline[i] for i in scored),
    )
    refused = Counter(reply["problem"]["code"] for reply in replies if "problem" in reply)
    return {
        "archive": archive.name,
        "dataset": " + ".join(dataset.name for dataset in datasets),
        "without": sorted(without),
        "n_photos": len(photos),
        "n_unlabelled": sum(photo.pm25 is None for photo in photos),
        "n_answered": len(photos) - refused.total(),
        "n_refused": refused.total(),
        "refused_by_reason": dict(sorted(refused.items())),
        "n_seen_in_training": sum(photo.sha256 in seen for photo in photos),
        **score_block(labels_of([photos[i] for i in scored]), predictions),
    }


def _column(values: Iterable[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.fromiter(values, dtype=np.float64)
