"""The archives that are measured: one with models and today's code, and one that only echoes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from features.errors import ArtifactError
from features.extractor import ScientificFeatureExtractor
from lifecycle.production import production_archive
from training.altered_features import altered_features
from training.artifact_folder import write_artifact
from training.dataset import dataset_hash, read_dataset
from training.extraction import extract_features
from training.feature_store import FeatureStore
from training.fit import fit_estimator
from training.package import archive_name, build_archive, repackage
from training.rendering.renderer import render_dataset
from training.table import training_table

_VERSION = "0.0.1-bench"
_SITES, _SESSIONS, _PHOTOS, _SEED = 6, 8, 2, 25

_ECHO = '''"""Answers every request at once: what is left is the server itself."""


def handle(rows, context):
    return None if rows is None else [b"{}" for _ in rows]
'''


def measured_archive(folder: Path) -> tuple[Path, str]:
    """An archive of today's code below `folder`, and whose models are in it.

    They are those of the production archive, or of the last run, where today's code still gives
    their golden vectors; otherwise they are fitted to rendered scenes, which costs a minute.
    """
    last = folder / archive_name(_VERSION)
    try:
        production = production_archive()
        return repackage(production, _VERSION, folder), f"of {production.name}"
    except ArtifactError as error:
        reason = f"fitted to rendered scenes ({error.code})"
    try:
        return repackage(last, _VERSION, folder), reason
    except ArtifactError:  # there is none, or it is of another feature set
        artifact = _fitted_to_rendered_scenes(folder)
        return build_archive(artifact, _VERSION, folder), reason


def unpacked_artifact(archive: Path, folder: Path) -> Path:
    """The artefact folder of `archive`, unpacked below `folder`."""
    with zipfile.ZipFile(archive) as mar:
        mar.extractall(folder, [n for n in mar.namelist() if n.startswith("artifact/")])
    return folder / "artifact"


def echo_archive(folder: Path) -> Path:
    """An archive below `folder` whose handler answers without looking at the request."""
    handler = folder / "echo_handler.py"
    handler.write_text(_ECHO, encoding="utf-8")
    command = [sys.executable, "-m", "model_archiver.model_packaging", "--force"]
    command += ["--model-name", "echo", "--version", _VERSION, "--handler", str(handler)]
    subprocess.run([*command, "--export-path", str(folder)], check=True, capture_output=True)
    return folder / "echo.mar"


def _fitted_to_rendered_scenes(folder: Path) -> Path:
    """The folder of an artefact whose estimates are worth little, and cost what others cost."""
    scenes = folder / "scenes"
    if not scenes.exists():
        render_dataset(scenes, _SITES, _SESSIONS, _PHOTOS, _SEED)
    dataset, extractor = read_dataset(scenes), ScientificFeatureExtractor()
    with FeatureStore(folder / "features.db") as store:
        rows = extract_features(dataset.rows, store, extractor)
        kept = [dataset.rows[i] for i in rows.kept]
        copies = altered_features(kept, store, extractor)
    table = training_table(kept, rows.matrix[rows.kept], rows.names, copies)
    write_artifact(
        folder / "artifact",
        fit_estimator(table, seed=_SEED, feature_set=extractor.feature_set),
        table,
        version=_VERSION,
        dataset_hash=dataset_hash([dataset]),
        scores={},
        model_card="Fitted to rendered scenes, to measure how long an answer takes.",
    )
    return folder / "artifact"
