"""From the labelled photos of one camera to its reference: an archive is asked what it sees there.

The archive answers as it answers an unknown camera, run with the code inside it; what its answers
miss at this camera is what `training/camera_calibration.py` learns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import ArtifactError, DataSetError
from features.metadata import parse_metadata
from handlers.camera import CameraReference, SitePrior
from handlers.estimator import DAYLIGHT
from training.archive import RunningArchive
from training.camera_calibration import CalibrationPhotos, calibrate
from training.dataset import LabelledPhoto
from training.evaluate import request_metadata
from training.package import content_hash
from training.scores import sun_elevation
from training.table import LOWEST_LABEL, numbered

LEAST_PHOTOS = 10


@dataclass(frozen=True)
class NewCamera:
    """A reference and what it was made of.

    reference  what a server reads
    n_photos   labelled photos by day that the archive answered
    n_night    labelled photos by night: they were left out
    n_seen     of the photos, those that the archive was trained on
    refused    refused photos by the code of the refusal
    """

    reference: CameraReference
    n_photos: int
    n_night: int
    n_seen: int
    refused: dict[str, int]


def photos_of_camera(
    photos: Sequence[LabelledPhoto], camera: str | None
) -> tuple[str, list[LabelledPhoto]]:
    """The name and the photos of `camera`, or of the one camera that there is.

    Where no photo names a camera, all are taken for those of `camera`. Raises MetadataError for a
    name that no request may give, DataSetError: no_camera, several_cameras, unknown_camera.
    """
    named = sorted({photo.camera for photo in photos} - {""})
    if not (camera or "").strip():
        if len(named) != 1:
            raise DataSetError(
                "several_cameras" if named else "no_camera",
                f"The data name {_listed(named)}.",
                "Name the one to calibrate: --camera NAME.",
            )
        camera = named[0]
    camera = parse_metadata({"camera": camera}).camera or ""
    if named and camera not in named:
        raise DataSetError(
            "unknown_camera",
            f"No photo is of the camera '{camera}'; the data name {_listed(named)}.",
            "Name one of these, or write the name in the column camera.",
        )
    return camera, [photo for photo in photos if photo.camera == camera or not named]


def calibrate_camera(
    archive: Path,
    photos: Sequence[LabelledPhoto],
    camera: str | None = None,
    *,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda done, total: done,
) -> NewCamera:
    """The reference of a camera for `archive`, from at least ten labelled photos of it by day.

    Raises as `photos_of_camera`, and DataSetError too_few_photos, ArtifactError known_camera for a
    camera that the archive was trained on, no_site_prior for an archive that is too old.
    """
    camera, own = photos_of_camera(photos, camera)
    labelled = [photo for photo in own if photo.pm25 is not None]
    by_day = [photo for photo in labelled if not sun_elevation(photo) < DAYLIGHT]
    n_night = len(labelled) - len(by_day)
    _check_enough(camera, len(by_day), n_night, {})
    with RunningArchive(archive) as running:
        prior = _prior_of(running, archive)
        if camera in running.ready["cameras"]:
            raise ArtifactError(
                "known_camera",
                f"{archive.name} was trained on the camera '{camera}' and holds its reference.",
                "It needs none; give another camera another name.",
            )
        seen = set(running.ready["training_photos"])
        requests = [
            {
                "photo": str(photo.path.resolve()),
                "metadata": request_metadata(photo.metadata, ["camera"]),
                "min_side": photo.min_side,
            }
            for photo in by_day
        ]
        replies = list(progress(running.answers(requests), len(requests)))
    answered = [(p, r["answer"]) for p, r in zip(by_day, replies, strict=True) if "answer" in r]
    refused = dict(Counter(r["problem"]["code"] for r in replies if "problem" in r))
    _check_enough(camera, len(answered), n_night, refused)
    reference = calibrate(
        camera,
        _as_numbers(answered),
        prior,
        content_hash=content_hash(archive),
        feature_set=answered[0][1]["feature_set"],
    )
    n_seen = sum(photo.sha256 in seen for photo, _ in answered)
    return NewCamera(reference, len(answered), n_night, n_seen, refused)


def _as_numbers(answered: Sequence[tuple[LabelledPhoto, dict[str, Any]]]) -> CalibrationPhotos:
    lower, middle, upper = np.log(
        [(a["interval"]["lower"], a["pm25_estimate"], a["interval"]["upper"]) for _, a in answered]
    ).T
    pm25 = np.array([photo.pm25 for photo, _ in answered], dtype=np.float64)
    return CalibrationPhotos(
        ln_pm25=np.log(np.maximum(pm25, LOWEST_LABEL)),
        mu=middle,
        below=middle - lower,
        above=upper - middle,
        sessions=numbered(["/".join(photo.visit) for photo, _ in answered]),
    )


def _prior_of(running: RunningArchive, archive: Path) -> SitePrior:
    prior = running.ready.get("site_prior")
    if prior is None:
        raise ArtifactError(
            "no_site_prior",
            f"{archive.name} does not say how sites differ, which calibration starts from.",
            "Name an archive trained by this version or a later one, at two sites or more.",
        )
    return SitePrior(**prior)


def _check_enough(camera: str, n: int, n_night: int, refused: dict[str, int]) -> None:
    if n >= LEAST_PHOTOS:
        return
    others = [f"{n_night} by night"] if n_night else []
    others += [f"{count} refused as {code}" for code, count in sorted(refused.items())]
    raise DataSetError(
        "too_few_photos",
        f"Got {n} labelled photos by day of the camera '{camera}'"
        + (f", and {', '.join(others)}." if others else "."),
        f"Calibration needs at least {LEAST_PHOTOS}, of as many days as possible.",
    )


def _listed(cameras: Sequence[str]) -> str:
    return f"the cameras {', '.join(cameras)}" if cameras else "no camera"
