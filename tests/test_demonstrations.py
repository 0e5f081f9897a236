"""Steps of known meaning: how much each says PM2.5 rises, from what to what, and how heavily."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.pipeline import FeaturePipeline
from tests.drawn_tables import drawn_table
from training import demonstrations as module
from training.alterations import ALTERATIONS
from training.demonstrations import PM25_OF_OPTICAL_DEPTH, Demonstrations, demonstrations
from training.selection import fit_pipeline
from training.table import TrainingTable

NAMES = ("veil", "edges", "sun_elevation_deg", "wind_speed_ms")
N_HAZE = sum(change.is_haze for change in ALTERATIONS)
DEEPEST = max(range(len(ALTERATIONS)), key=lambda k: ALTERATIONS[k].optical_depth)


def drawn(n: int = 12, seed: int = 0, *, copied: int | None = None) -> TrainingTable:
    """Visits of three photos, each fourth by a fixed camera; copies of the first `copied`."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES)))
    copies = np.full((n, len(ALTERATIONS), len(NAMES)), np.nan)
    copied = n if copied is None else copied
    copies[:copied, :, :2] = rng.normal(size=(copied, len(ALTERATIONS), 2))
    sessions = [i // 3 for i in range(n)]
    return drawn_table(
        X,
        NAMES,
        pm25=rng.uniform(2.0, 200.0, n // 3 + 1)[sessions],
        sessions=sessions,
        cameras=["south" if session % 4 == 3 else None for session in sessions],
        copies=copies,
    )


def shown(
    table: TrainingTable, *, same_air: bool = False, weights: np.ndarray | None = None
) -> tuple[Demonstrations, FeaturePipeline, np.ndarray]:
    weights = np.ones(len(table)) if weights is None else weights
    pipeline = fit_pipeline(table, weights, only=NAMES)
    assert pipeline.selected_names == NAMES
    return demonstrations(table, pipeline, weights, same_air=same_air), pipeline, weights


@given(st.integers(0, 1000))
def test_the_rises_on_the_way_add_up_to_the_whole(seed: int) -> None:
    table = drawn(seed=seed)
    steps, _, _ = shown(table)
    for row in range(len(table)):
        sum_of_rises = 0.0
        for k, change in enumerate(ALTERATIONS):
            if not change.is_haze:
                continue
            step = (steps.origin == row) & (steps.kind == k)
            assert step.sum() == 1
            sum_of_rises += float(steps.rise[step][0])
            assert steps.rise[step][0] > 0
            assert steps.total[step][0] == pytest.approx(sum_of_rises)
            pm25 = table.pm25[row]
            with_haze = pm25 + PM25_OF_OPTICAL_DEPTH * change.optical_depth
            assert sum_of_rises == pytest.approx(np.log(with_haze / pm25))


def test_a_nuisance_rises_nothing() -> None:
    steps, _, _ = shown(drawn())
    nuisances = [k for k, change in enumerate(ALTERATIONS) if not change.is_haze]
    chosen = np.isin(steps.kind, nuisances)
    assert chosen.sum() == 12 * len(nuisances)
    assert not steps.rise[chosen].any() and not steps.total[chosen].any()


def test_clean_air_rises_more_than_hazy_air() -> None:
    table = drawn()
    steps, _, _ = shown(table)
    deepest = steps.of(steps.kind == DEEPEST)
    order = np.argsort(table.pm25[deepest.origin])
    assert np.all(np.diff(deepest.total[order]) <= 0)


def test_a_step_goes_from_the_copy_before_to_the_copy_itself() -> None:
    table = drawn()
    steps, pipeline, _ = shown(table)
    names = [change.name for change in ALTERATIONS]
    for i in range(len(steps)):
        row, change = steps.origin[i], ALTERATIONS[steps.kind[i]]
        own, copies = table.X[row], table.copied_rows(np.array([row]))[0]
        before = copies[names.index(change.before)] if change.before else own
        np.testing.assert_array_equal(steps.before[i], pipeline.transform(before[np.newaxis])[0])
        np.testing.assert_array_equal(
            steps.after[i], pipeline.transform(copies[steps.kind[i]][np.newaxis])[0]
        )


def test_sun_and_weather_do_not_change_on_the_way() -> None:
    steps, _, _ = shown(drawn())
    np.testing.assert_array_equal(steps.before[:, 2:], steps.after[:, 2:])
    assert np.all(np.any(steps.before[:, :2] != steps.after[:, :2], axis=1))


def test_weights_add_up_to_what_is_said_of_them() -> None:
    rng = np.random.default_rng(1)
    table = drawn(copied=7)
    steps, _, weights = shown(table, same_air=True, weights=rng.uniform(0.1, 3.0, 12))
    total = weights.sum()
    is_haze = np.array([change.is_haze for change in ALTERATIONS])
    haze = (steps.kind >= 0) & is_haze[steps.kind]
    nuisance = (steps.kind >= 0) & ~is_haze[steps.kind]
    same_air = steps.kind == -1
    assert steps.weights[nuisance].sum() == pytest.approx(module.NUISANCE * total)
    assert steps.weights[same_air].sum() == pytest.approx(module.SAME_AIR * total)
    # Those of haze are for errors relative to a step, of which a step of 0.5 is the unit.
    relative = 0.0
    for k in np.flatnonzero(is_haze):
        of_kind = steps.of(steps.kind == k)
        relative += float(of_kind.weights.sum() * (of_kind.rise.mean() / 0.5) ** 2)
    assert relative == pytest.approx(module.HAZE * total)
    # Within a kind, photos weigh as they do as rows.
    for k in (-1, *range(len(ALTERATIONS))):
        of_kind = steps.of(steps.kind == k)
        ratio = of_kind.weights / weights[of_kind.origin]
        assert ratio == pytest.approx(ratio[0])
    assert haze.any() and np.all(steps.weights > 0)


def test_the_same_air_is_a_visit_about_its_mean() -> None:
    table = drawn(24)
    steps, pipeline, _ = shown(table, same_air=True)
    same = steps.of(steps.kind == -1)
    handheld = [i for i, camera in enumerate(table.cameras) if camera is None]
    assert same.origin.tolist() == handheld and len(handheld) < len(table)
    Z = pipeline.transform(table.X)
    for i, row in enumerate(same.origin):
        visit = np.flatnonzero(table.sessions == table.sessions[row])
        np.testing.assert_allclose(same.before[i], Z[visit].mean(axis=0))
        np.testing.assert_array_equal(same.after[i], Z[row])
    assert not same.rise.any() and not same.total.any()


def test_a_photo_alone_and_a_fixed_camera_show_no_same_air() -> None:
    table = drawn(12)
    alone = table.take(np.arange(0, 12, 3))
    assert not (shown(alone, same_air=True)[0].kind == -1).any()
    fixed = table.take(np.array([9, 10, 11]))
    assert set(fixed.cameras) == {"south"}
    assert not (shown(fixed, same_air=True)[0].kind == -1).any()
    assert not (shown(table, same_air=False)[0].kind == -1).any()


@pytest.mark.parametrize("same_air", [False, True])
def test_without_copies_there_are_no_steps_but_those_of_the_same_air(same_air: bool) -> None:
    steps, _, _ = shown(drawn(copied=0), same_air=same_air)
    assert len(steps) == (9 if same_air else 0)
    assert steps.before.shape == steps.after.shape == (len(steps), len(NAMES))
    assert set(steps.kind) <= {-1}


def test_only_photos_with_copies_show_haze() -> None:
    steps, _, _ = shown(drawn(copied=5))
    assert sorted(set(steps.origin)) == [0, 1, 2, 3, 4]
    assert len(steps) == 5 * len(ALTERATIONS)


def test_steps_are_chosen_and_renumbered_together() -> None:
    steps, _, _ = shown(drawn())
    chosen = steps.kind == 0
    few = steps.of(chosen).renumbered(np.arange(12) + 100)
    assert few.origin.tolist() == (steps.origin[chosen] + 100).tolist()
    for name in ("before", "after", "rise", "total", "weights", "kind"):
        np.testing.assert_array_equal(getattr(few, name), getattr(steps, name)[chosen])
