"""What a training run left to be judged: its answers to held-out photos, and its name."""

from __future__ import annotations

import json
from pathlib import Path

from features.errors import DataSetError
from handlers.artifact import MANIFEST
from training.held_out import read_held_out
from training.run import ARTIFACT, HELD_OUT
from training.validation.validator import ScientificValidator


def validator_of(run: Path) -> ScientificValidator:
    """A validator of what `pm25 train` left in the folder `run`.

    Raises DataSetError when it holds no answers to held-out photos, or a manifest that cannot be
    read. Without a manifest the version is unknown.
    """
    answers = read_held_out(run / HELD_OUT)
    path = run / ARTIFACT / MANIFEST
    if not path.is_file():
        return ScientificValidator(answers)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, dataset_hash = str(manifest["version"]), str(manifest["dataset_hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataSetError(
            "broken_manifest",
            f"{path} does not name the version that was trained: {error!r}.",
            "Train again: `make train`.",
        ) from error
    return ScientificValidator(answers, model_version=version, dataset_hash=dataset_hash)
