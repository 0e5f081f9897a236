"""Where the milliseconds go: every stage is met, and their times are those of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stages import stage_times
from features.extractor import ScientificFeatureExtractor
from handlers.predictor import Predictor


def test_every_stage_of_an_answer_is_timed(
    predictor: Predictor, photo: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    times = stage_times(predictor, [path], rounds=2)
    families = {family.name for family in ScientificFeatureExtractor.families}
    assert families | {"decode", "light", "geometry", "quality", "applicability"} < times.keys()
    whole = times.pop("answer")
    assert sum(times.values()) == pytest.approx(whole)
    del times["everything else"]  # of so few rounds it may be less than nothing
    assert min(times.values()) > 0
