"""The artefact folder of an archive: what lies in it, and the proof that it is whole.

    manifest.json          format, version, feature set, data set hash, SHA-256 of every other
                           file, and of all this
    new_place/, fixed_view/  a set of models each (fixed_view only where a camera is known):
        pipeline.json          impute → standardise → select
        xgboost.safetensors  lightgbm.safetensors  mlp.safetensors  physics.json  stack.json
                               PM25EnsembleModel
        bayesian.safetensors   BayesianNeuralNetwork
        conformal.json         scores that turn a spread into an interval; of photos that come
                               without weather, conformal_without_weather.json where there is one
    cameras.json           references of the cameras known at training
    statistics.json        quantiles of features and labels, baselines
    schema.json            every feature: name, unit, meaning, expected sign, reference
    training_photos.txt    SHA-256 of every photo the models have seen
    scores.json  model_card.md
    golden/                rendered photos with the features and estimates they must give

Nothing in it can execute: JSON, text, pictures and safetensors only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import ArtifactError

FORMAT_VERSION = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The identity of an artefact: `files` maps each relative path to its SHA-256."""

    version: str
    feature_set: str
    dataset_hash: str
    files: dict[str, str]
    format_version: int = FORMAT_VERSION


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` except the manifest, by relative path, sorted."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    }


def write_manifest(folder: Path, version: str, feature_set: str, dataset_hash: str) -> Manifest:
    """Sum up `folder` as it is and write its manifest."""
    manifest = Manifest(version, feature_set, dataset_hash, sums(folder))
    content = {**manifest.__dict__, "sum": _sum(manifest.__dict__)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
    return manifest


def _sum(content: Mapping[str, object]) -> str:
    """SHA-256 of a manifest's content, however it is laid out in the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_format(its_format: object) -> None:
    """Raise ArtifactError other_format unless this code reads artefacts of that format."""
    if its_format != FORMAT_VERSION:
        raise ArtifactError(
            "other_format",
            f"The artefact has format {its_format}, this code reads {FORMAT_VERSION}.",
            "Run the archive with the code inside it, or train again.",
        )


def verify(folder: Path, feature_set: str) -> Manifest:
    """Read the manifest and hold every file against it, before any of them is used.

    Raises ArtifactError when the artefact is of another format or feature set, or when a file is
    missing, changed or not listed.
    """
    refuse = "Build the archive again with `make package`, or fetch it again."
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError("no_manifest", f"{path} does not exist.", refuse)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        its_sum, its_format = content.pop("sum"), content["format_version"]
        check_format(its_format)
        if its_sum != _sum(content):
            raise ValueError("it was changed after it was written")
        manifest = Manifest(**content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError("broken_manifest", f"{path} cannot be read: {error}.", refuse) from None
    if manifest.feature_set != feature_set:
        raise ArtifactError(
            "other_feature_set",
            f"The artefact was trained on feature set {manifest.feature_set[:12]}, "
            f"this code computes {feature_set[:12]}.",
            "Run the archive with the code inside it, or train again.",
        )
    found = sums(folder)
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            state = "is missing" if name not in found else "was changed or added"
            raise ArtifactError("tampered_archive", f"artifact/{name} {state}.", refuse)
    return manifest
