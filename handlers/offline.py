"""Answers photos from standard input without a server: how an unpacked archive is measured.

Run inside the unpacked archive, so that its own code answers:

    python -m handlers.offline            # one JSON object a line in, one a line out

In:  {"photo": PATH, "metadata": {…}, "min_side": 512, "return": ["features", "quantiles"]}
Out: {"answer": {…}} or {"problem": {…}} as the service writes them, in order.
The first line out is {"ready": {"model_version", "training_photos": [SHA-256, …],
"baseline_pm25": [ug m-3], "baseline_by_camera": {camera: [ug m-3]}, "cameras": [those known at
training], "site_prior": {"level_sd", "session_sd"} or null}}, or {"problem": …} when the archive
refuses to load.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO

import cv2
import torch

from features.errors import ArtifactError, PhotoError, PM25Error
from handlers.camera import SitePrior
from handlers.predictor import Predictor
from handlers.problem import problem

ARTIFACT = Path(__file__).resolve().parent.parent / "artifact"


def serve(predictor: Predictor, lines: IO[str], out: IO[str]) -> None:
    """Answer every line of `lines` on `out`, flushing each."""
    for line in lines:
        request = json.loads(line)
        try:
            answer = predictor.answer(
                _bytes_of(Path(request["photo"])),
                request.get("metadata"),
                include=request.get("return", ()),
                min_side=request.get("min_side"),
            )
            reply: dict[str, object] = {"answer": answer}
        except PM25Error as error:
            reply = {"problem": problem(error, None)}
        print(json.dumps(reply, allow_nan=False), file=out, flush=True)


def _bytes_of(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise PhotoError(
            "photo_unreadable",
            f"{photo} cannot be read: {error.strerror or error}.",
            "Check that it is there and may be read.",
        ) from None


def _training_photos() -> list[str]:
    """SHA-256 of the photos that the models have seen."""
    try:
        return (ARTIFACT / "training_photos.txt").read_text("ascii").split()
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "broken_training_photos",
            f"training_photos.txt cannot be read: {error}.",
            "Package the archive again from its training run.",
        ) from None


def main() -> int:
    """Load the artefact beside this code, say so, and answer until the input ends."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        predictor = Predictor.load(ARTIFACT)
        seen = _training_photos()
    except PM25Error as error:
        print(json.dumps({"problem": problem(error, None)}), flush=True)
        return 2
    prior = SitePrior.of(predictor.estimator.new_place.conformal)
    ready = {
        "model_version": predictor.manifest.version,
        "training_photos": seen,
        "baseline_pm25": predictor.statistics.baseline_pm25,
        "baseline_by_camera": dict(predictor.statistics.baseline_by_camera),
        "cameras": sorted(filter(predictor.estimator.knows, predictor.estimator.cameras)),
        "site_prior": None if prior is None else prior._asdict(),
    }
    print(json.dumps({"ready": ready}), flush=True)
    serve(predictor, sys.stdin, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
