"""Scoring an archive: the JSON contract, who is counted, and what the archive gets to know."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import pytest

from features.errors import ArtifactError, PhotoError
from features.metadata import ALLOWED_FIELDS, parse_metadata
from handlers.predictor import Predictor
from training import evaluate as evaluation
from training.dataset import REQUIRED_COLUMNS, DataSet, read_dataset
from training.evaluate import WITHHOLDABLE, evaluate, request_metadata
from training.scores import FIGURES, is_daytime

CONTRACT = {
    *("archive", "dataset", "n_photos", "n_unlabelled", "n_answered", "n_refused"),
    *("refused_by_reason", "n_seen_in_training"),
    *("overall", "daytime", "per_site", "per_session"),
}
BESIDE = {"without", "per_site_daytime", "quality_a_b"}


@pytest.fixture(scope="module")
def mixed(rendered: DataSet, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Eight rendered photos, one of them encoded anew and two unlabelled, and three no photos."""
    folder = tmp_path_factory.mktemp("mixed")
    with (rendered.folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::8]
    for number, row in enumerate(rows):
        name = f"{number}.jpg"
        shutil.copyfile(rendered.folder / row["file"], folder / name)
        row["file"] = name
    pixels = cv2.imread(str(folder / "0.jpg"))
    cv2.imwrite(str(folder / "0.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])
    rows[3]["pm25"] = rows[4]["pm25"] = ""
    cv2.imwrite(str(folder / "small.png"), pixels[:200, :300])
    (folder / "text.jpg").write_text("no photo")
    (folder / "more.jpg").write_text("no photo either")
    rows += [{**rows[0], "file": name} for name in ("small.png", "text.jpg")]
    rows += [{**rows[3], "file": "more.jpg"}]
    with (folder / "labels.csv").open("w", newline="") as file:
        labels = csv.DictWriter(file, REQUIRED_COLUMNS)
        labels.writeheader()
        labels.writerows(rows)
    shutil.copyfile(rendered.folder / "dataset.toml", folder / "dataset.toml")
    return read_dataset(folder)


@pytest.fixture(scope="module")
def scores(fitted_archive: Path, mixed: DataSet) -> dict[str, Any]:
    return evaluate(fitted_archive, [mixed])


def test_the_keys_are_the_contract(scores: dict[str, Any]) -> None:
    assert set(scores) == CONTRACT | BESIDE
    records = [scores["overall"], scores["daytime"], scores["per_session"], scores["quality_a_b"]]
    records += [*scores["per_site"].values(), *scores["per_site_daytime"].values()]
    for record in records:
        assert list(record) == ["n", *FIGURES]
    json.dumps(scores, allow_nan=False)


def test_everyone_is_counted_once(scores: dict[str, Any], mixed: DataSet) -> None:
    assert scores["archive"] == "pm25-0.0.1.mar"
    assert scores["dataset"] == mixed.name
    assert scores["n_photos"] == len(mixed.rows) == 11
    assert scores["n_answered"] == 8
    assert scores["n_refused"] == 3 == sum(scores["refused_by_reason"].values())
    assert len(scores["refused_by_reason"]) == 2  # too small; no format that is known, twice
    assert sorted(scores["refused_by_reason"].values()) == [1, 2]
    assert scores["n_unlabelled"] == 3  # refused ones without a label among them
    assert scores["overall"]["n"] == 6  # answered and labelled
    assert sum(record["n"] for record in scores["per_site"].values()) == 6
    assert scores["n_seen_in_training"] == 7  # one was encoded anew
    assert scores["without"] == []


def test_the_figures_are_those_of_the_predictor_s_own_answers(
    scores: dict[str, Any], mixed: DataSet, predictor: Predictor
) -> None:
    y, estimates, inside, refused = [], [], [], []
    for row in mixed.rows:
        try:
            answer: Any = predictor.answer(
                row.path.read_bytes(), request_metadata(row.metadata), min_side=row.min_side
            )
        except PhotoError as error:
            refused.append(error.code)
            continue
        if row.pm25 is not None:
            y.append(row.pm25)
            estimates.append(answer["pm25_estimate"])
            inside.append(answer["interval"]["lower"] <= row.pm25 <= answer["interval"]["upper"])
    error = np.array(estimates) - np.array(y)
    assert scores["overall"]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-6)
    assert scores["overall"]["rmse"] == pytest.approx(math.sqrt((error**2).mean()), rel=1e-6)
    assert scores["overall"]["bias"] == pytest.approx(error.mean(), rel=1e-6)
    assert scores["overall"]["coverage_90"] == pytest.approx(np.mean(inside))
    assert scores["refused_by_reason"] == {code: refused.count(code) for code in sorted(refused)}
    by_day = sum(is_daytime(row) for row in mixed.rows if row.pm25 and row.file[0].isdigit())
    assert scores["daytime"]["n"] == by_day


def test_what_is_no_archive_is_an_error(mixed: DataSet, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        evaluate(tmp_path / "none.mar", [mixed])
    assert caught.value.code == "no_archive"
    (tmp_path / "text.mar").write_text("no zip")
    with pytest.raises(ArtifactError) as caught:
        evaluate(tmp_path / "text.mar", [mixed])
    assert caught.value.code == "broken_archive"


class ScriptedArchive:
    """Answers in order with `replies`, and keeps what it was asked."""

    replies: tuple[Mapping[str, Any], ...] = ()
    asked: tuple[Mapping[str, Any], ...] = ()
    ready: Mapping[str, Any] = {
        "training_photos": [],
        "baseline_pm25": 25.0,
        "baseline_by_camera": {"south": 15.0},
    }

    def __init__(self, archive: Path) -> None:
        self.archive = archive

    def __enter__(self) -> ScriptedArchive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def answers(self, requests: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, Any]]:
        type(self).asked = tuple(requests)
        return iter(self.replies)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedArchive]:
    class Own(ScriptedArchive):
        pass

    monkeypatch.setattr(evaluation, "RunningArchive", Own)
    return Own


def answer(estimate: float, lower: float, upper: float) -> dict[str, Any]:
    return {
        "answer": {
            "pm25_estimate": estimate,
            "interval": {"level": 0.9, "lower": lower, "upper": upper},
            "quantiles": np.linspace(lower, upper, 19).tolist(),
        }
    }


WEATHER = "20,60,1000,2,90,0,500"


def tiny(folder: Path, labels: list[str], cameras: list[str]) -> DataSet:
    """A data set with one photo for each label, at noon in Medellín, with weather."""
    folder.mkdir()
    lines = [",".join(REQUIRED_COLUMNS)]
    for number, (label, camera) in enumerate(zip(labels, cameras, strict=True)):
        (folder / f"{number}.jpg").write_text(f"photo {number}")
        day = f"2025-03-{number + 1:02d}T12:00-05:00"
        place = f"valley,{camera},CO,6.25,-75.57,{day},visit {number}"
        lines.append(f"{number}.jpg,{place},{label},A,{label},{WEATHER}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "dataset.toml").write_text('name = "tiny"\nlicence = "CC0-1.0"\nsource = "here"\n')
    return read_dataset(folder)


def test_a_score_that_was_computed_by_hand(scripted: type[ScriptedArchive], tmp_path: Path) -> None:
    dataset = tiny(tmp_path / "tiny", ["10", "20", "40"], ["south", "", "north"])
    scripted.replies = (answer(12, 5, 15), answer(18, 18, 20), answer(50, 41, 60))
    scores: Any = evaluate(Path("a.mar"), [dataset])
    # y 10 20 40, ȳ 70/3; errors 2 −2 10; ŷ − mean −44/3 −26/3 70/3; y − ȳ −40/3 −10/3 50/3
    assert scores["overall"] == {
        "n": 3,
        "mae": pytest.approx(14 / 3),
        "rmse": pytest.approx(6.0),
        "r2": pytest.approx(1 - 36 / (1400 / 9)),
        "spearman": pytest.approx(1.0),
        "bias": pytest.approx(10 / 3),
        "slope": pytest.approx((1760 + 260 + 3500) / (1600 + 100 + 2500)),
        "sd_y": pytest.approx(math.sqrt(1400 / 9)),
        "baseline_mae": pytest.approx((5 + 5 + 15) / 3),  # 15 for south, 25 elsewhere
        "coverage_90": pytest.approx(2 / 3),  # 20 on its upper bound is inside, 40 below its lower
        "mean_width_90": pytest.approx((10 + 2 + 19) / 3),
        "crps": pytest.approx((pinball(10, 5, 15) + pinball(20, 18, 20) + pinball(40, 41, 60)) / 3),
    }
    assert scores["daytime"] == scores["overall"] == scores["per_site"]["valley"]
    assert scores["per_session"] == scores["overall"]  # each session has one photo
    assert scores["per_site_daytime"] == scores["per_site"]


def pinball(y: float, lower: float, upper: float) -> float:
    """Twice the mean over τ = 0.05 … 0.95 of the pinball loss of quantiles spread evenly."""
    losses = []
    for k in range(19):
        level, quantile = 0.05 * (k + 1), lower + (upper - lower) * k / 18
        losses.append((y - quantile) * (level - (y < quantile)))
    return 2 * sum(losses) / 19


def test_what_is_not_defined_is_null(scripted: type[ScriptedArchive], tmp_path: Path) -> None:
    dataset = tiny(tmp_path / "two", ["10", "20"], ["", ""])
    scripted.replies = (answer(12, 5, 15), answer(18, 18, 20))
    overall: Any = evaluate(Path("a.mar"), [dataset])["overall"]
    undefined = [name for name in FIGURES if overall[name] is None]
    assert undefined == ["r2", "spearman", "slope", "sd_y"]
    scripted.replies = ({"problem": {"code": "blurred"}},) * 2
    scores: Any = evaluate(Path("a.mar"), [dataset])
    assert scores["overall"] == {"n": 0, **dict.fromkeys(FIGURES)}
    assert scores["per_site"] == {}
    assert (scores["n_answered"], scores["refused_by_reason"]) == (0, {"blurred": 2})
    json.dumps(scores, allow_nan=False)


def test_several_sets_are_scored_as_one_each_with_its_own_size_limit(
    scripted: type[ScriptedArchive], tmp_path: Path
) -> None:
    one = tiny(tmp_path / "one", ["10"], [""])
    (tmp_path / "one" / "dataset.toml").write_text(
        'name = "small"\nlicence = "CC0-1.0"\nsource = "here"\nmin_side = 200\n'
    )
    sets = [read_dataset(one.folder), tiny(tmp_path / "two", ["20", "30"], ["", ""])]
    scripted.replies = (answer(12, 5, 15),) * 3
    scores: Any = evaluate(Path("a.mar"), sets)
    assert (scores["dataset"], scores["n_photos"]) == ("small + tiny", 3)
    assert [request["min_side"] for request in scripted.asked] == [200, 512, 512]
    evaluate(Path("a.mar"), sets, min_side=300)
    assert [request["min_side"] for request in scripted.asked] == [300] * 3


def test_site_session_and_label_never_reach_the_archive(
    scripted: type[ScriptedArchive], tmp_path: Path
) -> None:
    dataset = tiny(tmp_path / "tiny", ["37.25"], ["south"])
    scripted.replies = (answer(12, 5, 15),)
    evaluate(Path("a.mar"), [dataset])
    (request,) = scripted.asked
    assert set(request) == {"photo", "metadata", "min_side", "return"}
    assert set(request["metadata"]) == set(ALLOWED_FIELDS)
    said = json.dumps(request["metadata"])
    assert not any(secret in said for secret in ("valley", "visit", "37.25"))
    assert parse_metadata(request["metadata"]) == dataset.rows[0].metadata


@pytest.mark.parametrize(
    ("without", "withheld"),
    [
        ((), set()),
        (("camera",), {"camera"}),
        (("place",), {"lat", "lon"}),
        (("weather",), set(WITHHOLDABLE["weather"])),
        (("weather", "camera", "place"), set(ALLOWED_FIELDS) - {"captured_at"}),
    ],
)
def test_what_is_withheld_is_not_sent(
    scripted: type[ScriptedArchive], tmp_path: Path, without: tuple[str, ...], withheld: set[str]
) -> None:
    dataset = tiny(tmp_path / "tiny", ["10"], ["south"])
    scripted.replies = (answer(12, 5, 15),)
    scores: Any = evaluate(Path("a.mar"), [dataset], without=without)
    assert set(scripted.asked[0]["metadata"]) == set(ALLOWED_FIELDS) - withheld
    assert scores["without"] == sorted(without)
    assert scores["overall"]["baseline_mae"] == 5.0  # the camera's own, whatever was sent
