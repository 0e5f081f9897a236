"""The card says what the run measured, and parts what is proven from what is assumed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from handlers.estimator import PM25Estimator
from tests.drawn_answers import answers
from tests.drawn_run import drawn_run
from training.dataset import DataSet
from training.held_out import HeldOutAnswers
from training.interval_card import coverage_table
from training.model_card import model_card, quality_table
from training.scores import score_block
from training.table import TrainingTable
from training.validation.coverage import LEVELS

Run = dict[str, dict[str, HeldOutAnswers]]


@pytest.fixture(scope="module")
def run() -> Run:
    return drawn_run(400)


@pytest.fixture(scope="module")
def scores(run: Run) -> dict[str, Any]:
    return {
        split: {
            variant: score_block(record.labels, record.predictions)
            for variant, record in variants.items()
        }
        for split, variants in run.items()
    }


@pytest.fixture(scope="module")
def card(
    rendered: DataSet,
    table: TrainingTable,
    estimator: PM25Estimator,
    run: Run,
    scores: dict[str, Any],
) -> str:
    return model_card("1.2.3", [rendered], table, estimator, scores, run, {"too_dark": 3}, 17)


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows_of(markdown: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|") and "---" not in line
    ]


def test_the_card_parts_what_is_guaranteed_from_what_is_modelled(
    card: str, estimator: PM25Estimator
) -> None:
    promise = section(card, "What is guaranteed and what is modelled")
    assert "**Guaranteed**" in promise and "**Modelled**" in promise
    assert estimator.fixed_view is not None
    table = estimator.fixed_view.conformal
    named = re.search(r"`fixed_view`: (\d+) sessions carry the guarantee at ([^;]+);", promise)
    assert named is not None and int(named[1]) == table.n_sessions
    effect = estimator.new_place.conformal.site_effect
    assert effect is not None and f"differ by {effect.sd:.2f} between places" in promise
    for level in LEVELS:
        assert (f"{level:.0%}".replace("%", " %") in named[2]) is table.guaranteed(level)


def test_coverage_stands_there_at_every_level_with_what_chance_leaves_open(
    card: str, run: Run
) -> None:
    head, *rows = rows_of(section(card, "What is guaranteed and what is modelled"))
    assert head[4:8] == ["50 %", "80 %", "90 %", "95 %"]
    record = run["unseen_days"]["full"]
    known = record.of(record.known_camera)
    (row,) = [row for row in rows if row[:2] == ["`unseen_days`", "known cameras, photos"]]
    assert int(row[2]) == len(known)
    for cell, level in zip(row[4:8], LEVELS, strict=True):
        lower, upper = known.interval(level)
        share = np.mean((lower <= known.pm25) & (known.pm25 <= upper))
        numbers = [float(number) for number in re.findall(r"\d\.\d\d", cell)]
        assert numbers[0] == pytest.approx(share, abs=0.005)
        assert numbers[1] <= numbers[0] <= numbers[2] and numbers[1] < numbers[2]
    assert {row[0] for row in rows} == {"`unseen_days`", "`unseen_sites`"}


def test_new_places_are_counted_by_session_and_once_more_without_converted_labels() -> None:
    record = answers(
        np.full(60, 30.0),
        np.where(np.arange(60) < 40, 30.0, 60.0),
        session=np.repeat(np.arange(12), 5).astype(np.str_),
        pm25_quality=np.where(np.arange(60) < 40, "B", "C"),
    )
    head, *rows = rows_of("\n".join(coverage_table({"unseen_sites": record})))
    by_name = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert by_name["no camera known, sessions"]["n"] == "12"
    assert by_name["no camera known, sessions"]["90 %"].startswith("0.67 (")
    assert by_name["the same without C"]["n"] == "8"
    assert by_name["the same without C"]["90 %"].startswith("1.00")


def test_too_few_sessions_have_a_share_and_no_interval() -> None:
    record = answers(np.full(8, 30.0), session=np.repeat(np.arange(4), 2).astype(np.str_))
    (_, row) = rows_of("\n".join(coverage_table({"unseen_sites": record})))
    assert row[2:8] == ["4", "4", "1.00", "1.00", "1.00", "1.00"]


def test_every_split_is_scored_with_and_without_converted_labels(scores: dict[str, Any]) -> None:
    head, *rows = rows_of("\n".join(quality_table(scores)))
    assert [row[1] for row in rows] == ["all", "without C"] * len(scores)
    shown = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}
    for split, variants in scores.items():
        for labels, block in (("all", "overall"), ("without C", "quality_a_b")):
            record = variants["full"][block]
            row = shown[f"`{split}`", labels]
            assert row["n"] == str(record["n"])
            assert row["MAE"] == ("" if record["mae"] is None else f"{record['mae']:.2f}")
    days = scores["unseen_days"]["full"]
    assert 0 < days["quality_a_b"]["n"] < days["overall"]["n"]


def test_equal_runs_have_equal_cards_without_dates(
    card: str,
    rendered: DataSet,
    table: TrainingTable,
    estimator: PM25Estimator,
    run: Run,
    scores: dict[str, Any],
) -> None:
    again = model_card("1.2.3", [rendered], table, estimator, scores, run, {"too_dark": 3}, 17)
    assert again == card
    assert not re.search(r"20\d\d-\d\d|/home|/work|/tmp", card)
    assert "1.2.3" in card and "3 too_dark" in card and "17 rendered scenes" in card
