"""Fixtures from rendered scenes: a data set on disk, its rows, and models fitted on them, once.

Three sites of ten sessions and two photos each, at the same usual PM2.5: a fixed camera with
weather, visits with weather, and a fixed camera without. What a test needs of training is
imported where it is asked for, so that tests without it stay quick.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

__all__ = [
    *("rendered", "rendered_store", "table", "estimator"),
    *("fitted_artifact", "predictor", "fitted_archive"),
]

if TYPE_CHECKING:
    from handlers.estimator import PM25Estimator
    from handlers.predictor import Predictor
    from training.dataset import DataSet
    from training.table import TrainingTable

SITES, SESSIONS, PHOTOS = 3, 10, 2
SIZE = (512, 384)  # width, height [px]
USUAL_PM25 = 25.0  # [ug m-3]
SEED = 1


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The data set; its photos are smaller than what the server takes."""
    from training.dataset import read_dataset
    from training.rendering import renderer

    folder = tmp_path_factory.mktemp("rendered") / "data"
    draw_site = renderer.draw_site

    def at_the_same_level(*arguments: Any) -> renderer.Site:
        return replace(draw_site(*arguments), median_pm25=USUAL_PM25)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renderer, "SIZES", (SIZE,))
        patch.setattr(renderer, "draw_site", at_the_same_level)
        renderer.render_dataset(folder, SITES, SESSIONS, PHOTOS, seed=3)
    return read_dataset(folder)


@pytest.fixture(scope="session")
def rendered_store(rendered: DataSet) -> Path:
    """A feature store that knows every photo of `rendered`, and the altered copies."""
    from features.extractor import ScientificFeatureExtractor
    from training.altered_features import altered_features
    from training.extraction import extract_features
    from training.feature_store import FeatureStore

    path = rendered.folder.parent / "features.db"
    with FeatureStore(path) as store:
        extractor = ScientificFeatureExtractor()
        extract_features(rendered.rows, store, extractor, progress=False)
        altered_features(rendered.rows, store, extractor, progress=False)
    return path


@pytest.fixture(scope="session")
def table(rendered: DataSet, rendered_store: Path) -> TrainingTable:
    """The rows of `rendered`, with their altered copies."""
    from features.extractor import ScientificFeatureExtractor
    from training.altered_features import altered_features
    from training.extraction import extract_features
    from training.feature_store import FeatureStore
    from training.table import training_table

    with FeatureStore(rendered_store) as store:
        extractor = ScientificFeatureExtractor()
        rows = extract_features(rendered.rows, store, extractor, progress=False)
        copies = altered_features(rendered.rows, store, extractor, progress=False)
    return training_table(rendered.rows, rows.matrix, rows.names, copies)


@pytest.fixture(scope="session")
def estimator(table: TrainingTable) -> PM25Estimator:
    """All sets of models, fitted on `table`."""
    from features.extractor import ScientificFeatureExtractor
    from training.fit import fit_estimator

    return fit_estimator(table, seed=SEED, feature_set=ScientificFeatureExtractor().feature_set)


@pytest.fixture(scope="session")
def fitted_artifact(
    rendered: DataSet,
    table: TrainingTable,
    estimator: PM25Estimator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The artefact folder of `estimator`, version 0.0.1; copy it before you change it."""
    from training.artifact_folder import write_artifact
    from training.dataset import dataset_hash

    folder = tmp_path_factory.mktemp("fitted") / "artifact"
    write_artifact(
        folder,
        estimator,
        table,
        version="0.0.1",
        dataset_hash=dataset_hash([rendered]),
        scores={},
        model_card="A small model for tests.",
    )
    return folder


@pytest.fixture(scope="session")
def predictor(fitted_artifact: Path) -> Predictor:
    """What answers with `fitted_artifact`."""
    from handlers.predictor import Predictor

    return Predictor.load(fitted_artifact)


@pytest.fixture(scope="session")
def fitted_archive(fitted_artifact: Path) -> Path:
    """`fitted_artifact` as an archive."""
    from training.package import build_archive

    return build_archive(fitted_artifact, "0.0.1", fitted_artifact.parent)
