"""A data set that was read, described as a version: counts, label statistics, hashes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from features.errors import DataSetError
from training.data_versions.manifest import (
    DatasetVersion,
    StoredFile,
    VersionManifest,
    content_hash,
    is_inside,
    label_rows,
)
from training.dataset import DataSet, dataset_hash


def describe(
    dataset: DataSet,
    version: DatasetVersion,
    parent: DatasetVersion | None,
    files: Sequence[StoredFile],
    labels_csv: bytes,
) -> VersionManifest:
    """The manifest of `dataset`, whose `files` have been hashed.

    Raises DataSetError invalid_path for a photo whose path would not be one in another folder.
    """
    outside = [file.path for file in files if not is_inside(file.path)]
    if outside:
        raise DataSetError(
            "invalid_path",
            f"labels.csv names {outside[0]!r}, which leads out of its folder and back.",
            "Write the path of each photo from the folder on, as images/0001.jpg.",
        )
    sha256_of = {file.path: file.sha256 for file in files}
    rows = dataset.rows
    manifest = VersionManifest(
        name=version.name,
        version=version.version,
        content_hash="",
        dataset_hash=dataset_hash([dataset]),
        parent=None if parent is None else str(parent),
        created_at=datetime.now(UTC).isoformat(),
        title=dataset.name,
        licence=dataset.licence,
        source=dataset.source,
        min_side=dataset.min_side,
        counts={
            "photos": len(rows),
            "labelled": sum(row.pm25 is not None for row in rows),
            "sites": len({row.site for row in rows}),
            "cameras": len({(row.site, row.camera) for row in rows if row.camera}),
            "sessions": len({row.visit for row in rows}),
            "bytes": sum({file.sha256: file.size for file in files}.values()),
        },
        labels=_label_statistics(dataset),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )
    content = content_hash(manifest.card, label_rows(labels_csv), sha256_of)
    return replace(manifest, content_hash=content)


def _label_statistics(dataset: DataSet) -> dict[str, Any]:
    labels = [row.pm25 for row in dataset.rows if row.pm25 is not None]
    if not labels:
        return dict.fromkeys(("min", "median", "mean", "sd", "max")) | {"by_quality": {}}
    return {
        "min": min(labels),
        "median": statistics.median(labels),
        "mean": statistics.fmean(labels),
        "sd": statistics.pstdev(labels),
        "max": max(labels),
        "by_quality": dict(
            sorted(Counter(r.pm25_quality for r in dataset.rows if r.pm25 is not None).items())
        ),
    }
