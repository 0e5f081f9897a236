"""The ablation compares what it says, on the folds of the scores, and a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.extractor import ScientificFeatureExtractor
from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from tests.drawn_answers import answers_to
from training import ablation, cross_validation, splits
from training.ablation import Configuration, ablate, configurations
from training.ablation_page import ablation_page
from training.cross_validation import HeldOut, cross_validate, side_by_side
from training.fit import DISTANCE, fit_estimator
from training.held_out import HeldOutAnswers
from training.scores import score_block
from training.splits import Fold
from training.table import TrainingTable

FAMILIES = {family.name: family.names for family in ScientificFeatureExtractor.families}
SETTINGS: dict[str, Any] = {"seed": 1, "feature_set": "", "rendered": None, "jobs": 1}
NAMED = {c.name: c for c in configurations(FAMILIES)}
Asked = list[HeldOut]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """All fits that are asked for; each is answered by a rule that needs no models."""
    fits: Asked = []

    def answer(*given: Any) -> HeldOutAnswers:
        fit = HeldOut(*given)
        fits.append(fit)
        known = np.isfinite(fit.table.X[fit.fold.test]).mean(axis=1)
        pm25 = fit.table.pm25[fit.fold.train].mean() * (1 + known + len(fit.table.names) / 1000)
        return answers_to(fit.table.take(fit.fold.test).photos, pm25)

    monkeypatch.setattr(cross_validation, "_held_out", answer)
    return fits


def test_every_family_is_taken_away_once_and_left_alone_once() -> None:
    full = set(NAMED["full"].columns)
    assert full == {n for names in FAMILIES.values() for n in names} | {
        *SUN_FEATURES,
        *WEATHER_FEATURES,
    }
    for family, names in FAMILIES.items():
        assert set(NAMED[f"without {family}"].columns) == full - set(names)
        assert set(NAMED[f"{family} alone"].columns) == {*names, *SUN_FEATURES}
        reads = bool(set(names) & set(DISTANCE))
        assert ("unseen_sites" in NAMED[f"without {family}"].splits) == reads
    assert full - set(NAMED["without weather"].columns) == set(WEATHER_FEATURES)
    assert len(NAMED) == len(configurations(FAMILIES)) == 7 + 2 * len(FAMILIES)


def test_what_is_taken_away_is_not_there_when_a_fold_is_fitted(
    table: TrainingTable, asked: Asked, tmp_path: Path
) -> None:
    copied = replace(table, copies=np.ones_like(table.copies))
    ablate(
        copied,
        [*NAMED.values()],
        **{**SETTINGS, "rendered": copied},
        kept=tmp_path / "kept.json",
    )
    numbers = iter(asked)
    for configuration in NAMED.values():
        for split in configuration.splits:
            for fold in ablation._judged_folds(split, copied):
                fit = next(numbers)
                assert fit.table.names == configuration.columns
                assert np.isfinite(fit.table.copies).any() == configuration.copies
                known = any(camera in set(copied.cameras) - {None} for camera in fit.table.cameras)
                assert known == configuration.cameras
                assert (fit.rendered is not None) == configuration.scenes
                assert fit.rendered is None or fit.rendered.names == configuration.columns
                assert np.array_equal(fit.fold.train, fold.train)
    assert next(numbers, None) is None


def test_what_is_fitted_is_what_the_published_scores_are_of(
    table: TrainingTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two real folds: the camera's photos by day have the same record both ways."""
    monkeypatch.setitem(
        cross_validation.SPLITS, "unseen_days", lambda rows: splits.unseen_days(rows)[:2]
    )
    for split in ("unseen_months", "unseen_sites", "random"):
        monkeypatch.setitem(cross_validation.SPLITS, split, lambda rows: [])
    photo = [name for name in table.names if name.startswith("far_")]
    monkeypatch.setattr(cross_validation, "variant_columns", lambda names: {"full": columns})
    columns = (*photo, *SUN_FEATURES, *WEATHER_FEATURES)
    published: Any = cross_validate(table, photo, seed=1, feature_set="", jobs=1)
    answers = published["unseen_days"]["full"]
    published_by_day: Any = score_block(answers.labels, answers.predictions)["per_site_daytime"]
    found = ablate(table, [Configuration("full", columns)], **SETTINGS, kept=tmp_path / "kept.json")
    by_day = found["scores"]["full"]["unseen_days"]["by_day"]
    assert by_day
    for site, record in by_day.items():
        assert record == published_by_day[site]


@pytest.mark.long
def test_models_that_are_not_asked_are_left_out_and_the_answers_stay(
    table: TrainingTable,
) -> None:
    """Every fourth photo of one site is held out, or all of it: as fitted, and as fitted whole."""
    names = [n for n in table.names if n.startswith("far_") or n in SUN_FEATURES]
    own = table.with_columns(names)
    own = replace(own, photos=tuple(replace(photo, session=photo.file) for photo in own.photos))
    camera_site = next(photo.site for photo in own.photos if photo.camera)
    rows = np.arange(len(own))
    here = np.array([photo.site == camera_site for photo in own.photos])
    some = here & (rows % 4 == 0)
    folds = {
        "unseen_days": [Fold(rows[~some], rows[some], "some")],
        "unseen_sites": [Fold(rows[~here], rows[here], "site")],
    }
    configuration = Configuration("far", tuple(names), ("unseen_days", "unseen_sites"))
    withheld = replace(configuration, cameras=False)
    fits = [
        *ablation._fits(configuration, own, own, folds, 1, ""),
        *ablation._fits(withheld, own, own, folds, 1, ""),
    ]
    days, sites, days_withheld, _ = side_by_side(fits, 1)
    whole = [
        fit_estimator(own.take(fold.train), seed=1, feature_set="", rendered=own)
        for (fold,) in folds.values()
    ]
    assert whole[0].knows(own.cameras[np.flatnonzero(here)[0]])
    X = own.X[some]
    assert np.array_equal(
        days.estimate, whole[0].estimate(X, [own.cameras[i] for i in rows[some]]).pm25
    )
    assert np.array_equal(days_withheld.estimate, whole[0].estimate(X, [None] * len(X)).pm25)
    assert np.array_equal(sites.estimate, whole[1].estimate(own.X[here], [None] * here.sum()).pm25)
    assert not np.isclose(days.estimate, days_withheld.estimate).any()
    assert np.array_equal(days.constant, days_withheld.constant)  # what both have to beat


def test_sites_are_judged_by_sessions_and_cameras_by_photos_of_the_day(
    table: TrainingTable, asked: Asked, tmp_path: Path
) -> None:
    fewer = table.take(np.flatnonzero(table.sessions != table.sessions[0]))
    thinned_site = table.photos[0].site
    found = ablate(fewer, [NAMED["full"]], **SETTINGS, kept=tmp_path / "kept.json")["scores"]
    own = found["full"]
    cameras = {photo.site for photo in table.photos if photo.camera}
    assert set(own["unseen_days"]["by_day"]) <= cameras
    assert not own["unseen_days"]["per_session"] and not own["unseen_sites"]["by_day"]
    # nine sessions are too few
    others = {photo.site for photo in table.photos} - {thinned_site}
    assert set(own["unseen_sites"]["per_session"]) == others
    assert set(own["random"]["per_session"]) == others


def test_a_run_that_was_stopped_goes_on_where_it_ended(
    table: TrainingTable, asked: Asked, tmp_path: Path
) -> None:
    compared = [NAMED[name] for name in ("full", "without weather", "sun alone")]
    whole = ablate(table, compared, **SETTINGS, kept=tmp_path / "whole.json")
    of_one = len(asked)
    asked.clear()

    def stopped(done: Any, total: int) -> Any:
        assert total == of_one
        for number, one in enumerate(done):
            if number == of_one - 1:
                raise KeyboardInterrupt
            yield one

    kept = tmp_path / "kept.json"
    with pytest.raises(KeyboardInterrupt):
        ablate(table, compared, **SETTINGS, kept=kept, progress=stopped)
    assert set(json.loads(kept.read_text())["scores"]) == {"full", "without weather"}
    asked.clear()
    assert ablate(table, compared, **SETTINGS, kept=kept) == whole
    assert asked and {fit.table.names for fit in asked} == {SUN_FEATURES}
    asked.clear()
    assert ablate(table, compared, **SETTINGS, kept=kept) == whole
    assert not asked


@pytest.mark.parametrize(
    "other",
    [
        lambda table: replace(table, pm25=table.pm25 + 1),
        lambda table: replace(table, copies=np.zeros_like(table.copies)),
        lambda table: replace(
            table, photos=(replace(table.photos[0], camera="moved"), *table.photos[1:])
        ),
    ],
)
def test_scores_of_other_data_are_not_kept(
    table: TrainingTable,
    asked: Asked,
    tmp_path: Path,
    other: Callable[[TrainingTable], TrainingTable],
) -> None:
    compared, kept = [NAMED["sun alone"]], tmp_path / "kept.json"
    first = ablate(table, compared, **SETTINGS, kept=kept)
    asked.clear()
    second = ablate(other(table), compared, **SETTINGS, kept=kept)
    assert asked
    assert second["made_of"] != first["made_of"]


def test_progress_tells_rate_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(ablation.told(["a", "b"], 4)) == ["a", "b"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("2 of 4 fits, ") and "a minute" in lines[1] and "left" in lines[1]


def record(mae: float, spearman: float | None, n: int = 12) -> dict[str, Any]:
    figures = {"mae": mae, "rmse": 2 * mae, "r2": 0.5, "spearman": spearman, "sd_y": 15.25}
    rest = {"baseline_mae": 12.0, "coverage_90": 0.9, "mean_width_90": 40.0}
    return {"n": n, **figures, **rest}


RESULT = {
    "about": {
        "data": {"one": 20},
        "data_hash": "d" * 64,
        "feature_set": "f" * 64,
        "seed": 25,
        "rendered": 400,
    },
    "scores": {
        "full": {
            "unseen_days": {"by_day": {"roof": record(6.0, 0.85)}, "per_session": {}},
            "unseen_sites": {
                "by_day": {},
                "per_session": {"roof": record(9.0, 0.6), "yard": record(20.0, None, 10)},
            },
            "random": {
                "by_day": {"roof": record(3.0, 0.95)},
                "per_session": {"roof": record(3.0, 0.9), "yard": record(4.0, 0.99)},
            },
        },
        "without haze": {
            "unseen_days": {"by_day": {"roof": record(7.24, 0.8)}, "per_session": {}},
            "unseen_sites": {
                "by_day": {},
                "per_session": {"roof": record(8.5, 0.62), "yard": record(25.0, -0.3)},
            },
        },
    },
}


def test_the_page_shows_each_figure_with_its_split_number_spread_and_difference() -> None:
    page = ablation_page(RESULT)
    assert "`unseen_days`, roof by day: n = 12 photos, SD of y 15.2" in page
    assert "| full | 6.0 |  | 12.0 |  | 0.50 |  | 0.85 |  | 0.90 | 40 |" in page
    assert "| without haze | 7.2 | +1.2 | 14.5 | +2.5 | 0.50 | +0.00 | 0.80 | −0.05 |" in page
    assert "| sessions n | 12 | 10 |  |" in page
    assert "| without haze | 0.62 (+0.02) | −0.30 | 0.16 (−0.44) |" in page
    assert "| constant | 12.0 | 12.0 | 12.0 |" in page
    assert "| full | roof, photos | `unseen_days` | 12 | 15.2 | 6.0 → 3.0 |" in page
    assert "| full | yard, sessions | `unseen_sites` | 10 | 15.2 | 20.0 → 4.0 |" in page
    assert "| full | roof, sessions" not in page  # known in one, unknown in the other
    assert "The data have nothing of the kind." in page  # no later months


def test_equal_scores_give_an_equal_page_that_is_well_formed() -> None:
    page = ablation_page(RESULT)
    assert page == ablation_page(json.loads(json.dumps(RESULT)))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert rows
    table: list[int] = []
    for line in page.splitlines():
        if line.startswith("|"):
            table.append(line.count("|"))
        else:
            assert len(set(table)) <= 1
            table.clear()
