"""One training run: data sets in, an artefact folder with its scores and its card out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import DataSetError
from features.extractor import ScientificFeatureExtractor
from handlers.artifact import Manifest
from training.altered_features import altered_features
from training.artifact_folder import write_artifact
from training.cross_validation import cross_validate
from training.dataset import DataSet, LabelledPhoto, QuarantinedRow, dataset_hash
from training.datasets_db import DATASETS_DB, DatasetsDatabase
from training.extraction import extract_features
from training.feature_store import FeatureStore
from training.first_look import first_looks
from training.fit import fit_estimator
from training.held_out import write_held_out
from training.meter import shown
from training.model_card import model_card
from training.near_duplicates import with_links
from training.package import check_version
from training.quarantine import QUARANTINE, quarantine_csv
from training.rendered_scenes import PLACES, rendered_scenes
from training.scores import score_block
from training.table import TrainingTable, training_table

RUNS = Path("build/runs")
STORE = Path("build/features.db")
RENDERED = Path("build/rendered")
ARTIFACT = "artifact"  # its folder inside that of a run
HELD_OUT = "held_out"  # and that of the answers to held-out photos
SEED = 25
LEAST_SESSIONS = 20  # of at least two sites: fewer cannot be held out and leave something to fit


@dataclass(frozen=True)
class TrainingRun:
    """What a run leaves: its artefact folder, the manifest, and the scores by split and variant."""

    folder: Path
    manifest: Manifest
    scores: dict[str, Any]
    refused: dict[str, int]


def train(
    datasets: Sequence[DataSet],
    version: str,
    *,
    seed: int = SEED,
    jobs: int = 2,
    store: Path = STORE,
    runs: Path = RUNS,
    rendered_places: int = PLACES,
    quarantined: Sequence[tuple[str, QuarantinedRow]] = (),
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda done, total: done,
) -> TrainingRun:
    """Extract features (or take them from the store), score every split, fit on all rows, write.

    The same data, seed and versions give the same artefact, byte for byte, however many `jobs`
    there are and whether features came from the store or not. `rendered_places` scenes teach what
    haze does (training/rendered_scenes.py); 0 for none. `quarantined` are rows that validation has
    set apart from `datasets`, by name: counted in the card, listed in the run's quarantine.csv.
    A run of the same version is replaced in one step, at the end.
    Raises DataSetError when there is too little to learn from, ArtifactError for a version that
    could not be packaged.
    """
    check_version(version)
    photos = [photo for dataset in datasets for photo in dataset.rows]
    _check_enough(photos, {})
    extractor = ScientificFeatureExtractor()
    table, photo_names, rendered, refused = read_tables(
        photos, extractor, store=store, seed=seed, jobs=jobs, rendered_places=rendered_places
    )
    refused = dict(Counter(row.code for _, row in quarantined) + Counter(refused))
    answers = cross_validate(
        table,
        photo_names,
        seed=seed,
        feature_set=extractor.feature_set,
        rendered=rendered,
        jobs=jobs,
        progress=progress,
    )
    scores = {
        split: {
            variant: score_block(record.labels, record.predictions)
            for variant, record in variants.items()
        }
        for split, variants in answers.items()
    }
    estimator = fit_estimator(
        table, seed=seed, feature_set=extractor.feature_set, rendered=rendered
    )
    n_rendered = len(rendered) if rendered else 0
    unfinished = runs / f".{version}.part"
    manifest = write_artifact(
        unfinished / ARTIFACT,
        estimator,
        table,
        version=version,
        dataset_hash=dataset_hash(datasets),
        scores=scores,
        model_card=model_card(
            version, datasets, table, estimator, scores, answers, refused, n_rendered
        ),
    )
    (unfinished / "scores.json").write_text(
        json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    write_held_out(unfinished / HELD_OUT, answers)
    (unfinished / QUARANTINE).write_text(quarantine_csv(quarantined), encoding="utf-8")
    _replace(runs / version, unfinished)
    return TrainingRun(artifact_of(version, runs), manifest, scores, refused)


def read_tables(
    photos: Sequence[LabelledPhoto],
    extractor: ScientificFeatureExtractor,
    *,
    store: Path,
    seed: int,
    jobs: int,
    rendered_places: int,
) -> tuple[TrainingTable, tuple[str, ...], TrainingTable | None, dict[str, int]]:
    """The table of `photos`, their photo features' names, that of the rendered scenes, and how many
    photos were refused, by reason.

    Raises DataSetError where the quality gate leaves too little to learn from.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with FeatureStore(store) as feature_store:
        rows = extract_features(photos, feature_store, extractor, jobs=jobs)
        refused = dict(sorted(rows.refused_by_reason.items()))
        kept = [photos[i] for i in rows.kept]
        _check_enough(kept, refused)
        with DatasetsDatabase(store.with_name(DATASETS_DB.name)) as database:
            kept = with_links(kept, first_looks(kept, database, jobs=jobs, meter=shown))
        copies = altered_features(kept, feature_store, extractor, jobs=jobs)
        rendered = None
        if rendered_places:
            rendered = rendered_scenes(
                RENDERED, feature_store, places=rendered_places, seed=seed, jobs=jobs
            )
    table = training_table(kept, rows.matrix[rows.kept], rows.names, copies)
    return table, rows.names, rendered, refused


def artifact_of(version: str, runs: Path = RUNS) -> Path:
    """Where the artefact of `version` lies once it was trained."""
    return runs / version / ARTIFACT


def _check_enough(photos: Sequence[LabelledPhoto], refused: Mapping[str, int]) -> None:
    """Raise DataSetError too_little_data unless the labelled `photos` can be held out and fitted.

    Asked before the photos are read, and again without those that were refused, by reason.
    """
    labelled = [photo for photo in photos if photo.pm25 is not None]
    sessions = len({photo.visit for photo in labelled})
    sites = len({photo.site for photo in labelled})
    if sessions < LEAST_SESSIONS or sites < 2:
        reasons = ", ".join(f"{count} {code}" for code, count in refused.items())
        raise DataSetError(
            "too_little_data",
            f"Got {len(labelled)} labelled photos of {sessions} sessions at {sites} sites"
            + (f"; refused were {reasons}." if refused else "."),
            f"Training needs at least {LEAST_SESSIONS} sessions at 2 sites.",
        )


def _replace(folder: Path, new: Path) -> None:
    """Put the folder `new` in the place of `folder`: one of them is whole at any moment."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
