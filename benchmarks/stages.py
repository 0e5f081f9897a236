"""Where the milliseconds go: every stage of an answer, measured in its place.

In its place, because the same code alone, on warm caches, is 2 to 8 times faster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median
from unittest.mock import patch

from benchmarks.cpu_time import timed
from benchmarks.planes import geometry_with_zones, light_with_planes
from features import deep, extractor, scene
from features.haze_network import HazeNetwork
from features.photo import Photo
from features.pipeline import FeaturePipeline
from features.quality import ImageQualityValidator
from handlers import predictor as answering
from handlers.bayesian import BayesianNeuralNetwork
from handlers.boosted_trees import BoostedTrees
from handlers.perceptron import Perceptron
from handlers.predictor import Predictor

MC_SAMPLES = "100 Monte Carlo samples"
NETWORK, DEEP_FEATURES = "network", deep.FAMILY.name


def stage_times(predictor: Predictor, photos: Sequence[Path], rounds: int) -> dict[str, float]:
    """CPU time of each stage [ms], medians over `photos` and `rounds`; `answer` is the whole."""
    spent: defaultdict[str, list[float]] = defaultdict(list)
    files = [photo.read_bytes() for photo in photos]
    with ExitStack() as stack:
        for stage in _stages(spent):
            stack.enter_context(stage)
        for data in files * rounds:
            timed(predictor.answer, spent["answer"])(data)
    times = {name: median(values) for name, values in spent.items()}
    return times | {"everything else": 2 * times["answer"] - sum(times.values())}


def _stages(spent: dict[str, list[float]]) -> Iterator[AbstractContextManager[object]]:
    """A patch around each stage, from the bytes to the verdict."""
    places: list[tuple[object, str, str]] = [
        (answering, "decode_photo", "decode"),
        (HazeNetwork, "see", NETWORK),
        (ImageQualityValidator, "validate", "quality"),
        (FeaturePipeline, "transform", "pipeline"),
        (BayesianNeuralNetwork, "predict", MC_SAMPLES),
        (BoostedTrees, "predict", "boosted trees, each of two"),
        (Perceptron, "predict", "perceptron"),
        (answering, "applicability", "applicability"),
    ]
    yield patch.object(Photo, "light", timed(light_with_planes, spent["light"]))
    yield patch.object(scene, "picture_geometry", timed(geometry_with_zones, spent["geometry"]))
    families = {name: timed(read, spent[name]) for name, read in extractor._READERS.items()}
    yield patch.dict(extractor._READERS, families)
    for owner, attribute, name in places:
        yield patch.object(owner, attribute, timed(getattr(owner, attribute), spent[name]))
