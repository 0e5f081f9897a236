"""What must not break: odd files, odd data, runs that are killed.

Each of these once ended in a traceback, or lost something.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import main, train
from features.errors import ArtifactError, DataSetError
from handlers import offline
from handlers.camera import LN_PM25, reference_from
from handlers.estimator import PM25Estimator
from handlers.golden import VECTORS, check_golden
from handlers.predictor import Predictor
from tests.drawn_answers import answers
from training import cross_validation, rendered_scenes, run
from training.archive import RunningArchive
from training.dataset import DataSet, LabelledPhoto
from training.held_out import HeldOutAnswers
from training.splits import Fold
from training.table import TrainingTable

ENTRY = "handlers/offline.py"


def changed(archive: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of `archive` with each file as `change` makes it; None leaves it out."""
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w") as copy:
        for name in whole.namelist():
            content = change(name, whole.read(name))
            if content is not None:
                copy.writestr(name, content)
    return target


def foreign(archive: Path, target: Path) -> Path:
    return changed(archive, target, lambda name, old: old if name.startswith("artifact") else None)


def chatty(archive: Path, target: Path) -> Path:
    return changed(archive, target, lambda name, old: b'print("hi")' if name == ENTRY else old)


def dead(archive: Path, target: Path) -> Path:
    return changed(archive, target, lambda name, old: b"exit(3)" if name == ENTRY else old)


def encrypted(archive: Path, target: Path) -> Path:
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    target.write_bytes(content)
    return target


def damaged(archive: Path, target: Path) -> Path:
    content = bytearray(archive.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 64] = bytes(64)
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (foreign, "broken_archive"),
        (encrypted, "broken_archive"),
        (damaged, "broken_archive"),
        (chatty, "archive_died"),
        (dead, "archive_died"),
    ],
)
def test_an_odd_archive_is_an_error_of_ours(
    fitted_archive: Path, tmp_path: Path, make: Callable[[Path, Path], Path], code: str
) -> None:
    odd = make(fitted_archive, tmp_path / "odd.mar")
    with pytest.raises(ArtifactError) as caught, RunningArchive(odd):
        pass
    assert caught.value.code == code
    assert "odd.mar" in caught.value.detail


def test_a_python_told_to_be_safe_still_runs_the_archive_s_own_code(
    fitted_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    odd = chatty(fitted_archive, tmp_path / "odd.mar")
    with pytest.raises(ArtifactError, match="'hi"), RunningArchive(odd):
        pass


def test_a_photo_that_cannot_be_read_spoils_no_other(
    predictor: Predictor, rendered: DataSet, tmp_path: Path
) -> None:
    asked = [tmp_path, tmp_path / "gone.jpg", rendered.rows[0].path]
    lines = "".join(json.dumps({"photo": str(p), "min_side": 100}) + "\n" for p in asked)
    out = io.StringIO()
    offline.serve(predictor, io.StringIO(lines), out)
    replies = [json.loads(line) for line in out.getvalue().splitlines()]
    codes = [reply.get("problem", {}).get("code") for reply in replies]
    assert codes == ["photo_unreadable", "photo_unreadable", None]


@pytest.mark.parametrize("content", [None, "[]", "{", '[{"photo": "scene_12.png"}]'])
def test_golden_vectors_that_are_not_whole_refuse_to_load(
    predictor: Predictor, fitted_artifact: Path, tmp_path: Path, content: str | None
) -> None:
    golden = Path(shutil.copytree(fitted_artifact / "golden", tmp_path / "golden"))
    (golden / VECTORS).unlink()
    if content is not None:
        (golden / VECTORS).write_text(content)
    with pytest.raises(ArtifactError) as caught:
        check_golden(predictor, golden)
    assert caught.value.code == "broken_golden_vectors"


@pytest.mark.parametrize("content", [None, "[]", "{}"])
def test_statistics_that_are_not_whole_refuse_to_load(
    predictor: Predictor, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "statistics.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError) as caught:
        type(predictor.statistics).load(path)
    assert caught.value.code == "broken_statistics"


def test_a_reference_that_is_not_used_is_not_named(
    predictor: Predictor, estimator: PM25Estimator, rendered: DataSet
) -> None:
    camera = next(iter(estimator.cameras))
    photo = rendered.rows[0].path.read_bytes()
    alone = Predictor(
        replace(estimator, fixed_view=None),
        predictor.statistics,
        predictor.manifest,
        predictor.cameras,
    ).answer(photo, {"camera": camera}, min_side=100)
    assert alone["camera_reference"] is None
    known: Any = predictor.answer(photo, {"camera": camera}, min_side=100)["camera_reference"]
    assert known["camera"] == camera


@given(
    usual=st.lists(st.floats(-12.0, 12.0), min_size=3, max_size=3),
    shift=st.floats(-12.0, 12.0),
    scale=st.floats(0.0, 10.0),
    factors=st.tuples(st.floats(0.01, 100.0), st.floats(0.01, 100.0)),
    size=st.sampled_from([1.0, 10.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40)
def test_no_lawful_reference_spoils_an_answer(
    estimator: PM25Estimator,
    usual: list[float],
    shift: float,
    scale: float,
    factors: tuple[float, float],
    size: float,
    seed: int,
) -> None:
    """Whatever numbers a reference may hold, for photos like none before, by day and by night."""
    entry = {
        "camera": "balcony",
        "content_hash": "a",
        "feature_set": "f",
        "quantiles": {LN_PM25: sorted(usual)},
        "shift": shift,
        "scale": scale,
        "n": 12,
        "interval_factors": factors,
    }
    knowing = estimator.with_camera(reference_from(entry))
    rng = np.random.default_rng(seed)
    X = rng.normal(scale=size, size=(40, len(estimator.names)))
    X[rng.random(X.shape) < 0.2] = np.nan
    cameras = ["balcony"] * 20 + [None] * 20
    found = knowing.estimate(X, cameras)
    assert np.isfinite(found.pm25).all() and np.isfinite(found.quantiles).all()
    assert np.isfinite(found.epistemic).all() and np.isfinite(found.aleatoric).all()
    assert (np.diff(found.quantiles, axis=1) >= 0.0).all()
    assert ((found.confidence >= 0.0) & (found.confidence <= 1.0)).all()
    for level in (0.5, 0.8, 0.9, 0.95):
        lower, upper = found.interval(level)
        assert ((lower <= found.pm25) & (found.pm25 <= upper)).all()
    alone = knowing.estimate(X[7:8], cameras[7:8])
    np.testing.assert_allclose(alone.quantiles[0], found.quantiles[7], rtol=1e-9)
    strangers = estimator.estimate(X[20:], cameras[20:])
    np.testing.assert_allclose(strangers.pm25, found.pm25[20:], rtol=1e-9)


def test_the_scores_of_a_split_that_the_data_do_not_have_are_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train._print_scores({"unseen_months": {}})
    assert capsys.readouterr().out == ""


def test_a_fold_with_a_single_session_to_learn_from_is_left_out(
    table: TrainingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = np.arange(len(table))
    one = everyone[table.sessions == table.sessions[0]]
    rest = np.setdiff1d(everyone, one)
    folds = [Fold(one, rest, "from one"), Fold(rest, one, "from the others")]
    monkeypatch.setattr(cross_validation, "SPLITS", {"unseen_sites": lambda rows: folds})

    def held_out(table: TrainingTable, fold: Fold, *_: object) -> HeldOutAnswers:
        assert fold.name == "from the others"
        return answers(np.ones(len(fold.test)))

    monkeypatch.setattr(cross_validation, "_held_out", held_out)
    names = [name for name in table.names if name.startswith("far_")]
    held = cross_validation.cross_validate(table, names, seed=1, feature_set="", jobs=1)
    assert len(held["unseen_sites"]["full"]) == len(one)


@pytest.fixture
def quick_run(
    rendered: DataSet,
    rendered_store: Path,
    estimator: PM25Estimator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], object]:
    """Train version 0.0.1 below `tmp_path`, with models that are fitted already."""
    monkeypatch.setattr(run, "cross_validate", lambda *args, **kwargs: {})
    monkeypatch.setattr(run, "fit_estimator", lambda *args, **kwargs: estimator)
    return lambda: run.train(
        [rendered], "0.0.1", jobs=1, store=rendered_store, runs=tmp_path, rendered_places=0
    )


def test_a_run_that_ends_while_it_is_written_leaves_the_one_before(
    quick_run: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_run()
    before = {path: path.read_bytes() for path in (tmp_path / "0.0.1").rglob("*.json")}
    assert before

    def full_disk(folder: Path, *args: object, **kwargs: object) -> None:
        folder.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(run, "write_artifact", full_disk)
        quick_run()
    assert {path: path.read_bytes() for path in before} == before
    shutil.rmtree(tmp_path / ".0.0.1.part")  # as a killed run leaves it, or not
    quick_run()
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["0.0.1"]


@pytest.mark.parametrize("version", ["1.0", "../../evil", "", "v1.0.0"])
def test_a_version_that_could_not_be_packaged_is_refused_before_the_work(
    rendered: DataSet, tmp_path: Path, version: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        run.train([rendered], version, store=tmp_path / "f.db", runs=tmp_path)
    assert caught.value.code == "invalid_version"
    assert list(tmp_path.iterdir()) == []


def test_too_few_sessions_are_told_before_a_photo_is_read(
    rendered: DataSet, tmp_path: Path
) -> None:
    few = replace(rendered, rows=rendered.rows[:10])
    with pytest.raises(DataSetError, match="10 labelled photos of 5 sessions at 1 sites"):
        run.train([few], "0.0.1", store=tmp_path / "f.db", runs=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_when_all_photos_are_refused_the_reason_is_told(rendered: DataSet, tmp_path: Path) -> None:
    def too_small(photo: LabelledPhoto) -> LabelledPhoto:
        return replace(photo, min_side=5000)

    refused = replace(rendered, rows=tuple(map(too_small, rendered.rows)))
    with pytest.raises(DataSetError, match="refused were 60 too_small"):
        run.train([refused], "0.0.1", jobs=1, store=tmp_path / "f.db", runs=tmp_path / "runs")


def test_scenes_are_rendered_once_and_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    first = rendered_scenes.rendered_folder(tmp_path, 1, 1, seed=1)
    photo = next(first.glob("images/*"))
    made = photo.stat().st_mtime_ns
    assert rendered_scenes.rendered_folder(tmp_path, 1, 1, seed=1) == first
    assert photo.stat().st_mtime_ns == made
    shutil.rmtree(first)
    (tmp_path / f".{first.name}-killed").mkdir()
    rendered_scenes.rendered_folder(tmp_path, 1, 1, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_of_two_runs_that_render_the_same_the_slower_takes_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beaten(folder: Path, *_: object) -> None:
        folder.mkdir()
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(rendered_scenes, "render_dataset", beaten)
    assert rendered_scenes.rendered_folder(tmp_path, 1, 1, seed=1).is_dir()


def command(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["pm25", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main.app()
    return end.value.code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", ".", "--archive", "a.mar"], "is no file"),
        (["predict", "photo.jpg", "--metadata", "[1]"], "no object"),
        (["predict", "photo.jpg", "--metadata", "[" * 100_000], "--metadata"),
        (["predict", "photo.jpg", "--archive", "."], "is no file"),
        (["evaluate", "--data", "x", "--json", "none/scores.json"], "does not exist"),
        (["evaluate", "--data", "x", "--json", "."], "is a folder"),
    ],
)
def test_what_cannot_be_done_is_told_in_two_lines(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_text("a photo")
    assert command(*arguments, monkeypatch=monkeypatch) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ") and words in first
    assert second.startswith("  ")


def test_scores_are_printed_even_when_their_file_cannot_be_written(
    fitted_archive: Path,
    rendered: DataSet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no disk that is always full")
    arguments = ["evaluate", "--archive", fitted_archive, "--data", rendered.folder]
    assert command(*arguments, "--json", "/dev/full", monkeypatch=monkeypatch) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["n_photos"] == len(rendered.rows)
    assert "No space left" in told.err and "Traceback" not in told.err
