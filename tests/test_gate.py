"""A candidate passes the gate only with every stated figure inside its stated limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.drawn_answers import answers
from training.held_out import HAZE_DEPTHS, HeldOutAnswers
from training.validation.gate import Limit, Verdict, judge, read_limits
from training.validation.validator import ScientificValidator

Run = dict[str, dict[str, HeldOutAnswers]]

numbers = st.floats(-1e3, 1e3)


def limit(**bounds: Any) -> Limit:
    figure = bounds.pop("figure", ("days", "mae"))
    return Limit("check", figure, guards="g", reason="r", source="s", **bounds)


def passes(report: dict[str, Any], against: dict[str, Any] | None = None, **bounds: Any) -> bool:
    return judge(report, against, [limit(**bounds)]).passed


def mae(value: Any) -> dict[str, Any]:
    return {"days": {"mae": value}}


@given(numbers, numbers)
def test_bounds_include_themselves(value: float, bound: float) -> None:
    assert passes(mae(value), at_least=bound) is (value >= bound)
    assert passes(mae(value), at_most=bound) is (value <= bound)
    both = passes(mae(value), at_least=bound, at_most=bound)
    assert both is (value == bound)


@given(numbers, numbers, numbers)
def test_an_interval_must_hold_its_number(lower: float, upper: float, number: float) -> None:
    assert passes(mae([lower, upper]), contains=number) is (lower <= number <= upper)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.5, 2.0))
def test_a_figure_may_bound_another(value: float, other: float, factor: float) -> None:
    report = {"days": {"mae": value, "constant": other}}
    verdict = passes(report, at_most_of=("days", "constant"), factor=factor)
    assert verdict is (value <= factor * other)


@given(numbers, numbers, st.floats(0, 10))
def test_a_candidate_may_be_worse_by_the_margin(new: float, old: float, margin: float) -> None:
    assert passes(mae(new), mae(old), may_rise_by=margin) is (new <= old + margin)
    assert passes(mae(new), mae(old), may_fall_by=margin) is (new >= old - margin)
    assert passes(mae(new), mae(old), may_rise_share=margin) is (new <= old * (1 + margin))


@pytest.mark.parametrize(
    "report",
    [{}, {"days": None}, {"days": 3.0}, mae(None), mae(math.nan), mae(math.inf), mae("4"), mae([])],
)
@pytest.mark.parametrize(
    "bounds",
    [
        {"at_most": 1e9},
        {"at_least": -1e9},
        {"contains": 0.0},
        {"at_most_of": ("days", "mae")},
        {"may_rise_by": 1e9},
        {"may_rise_share": 1e9},
    ],
)
def test_a_missing_figure_fails_and_says_so(report: dict[str, Any], bounds: dict[str, Any]) -> None:
    (check,) = judge(report, mae(1.0), [limit(**bounds)]).checks
    assert not check.passed
    assert check.measured is None
    assert "no figure at days › mae" in check.detail


def test_a_missing_figure_to_compare_with_fails() -> None:
    (check,) = judge(mae(1.0), {}, [limit(may_rise_by=1.0)]).checks
    assert not check.passed and check.measured == 1.0 and "to compare with" in check.detail
    assert not passes(mae(1.0), at_most_of=("days", "constant"))


def test_an_interval_is_no_number_and_a_number_no_interval() -> None:
    assert not passes(mae([1.0, 2.0]), at_most=5.0)
    assert not passes(mae(0.9), contains=0.9)


def test_margins_are_left_out_without_another_report_and_other_limits_stay() -> None:
    both = [limit(at_most=5.0), limit(may_rise_by=1.0)]
    assert len(judge(mae(4.0), None, both).checks) == 1
    assert len(judge(mae(4.0), mae(1.0), both).checks) == 2
    assert judge(mae(4.0), None, both).passed and not judge(mae(4.0), mae(1.0), both).passed


def test_nothing_checked_is_nothing_passed() -> None:
    assert not Verdict(()).passed
    assert not judge(mae(1.0), None, [limit(may_rise_by=1.0)]).passed


def test_the_verdict_lists_every_check() -> None:
    limits = [limit(at_least=5.0), limit(at_most=9.0), limit(contains=0.9, figure=("days", "ci"))]
    verdict = judge({"days": {"mae": 3.0, "ci": [0.8, 0.95]}}, None, limits)
    assert [check.passed for check in verdict.checks] == [False, True, True]
    assert verdict.failed == verdict.checks[:1]
    assert verdict.passed is False
    assert [check.measured for check in verdict.checks] == [3.0, 3.0, (0.8, 0.95)]
    assert all(check.limit and check.reason for check in verdict.checks)


LIMIT = '[[limit]]\nname = "a"\nfigure = ["b"]\nguards = "c"\nreason = "d"\nsource = "e"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        LIMIT,
        LIMIT + "at_most = 1.0\nat_best = 2.0\n",
        LIMIT.replace('"d"', '""') + "at_most = 1.0\n",
        LIMIT.replace('source = "e"\n', "at_most = 1.0\n"),
    ],
    ids=["empty", "no bound", "unknown field", "no reason", "no source"],
)
def test_a_limit_without_its_reason_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"limits\.toml|Limit 'a'"):
        read_limits(path)


def test_a_limit_reads_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(LIMIT + "at_most = 1.0\n")
    assert read_limits(path) == (Limit("a", ("b",), "c", "d", "e", at_most=1.0),)


@pytest.fixture(scope="module")
def run() -> Run:
    """A camera of 40 days and three places of 10, whose intervals hold exactly at every level.

    Errors are even between ± 10/9 of the reach of the 90 % interval, the same within a session.
    """
    sessions = 70
    site = np.repeat(["camera", "hill", "park", "port"], [40, 10, 10, 10])
    even = [np.random.default_rng(n).permutation(np.arange(n) * 2 + 1) / n - 1 for n in (40, 30)]
    error = np.concatenate(even) / 0.9
    pm25 = np.random.default_rng(1).uniform(20, 120, sessions)
    photos = np.repeat(np.arange(sessions), 2)
    camera = site[photos] == "camera"

    def record(scale: float, **given: Any) -> HeldOutAnswers:
        estimate = pm25 + 8 * scale * error
        return answers(
            pm25[photos],
            estimate[photos],
            half_width=8.0 * scale,
            site=site[photos],
            session=photos.astype(np.str_),
            hazed=estimate[photos, None] * (1 + np.array(HAZE_DEPTHS)),
            **given,
        )

    def split(known: NDArray[np.bool_]) -> dict[str, HeldOutAnswers]:
        return {
            "full": record(1.0, known_camera=known),
            "weather_and_sun_without_photo": record(2.0, known_camera=known),
        }

    months = {variant: rows.of(camera) for variant, rows in split(camera).items()}
    return {
        "unseen_days": split(camera),
        "unseen_months": months,
        "unseen_sites": split(np.zeros(len(photos), dtype=bool)),
    }


def report_of(run: Run) -> dict[str, Any]:
    return ScientificValidator(run, resamples=100).report()


def failed(run: Run, against: Run | None = None) -> set[str]:
    """The names of the checks that fail; no figure may be missing."""
    verdict = judge(report_of(run), None if against is None else report_of(against))
    asked = [limit for limit in read_limits() if against is not None or not limit.is_margin]
    assert len(verdict.checks) == len(asked)
    assert not any(check.detail for check in verdict.checks), verdict.failed
    return {check.name for check in verdict.failed}


def changed(run: Run, **columns: Callable[[HeldOutAnswers], Any]) -> Run:
    """The run with columns of every `full` record made anew."""
    return {
        split: variants
        | {
            "full": replace(
                variants["full"], **{name: make(variants["full"]) for name, make in columns.items()}
            )
        }
        for split, variants in run.items()
    }


def scaled(answers: HeldOutAnswers, factor: float) -> NDArray[np.float64]:
    """Quantiles `factor` times as far from the estimate, none below 0."""
    estimate = answers.estimate[:, None]
    return np.maximum(estimate + factor * (answers.quantiles - estimate), 0.0)


def test_a_sound_run_passes_every_limit(run: Run) -> None:
    assert failed(run) == set()
    assert failed(run, against=run) == set()


def test_narrow_intervals_fail_on_coverage_and_wide_ones_too(run: Run) -> None:
    narrow = failed(changed(run, quantiles=lambda a: scaled(a, 0.4)))
    wide = failed(changed(run, quantiles=lambda a: scaled(a, 4.0)))
    for missed in (narrow, wide):
        assert {name for name in missed if name.startswith("coverage")} == missed
        assert len(missed) == 6


def test_one_impossible_answer_fails(run: Run) -> None:
    def one_negative(answers: HeldOutAnswers) -> NDArray[np.float64]:
        quantiles = answers.quantiles.copy()
        quantiles[0, 1] = -0.1
        return quantiles

    assert failed(changed(run, quantiles=one_negative)) >= {
        "implausible answers on unseen days",
        "implausible answers at unseen sites",
    }


def test_haze_that_lowers_the_estimate_fails(run: Run) -> None:
    def lowering(answers: HeldOutAnswers) -> NDArray[np.float64]:
        return np.asarray(answers.estimate[:, None] * (1 - 0.1 * np.array(HAZE_DEPTHS)))

    lowered = failed(changed(run, hazed=lowering))
    assert lowered and all("haze" in name for name in lowered)


def test_an_estimate_that_reads_no_photo_fails_on_skill(run: Run) -> None:
    blind = failed(changed(run, estimate=lambda a: a.constant))
    assert blind >= {
        "better than the camera's usual value on unseen days",
        "better than weather and sun alone on unseen days",
    }


def test_a_worse_candidate_fails_against_production_and_a_better_one_does_not(run: Run) -> None:
    def nearer(run: HeldOutAnswers) -> NDArray[np.float64]:
        return np.asarray(run.pm25 + 0.8 * (run.estimate - run.pm25))

    better = changed(run, estimate=nearer)
    assert not any("against" in name for name in failed(better, against=run))
    assert failed(run, against=better) >= {
        "error on unseen days against production",
        "error at unseen sites against production",
    }


def test_every_limit_has_a_name_of_its_own() -> None:
    names = [limit.name for limit in read_limits()]
    assert len(names) == len(set(names))
