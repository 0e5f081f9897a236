"""The learning curve: who calibrates and who is answered, on numbers with a known answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import learning_curve
from benchmarks.learning_curve import UnseenSite, spread_over_visits, unseen
from benchmarks.learning_curve_page import JSON, PAGE, PLOT, page, plot
from handlers.camera import SitePrior
from handlers.conformal import QUANTILE_LEVELS
from handlers.estimator import PM25Estimator
from training.camera_calibration import calibrate
from training.fit import fit_estimator
from training.table import TrainingTable

SEEDS = st.integers(0, 10_000)


def site_of(
    slope: float, level: float, *, visits: int = 24, photos: int = 4, noise: float = 0.15
) -> UnseenSite:
    """ln PM2.5 is level + slope · mu, with noise by visit; the last photo of each is by night."""
    rng = np.random.default_rng(1)
    sessions = np.repeat(np.arange(visits), photos)
    mu = rng.normal(3.0, 0.4, visits)[sessions] + rng.normal(0.0, 0.05, visits * photos)
    ln_pm25 = level + slope * mu + rng.normal(0.0, noise, visits)[sessions]
    return UnseenSite(
        name="somewhere",
        pm25=np.exp(ln_pm25),
        ln_pm25=ln_pm25,
        sessions=sessions,
        night=np.arange(visits * photos) % photos == photos - 1,
        mu=mu,
        distances=np.tile(np.array(QUANTILE_LEVELS) - 0.5, (visits * photos, 1)) * 4.0,
        prior=SitePrior(0.5, 0.2),
        constant=60.0,
        qualities="A",
    )


@given(SEEDS, st.integers(0, 60), st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_photos_come_from_as_many_visits_as_can_be(seed: int, n: int, visits: list[int]) -> None:
    sessions = np.array(visits)
    candidates = np.flatnonzero(sessions % 3 != 1)
    chosen = spread_over_visits(np.random.default_rng(seed), sessions, candidates, n)
    assert len(chosen) == len(set(chosen.tolist())) == min(n, len(candidates))
    assert set(chosen.tolist()) <= set(candidates.tolist())
    there = np.bincount(sessions[candidates], minlength=7)
    taken = np.bincount(sessions[chosen], minlength=7)
    left = there > taken
    if len(chosen) and left.any():  # nobody gives two more than one who has photos left
        assert taken.max() <= taken[left].min() + 1
    fewer = spread_over_visits(np.random.default_rng(seed), sessions, candidates, n // 2)
    np.testing.assert_array_equal(fewer, chosen[: n // 2])  # the more, the same and others


def test_what_calibrates_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of(1.0, 0.0)
    told: list[Any] = []
    photos = UnseenSite.photos

    def watched(self: UnseenSite, rows: Any) -> Any:
        told.append(rows)
        return photos(self, rows)

    monkeypatch.setattr(UnseenSite, "photos", watched)
    _, gain = learning_curve._one_draw(site, np.random.default_rng(0), 30, False)
    (chosen,) = told
    assert len(chosen) == 30
    assert not site.night[chosen].any()
    assert not set(site.sessions[chosen].tolist()) & set(gain)
    assert len(gain) == 12


def test_labels_bring_the_error_down_to_the_noise() -> None:
    records = learning_curve.learning_curve(site_of(2.0, -4.0), draws=30)
    assert [record["n"] for record in records] == list(learning_curve.COUNTS)
    errors = [record["mae"] for record in records]
    assert errors[:3] == sorted(errors[:3], reverse=True)
    assert max(errors[3:]) < errors[2]
    at_20 = records[3]
    assert at_20["scale"] == pytest.approx(2.0, abs=0.2)
    assert at_20["mae"] < 0.4 * at_20["constant_mae"]
    assert 0.0 < at_20["gain_low"] < at_20["gain"] < at_20["gain_high"]
    assert at_20["gain"] == pytest.approx(at_20["constant_mae"] - at_20["mae"], rel=0.15)
    assert at_20["coverage_90"] >= 0.85
    assert at_20["mean_width_90"] < 0.5 * records[0]["mean_width_90"]
    assert [record["visits"] for record in records] == [0.0, 5.0, 10.0, 12.0, 12.0]


def test_without_a_relation_the_constant_is_hardly_worse_or_better() -> None:
    unrelated = site_of(0.0, 3.0, noise=0.4)
    at_40 = learning_curve.learning_curve(unrelated, draws=30, counts=(40,))[0]
    assert at_40["scale"] < 0.25
    assert at_40["mae"] == pytest.approx(at_40["constant_mae"], rel=0.1)
    assert at_40["gain_low"] < 0.0 < at_40["gain_high"]


def test_by_night_the_usual_level_is_answered() -> None:
    site = site_of(2.0, -4.0)
    by_night = learning_curve.learning_curve(site, draws=10, counts=(40,), by_night=True)[0]
    by_day = learning_curve.learning_curve(site, draws=10, counts=(40,))[0]
    assert by_night["mae"] == pytest.approx(by_night["constant_mae"], rel=0.2)
    assert by_night["mean_width_90"] > 2 * by_day["mean_width_90"]


def test_the_same_seed_gives_the_same_curve() -> None:
    site = site_of(1.5, 0.0)
    once, again, other = (
        learning_curve.learning_curve(site, draws=5, seed=seed) for seed in (1, 1, 2)
    )
    assert once == again != other


def test_a_curve_is_what_a_server_would_answer(
    table: TrainingTable, estimator: PM25Estimator
) -> None:
    """Not on unseen photos, which is another question: by the same way as an answer."""
    site = UnseenSite.of(estimator, table, table, "all")
    rows = np.flatnonzero(~site.night)[::2]
    reference = calibrate("new", site.photos(rows), site.prior, content_hash="", feature_set="")
    served = estimator.with_camera(reference).estimate(table.X, ["new"] * len(table))
    mu, distances = reference.applied(site.mu, site.distances, site.night)
    np.testing.assert_allclose(np.exp(mu), served.pm25)
    np.testing.assert_allclose(np.exp(mu[:, np.newaxis] + distances), served.quantiles)


@pytest.mark.long
def test_every_site_with_visits_enough_is_answered_by_models_that_have_not_seen_it(
    table: TrainingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def watched(train: TrainingTable, **options: Any) -> PM25Estimator:
        trained.append({photo.site for photo in train.photos})
        return fit_estimator(train, **options)

    monkeypatch.setattr("benchmarks.learning_curve.fit_estimator", watched)
    assert list(unseen(table, None, seed=1, feature_set="f")) == []  # ten visits are too few
    monkeypatch.setattr(learning_curve, "LEAST_VISITS", 8)
    sites = list(unseen(table, None, seed=1, feature_set="f"))
    assert len(sites) == len(trained) == 3
    for site, seen in zip(sites, trained, strict=True):
        assert site.name not in seen
        assert len(seen) == 2


def result_of(*sites: UnseenSite) -> dict[str, Any]:
    return {
        "data": {"rendered": 3},
        "data_hash": "d" * 64,
        "feature_set": "f" * 64,
        "seed": 1,
        "draws": 4,
        "sites": [
            {
                "site": site.name,
                "qualities": site.qualities,
                "n_photos": 72,
                "n_visits": 24,
                "sd_y": 12.34,
                "prior": site.prior._asdict(),
                "by_day": learning_curve.learning_curve(site, draws=4),
                "n_photos_by_night": 24,
                "by_night": learning_curve.learning_curve(site, draws=4, by_night=True),
            }
            for site in sites
        ],
    }


def test_the_page_holds_every_number_and_the_plot_every_site() -> None:
    one, other = site_of(1.0, 0.0), replace(site_of(2.0, -3.0), name="a_harbour", qualities="BC")
    result = result_of(one, other)
    text = page(result)
    assert text.count("| photos | visits |") == 4  # by day and by night
    for site in result["sites"]:
        assert f"## {site['site']}" in text
        for record in (*site["by_day"], *site["by_night"]):
            assert f"| {record['n']} | {record['visits']:.1f} | {record['mae']:.1f} |" in text
    assert "published beside the photo (B) and converted (C)" in text
    assert "nan" not in text
    drawn = plot(result)
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "A Harbour, 24 visits" in drawn
    assert drawn.count("labelled photos</text>") == 2
    assert "nan" not in drawn


def test_the_committed_page_and_plot_are_those_of_the_committed_numbers() -> None:
    result = json.loads(JSON.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(result), "run: make learning-curve"
    assert PLOT.read_text(encoding="utf-8") == plot(result), "run: make learning-curve"
