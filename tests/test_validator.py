"""The validator's record: every question asked of every set of records, as the questions answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataSetError
from tests.drawn_answers import answers
from tests.drawn_run import VARIANTS, drawn_run
from training.held_out import HeldOutAnswers, write_held_out
from training.validation.accuracy import accuracy
from training.validation.agreement import category_agreement
from training.validation.bootstrap import Resampling
from training.validation.coverage import coverage
from training.validation.plausibility import plausibility
from training.validation.residuals import points, residual_by_hour, sites, worst_cases
from training.validation.run_folder import validator_of
from training.validation.skill import skill
from training.validation.validator import ScientificValidator, report_json

RESAMPLES = 40
Run = dict[str, dict[str, HeldOutAnswers]]


def judged(run: Run) -> dict[str, Any]:
    return ScientificValidator(run, resamples=RESAMPLES).report()


@pytest.fixture(scope="module")
def run() -> Run:
    return drawn_run(400)


@pytest.fixture(scope="module")
def report(run: Run) -> dict[str, Any]:
    return judged(run)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_each_split_and_variant_is_judged(report: dict[str, Any], run: Run) -> None:
    assert {s: set(variants) for s, variants in report["splits"].items()} == {
        split: set(VARIANTS) for split in run
    }
    full = report["splits"]["unseen_days"]["full"]
    assert set(full) == {"photos", "sessions", "known_camera"}
    assert set(report["splits"]["unseen_sites"]["full"]) == {"photos", "sessions"}
    always = {"accuracy", "coverage", "probabilistic"}
    both = always | {"accuracy_by_quality", "coverage_by_group", "worst_group", "skill"}
    both |= {"sparsification", "risk_coverage", "agreement"}
    moving = {"temporal", "spatial", "plausibility", "sensor_targets"}
    moving |= {"residual_by_hour", "worst_cases"}
    assert set(full["photos"]) == both | moving
    assert set(full["known_camera"]) == both | moving | {"points"}
    assert set(full["sessions"]) == both | {"over_sites", "per_site", "points"}


def test_other_variants_and_the_control_are_no_results(report: dict[str, Any]) -> None:
    always = {"accuracy", "coverage", "probabilistic"}
    days, control = report["splits"]["unseen_days"], report["splits"]["random"]
    for block in (*days["photo_without_weather"].values(), *control["full"].values()):
        assert set(block) == always


QUESTIONS: dict[str, Callable[[HeldOutAnswers], Any]] = {
    "accuracy": lambda a: accuracy(a, Resampling(resamples=RESAMPLES)),
    "coverage": lambda a: coverage(a, Resampling(resamples=RESAMPLES)),
    "plausibility": plausibility,
    "residual_by_hour": residual_by_hour,
    "agreement": category_agreement,
    "points": points,
}
RECORDS: dict[str, Callable[[HeldOutAnswers], HeldOutAnswers]] = {
    "photos": lambda a: a,
    "sessions": lambda a: a.per_session(),
    "known_camera": lambda a: a.of(a.known_camera & (a.sun_elevation >= 5)),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("records", RECORDS)
def test_a_record_holds_what_its_question_answers(
    report: dict[str, Any], run: Run, records: str, question: str
) -> None:
    block = report["splits"]["unseen_days"]["full"][records]
    if question not in block:
        assert (records, question) in {
            ("photos", "points"),
            ("sessions", "plausibility"),
            ("sessions", "residual_by_hour"),
        }
        return
    own = QUESTIONS[question](RECORDS[records](run["unseen_days"]["full"]))
    ours, theirs = list(leaves(block[question])), list(leaves(own))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-5) if isinstance(b, float) else a == b


def test_sessions_are_compared_with_the_sessions_of_the_weather_alone(
    report: dict[str, Any], run: Run
) -> None:
    days = {variant: record.per_session() for variant, record in run["unseen_days"].items()}
    weather = "weather_and_sun_without_photo"
    own = skill(days["full"], days[weather], Resampling(resamples=RESAMPLES))[weather]
    ours = report["splits"]["unseen_days"]["full"]["sessions"]["skill"][weather]
    assert own is not None
    assert ours["n"] == len(days["full"])
    assert ours["rmse"]["skill"] == pytest.approx(own["rmse"]["skill"], rel=1e-5)


def test_intervals_over_sites_are_wider_than_over_sessions(report: dict[str, Any]) -> None:
    """Errors of drawn sites share nothing, yet their number is far smaller."""
    block = report["splits"]["unseen_sites"]["full"]["sessions"]
    by_session = block["accuracy"]["intervals"]["mae"]
    by_site = block["over_sites"]["accuracy"]["intervals"]["mae"]
    assert by_site[1] - by_site[0] > by_session[1] - by_session[0]


def test_the_record_is_json_and_the_same_each_time(report: dict[str, Any], run: Run) -> None:
    text = report_json(report)
    assert json.loads(text) == report
    assert not any(word in text for word in ("NaN", "Infinity"))
    assert report_json(judged(run)) == text
    assert max(len(line) for line in text.splitlines()) > 200, "lists stand in one line"


def test_names_keep_their_letters_in_the_file() -> None:
    run = drawn_run(60)
    odd = 'a [b\n   c]  "d"\\ é'
    for variants in run.values():
        for variant, record in variants.items():
            variants[variant] = replace(record, site=np.full(len(record), odd))
    report = judged(run)
    assert list(json.loads(report_json(report))["sites"]) == [odd]


def test_positions_are_published_to_a_tenth_of_a_degree(report: dict[str, Any]) -> None:
    assert report["sites"]["milan"]["lat"] == 45.5  # drawn at 45.4723
    assert report["sites"]["milan"]["lon"] == 9.2
    assert "45.47" not in report_json(report)
    for site in report["sites"].values():
        assert round(site["lat"], 1) == site["lat"] and round(site["lon"], 1) == site["lon"]


@pytest.mark.parametrize("missing", ["unseen_days", "unseen_months", "unseen_sites", "random"])
def test_one_split_may_be_missing(missing: str) -> None:
    run = drawn_run(120)
    del run[missing]
    assert set(judged(run)["splits"]) == set(run)


def test_without_answers_from_the_weather_there_is_no_such_skill() -> None:
    run = {split: {"full": variants["full"]} for split, variants in drawn_run(120).items()}
    block = judged(run)["splits"]["unseen_days"]["full"]["photos"]
    assert block["skill"]["weather_and_sun_without_photo"] is None
    assert block["skill"]["training_median"]["n"] == block["accuracy"]["n"]


def test_nights_alone_have_no_known_camera_by_day() -> None:
    run = {
        split: {
            variant: replace(record, sun_elevation=np.full(len(record), -20.0))
            for variant, record in variants.items()
        }
        for split, variants in drawn_run(120).items()
    }
    report = judged(run)
    assert all("known_camera" not in v["full"] for v in report["splits"].values())
    assert (
        "night"
        in report["splits"]["unseen_days"]["full"]["photos"]["coverage_by_group"]["daylight"]
    )


def test_no_answers_give_an_empty_record() -> None:
    empty = judged({})
    assert empty["splits"] == {} and empty["sites"] == {}


errors = st.lists(st.floats(-100, 100), min_size=1, max_size=25)


@given(errors, st.integers(1, 6), st.integers(1, 5))
def test_the_worst_cases_are_the_largest_errors_of_different_sessions(
    residuals: list[float], n_sessions: int, n: int
) -> None:
    pm25 = np.full(len(residuals), 200.0)
    session = np.array([str(i % n_sessions) for i in range(len(residuals))])
    record = answers(pm25, pm25 + residuals, session=session)
    cases = worst_cases(record, n)
    largest: dict[str, float] = {}
    for name, residual in zip(session, record.estimate - pm25, strict=True):
        largest[name] = max(largest.get(name, 0.0), abs(residual))
    assert [abs(case["residual"]) for case in cases] == sorted(largest.values(), reverse=True)[:n]
    assert len({case["session"] for case in cases}) == len(cases)
    for case in cases:
        assert case["inside"] == (case["lower"] <= case["pm25"] <= case["upper"])


def test_the_order_of_files_does_not_choose_among_equal_errors() -> None:
    record = answers(np.full(6, 20.0), np.full(6, 25.0), session=np.array(list("aabbcc")))
    backwards = record.of(np.arange(6)[::-1])
    assert worst_cases(record, 2) == worst_cases(backwards, 2)


def test_residuals_by_hour_leave_out_photos_without_a_time() -> None:
    record = answers([10.0, 20.0, 30.0, 40.0], [11.0, 23.0, 27.0, 99.0])
    noon = record.captured_at[0]
    record = replace(record, captured_at=(noon, noon, record.captured_at[1], None))
    assert residual_by_hour(record) == {
        "hour": [12, 13],
        "n": [2, 1],
        "n_sessions": [1, 1],
        "median": pytest.approx([2.0, -3.0]),
        "lower": pytest.approx([1.2, -3.0]),
        "upper": pytest.approx([2.8, -3.0]),
    }


def test_a_site_of_unknown_position_is_none() -> None:
    (site,) = sites(answers([10.0], lat=np.nan)).values()
    assert site == {"n": 1, "n_sessions": 1, "lat": None, "lon": -75.6}


# ---- the folder of a run


def test_a_run_is_read_with_its_version(tmp_path: Path) -> None:
    run = drawn_run(60)
    write_held_out(tmp_path / "held_out", run)
    assert validator_of(tmp_path).model_version is None
    (tmp_path / "artifact").mkdir()
    manifest = tmp_path / "artifact" / "manifest.json"
    manifest.write_text('{"version": "1.2.0", "dataset_hash": "abc"}')
    validator = validator_of(tmp_path)
    assert (validator.model_version, validator.dataset_hash) == ("1.2.0", "abc")
    assert {s: set(v) for s, v in validator.answers.items()} == {s: set(v) for s, v in run.items()}


@pytest.mark.parametrize("text", ["", "[]", '{"version": "1.2.0"}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    write_held_out(tmp_path / "held_out", drawn_run(30))
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "manifest.json").write_text(text)
    with pytest.raises(DataSetError, match=r"manifest\.json"):
        validator_of(tmp_path)


def test_a_folder_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no answers"):
        validator_of(tmp_path)


def test_the_example_of_the_how_to_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "validate-a-model.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    (folder,) = re.findall(r'Path\("(.+?)"\)', example)
    write_held_out(tmp_path / folder, {"unseen_days": drawn_run(40)["unseen_days"]})
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert 0 <= float(capsys.readouterr().out) <= 1


def test_the_how_to_names_every_question(report: dict[str, Any]) -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "validate-a-model.md"
    text = page.read_text("utf-8")
    blocks = report["splits"]["unseen_days"]["full"]
    for name in {*blocks, *(question for block in blocks.values() for question in block)}:
        assert f"`{name}`" in text, name
