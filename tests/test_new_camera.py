"""A camera that no training saw: calibrated by the command, applied by the running archive."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from commands.main import cli
from features.errors import ArtifactError, DataSetError, MetadataError
from handlers.camera import LN_PM25, CameraReference, SitePrior
from handlers.camera_folder import FOLDER, IGNORED, write_reference
from handlers.content_hash import running_content_hash
from handlers.estimator import PM25Estimator
from handlers.predictor import Predictor
from tests.serving import JSON, METADATA, Client, as_text
from training import camera_calibration
from training.archive import RunningArchive
from training.camera_calibration import CalibrationPhotos, calibrate
from training.dataset import REQUIRED_COLUMNS, DataSet, LabelledPhoto, read_dataset
from training.new_camera import calibrate_camera, photos_of_camera
from training.package import content_hash
from training.table import TrainingTable

PHOTOS = 14
NOON, MIDNIGHT = "2026-03-20T12:00:00-05:00", "2026-03-20T00:00:00-05:00"


@pytest.fixture(scope="module")
def balcony(rendered: DataSet, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Photos of one camera, four of them of the day before; one by night, one without a label, and
    one that is no photo.
    """
    folder = tmp_path_factory.mktemp("balcony")
    empty = dict.fromkeys(REQUIRED_COLUMNS, "")
    rows = []
    for number in range(PHOTOS + 3):
        name = f"{number}.jpg"
        shutil.copyfile(rendered.rows[number].path, folder / name)
        place = {"lat": METADATA["lat"], "lon": METADATA["lon"]}
        made = {"file": name, "site": "home", "camera": "balcony", "captured_at": NOON, **place}
        label = {"pm25": str(10 + number), "pm25_quality": "A"}
        rows.append({**empty, **made, **label, "session": f"day {max(number, 3)}"})
    rows[PHOTOS]["captured_at"] = MIDNIGHT
    rows[PHOTOS + 1]["pm25"] = rows[PHOTOS + 1]["pm25_quality"] = ""
    (folder / f"{PHOTOS + 2}.jpg").write_text("no photo")
    with (folder / "labels.csv").open("w", newline="") as file:
        labels = csv.DictWriter(file, REQUIRED_COLUMNS)
        labels.writeheader()
        labels.writerows(rows)
    shutil.copyfile(rendered.folder / "dataset.toml", folder / "dataset.toml")
    return read_dataset(folder)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of references that every archive of this module reads."""
    folder = tmp_path_factory.mktemp("told") / "cameras"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(folder))
        yield folder


@pytest.fixture(scope="module")
def running(fitted_archive: Path, watched: Path) -> Iterator[RunningArchive]:
    """Started before there is any reference, and never again."""
    with RunningArchive(fitted_archive) as running:
        yield running


@pytest.fixture
def folder(watched: Path) -> Path:
    """The same folder, without any reference."""
    shutil.rmtree(watched, ignore_errors=True)
    return watched


def ask(running: RunningArchive, photo: LabelledPhoto, camera: str | None) -> dict[str, Any]:
    metadata = {**METADATA, "captured_at": NOON, "camera": camera}
    asked = {"photo": str(photo.path), "metadata": metadata, "min_side": photo.min_side}
    (reply,) = running.answers([asked])
    answer: dict[str, Any] = reply["answer"]
    return answer


def codes(answer: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in answer["applicability"]["warnings"]}


def reference_for(archive: Path, feature_set: str, camera: str = "balcony") -> CameraReference:
    return CameraReference(
        camera=camera,
        content_hash=content_hash(archive),
        feature_set=feature_set,
        quantiles={LN_PM25: (2.8, 3.0, 3.2)},
        shift=3.2,
        scale=0.5,
        n=11,
        interval_factors=(0.25, 0.5),
    )


def test_a_running_archive_knows_its_own_name(fitted_archive: Path, fitted_artifact: Path) -> None:
    """In this tree as in the archive; that an archive agrees is seen where it takes a reference."""
    assert running_content_hash(fitted_artifact) == content_hash(fitted_archive)


def test_a_reference_serves_as_long_as_it_is_there_whole_and_fits(
    running: RunningArchive, fitted_archive: Path, folder: Path, balcony: DataSet
) -> None:
    photo = balcony.rows[0]
    unknown = ask(running, photo, None)
    assert unknown["camera_reference"] is None
    without = ask(running, photo, "balcony")
    assert codes(without) - codes(unknown) == {"unseen_camera"}
    assert without["interval"] == unknown["interval"]

    reference = reference_for(fitted_archive, unknown["feature_set"])
    path = write_reference(reference, folder)
    known = ask(running, photo, "balcony")
    version = unknown["model_version"]
    assert known["camera_reference"] == {"camera": "balcony", "n": 11, "version": version}
    assert codes(known) == codes(unknown)
    expected = 3.2 + 0.5 * (np.log(unknown["pm25_estimate"]) - 3.0)
    assert np.log(known["pm25_estimate"]) == pytest.approx(expected)
    for side, factor in (("lower", 0.25), ("upper", 0.5)):
        was = np.log(unknown["interval"][side] / unknown["pm25_estimate"])
        now = np.log(known["interval"][side] / known["pm25_estimate"])
        assert now == pytest.approx(factor * was)
    relative = known["uncertainty"] / known["pm25_estimate"]
    assert relative < unknown["uncertainty"] / unknown["pm25_estimate"]
    other = ask(running, photo, "roof")
    assert other["camera_reference"] is None
    assert other["pm25_estimate"] == unknown["pm25_estimate"]

    write_reference(replace(reference, shift=2.2), folder)
    changed = ask(running, photo, "balcony")
    assert changed["pm25_estimate"] == pytest.approx(known["pm25_estimate"] / np.e)

    foreign = replace(reference, content_hash="0" * 64)
    for content in ("{", "", json.dumps({"camera": "balcony"}), None):
        if content is None:
            write_reference(foreign, folder)
        else:
            path.write_text(content)
        ignored = ask(running, photo, "balcony")
        assert codes(ignored) - codes(unknown) == {"unseen_camera", IGNORED}
        assert ignored["camera_reference"] is None
        assert ignored["pm25_estimate"] == unknown["pm25_estimate"]
        assert ignored["intervals"] == unknown["intervals"]

    path.unlink()
    assert ask(running, photo, "balcony") == without


def test_a_reference_reaches_the_workers_of_a_running_server(
    client: Client, cameras: Path, archive: Path, photo: bytes
) -> None:
    asked = as_text(photo)

    def reference_in_answer() -> Any:
        body = json.dumps({"photo": asked, "metadata": {"camera": "balcony"}}).encode()
        status, _, answer = client.send(body, JSON)
        assert status == 200
        return answer["camera_reference"], answer["feature_set"]

    nothing, feature_set = reference_in_answer()
    assert nothing is None
    path = write_reference(reference_for(archive, feature_set), cameras)
    known, _ = reference_in_answer()
    assert known == {"camera": "balcony", "n": 11, "version": "0.0.1"}
    path.unlink()
    assert reference_in_answer() == (None, feature_set)


def test_what_the_archive_knows_comes_first(
    running: RunningArchive, fitted_archive: Path, folder: Path, rendered: DataSet
) -> None:
    photo = next(row for row in rendered.rows if row.camera in running.ready["cameras"])
    before = ask(running, photo, photo.camera)
    assert before["camera_reference"]["camera"] == photo.camera
    write_reference(reference_for(fitted_archive, before["feature_set"], photo.camera), folder)
    assert ask(running, photo, photo.camera) == before


def test_a_server_that_is_told_of_no_folder_reads_none(
    fitted_artifact: Path, fitted_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    predictor = Predictor.load(fitted_artifact)
    feature_set = predictor.manifest.feature_set
    write_reference(reference_for(fitted_archive, feature_set), tmp_path / "cameras")
    assert predictor.cameras.find("balcony") == (None, None)


def test_a_reference_of_no_photos_gives_the_unknown_camera_s_answer(
    table: TrainingTable, estimator: PM25Estimator
) -> None:
    nothing = np.zeros(0)
    photos = CalibrationPhotos(nothing, nothing, nothing, nothing, nothing.astype(np.int64))
    identity = calibrate("new", photos, SitePrior(0.4, 0.3), content_hash="", feature_set="")
    knowing = estimator.with_camera(identity)
    assert knowing.knows("new")
    assert not estimator.knows("new")
    as_unknown = estimator.estimate(table.X, [None] * len(table))
    as_known = knowing.estimate(table.X, ["new"] * len(table))
    for name in ("pm25", "quantiles", "epistemic", "aleatoric"):
        np.testing.assert_array_equal(getattr(as_known, name), getattr(as_unknown, name))


def test_photos_of_several_cameras_are_answered_each_with_its_own(
    table: TrainingTable, estimator: PM25Estimator
) -> None:
    trained = next(camera for camera in table.cameras if camera)
    reference = CameraReference("new", "", "", {LN_PM25: (2.9, 3.0, 3.1)}, 4.0, 2.0, 9, (0.5, 0.5))
    knowing = estimator.with_camera(reference)
    cameras = [("new", None, trained)[i % 3] for i in range(len(table))]
    together = knowing.estimate(table.X, cameras)
    for camera in ("new", None, trained):
        rows = np.array([seen_by == camera for seen_by in cameras])
        alone = knowing.estimate(table.X[rows], [camera] * int(rows.sum()))
        np.testing.assert_allclose(together.quantiles[rows], alone.quantiles, rtol=1e-9)


# ---- the command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["calibrate-camera", *arguments])


def test_the_command_writes_what_the_server_reads(
    running: RunningArchive, fitted_archive: Path, folder: Path, balcony: DataSet
) -> None:
    ran = run("--data", str(balcony.folder), "--archive", str(fitted_archive))
    assert ran.exit_code == 0, ran.output
    assert "14 photos of 11 sessions" in ran.output
    assert "1 photos by night" in ran.output
    assert "1 photos were refused: unsupported_media_type" in ran.output
    assert f"{PHOTOS} photos were in the training data" in ran.output
    answers = [ask(running, photo, "balcony") for photo in balcony.rows[:PHOTOS]]
    assert {answer["camera_reference"]["n"] for answer in answers} == {11}
    unknown = [ask(running, photo, None) for photo in balcony.rows[:PHOTOS]]
    labels = np.array([photo.pm25 for photo in balcony.rows[:PHOTOS]])

    def error(found: list[dict[str, Any]]) -> float:
        estimates = np.array([answer["pm25_estimate"] for answer in found])
        return float(np.abs(np.log(estimates / labels)).mean())

    assert error(answers) < error(unknown)


@pytest.mark.long
def test_the_reference_is_that_of_the_answers_to_an_unknown_camera(
    running: RunningArchive, fitted_archive: Path, balcony: DataSet
) -> None:
    made = calibrate_camera(fitted_archive, balcony.rows)
    answers = [ask(running, photo, None) for photo in balcony.rows[:PHOTOS]]
    mu = np.log([answer["pm25_estimate"] for answer in answers])
    photos = CalibrationPhotos(
        ln_pm25=np.log([photo.pm25 or 0.0 for photo in balcony.rows[:PHOTOS]]),
        mu=mu,
        below=mu - np.log([answer["interval"]["lower"] for answer in answers]),
        above=np.log([answer["interval"]["upper"] for answer in answers]) - mu,
        sessions=np.maximum(np.arange(PHOTOS), 3),
    )
    expected = calibrate(
        "balcony",
        photos,
        SitePrior(**running.ready["site_prior"]),
        content_hash=content_hash(fitted_archive),
        feature_set=answers[0]["feature_set"],
    )
    assert made.reference.shift == pytest.approx(expected.shift)
    assert made.reference.scale == pytest.approx(expected.scale)
    assert made.reference.interval_factors == pytest.approx(expected.interval_factors)
    assert (
        replace(
            made.reference,
            shift=expected.shift,
            scale=expected.scale,
            interval_factors=expected.interval_factors,
            quantiles=expected.quantiles,
        )
        == expected
    )
    assert (made.n_photos, made.n_night) == (PHOTOS, 1)


@pytest.mark.long
def test_references_lie_where_they_are_asked_for(
    fitted_archive: Path, balcony: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", str(balcony.folder), "--archive", str(fitted_archive)]
    ran = run(*arguments)
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "cameras" / "balcony.json").is_file()
    assert f"{FOLDER}={tmp_path / 'cameras'}" in ran.output
    assert run(*arguments, "--cameras", str(tmp_path / "other")).exit_code == 0
    assert (tmp_path / "other" / "balcony.json").read_text() == (
        tmp_path / "cameras" / "balcony.json"
    ).read_text()


@pytest.mark.parametrize("n", [0, 1, 9])
def test_fewer_than_ten_photos_are_an_error_and_write_nothing(
    fitted_archive: Path, balcony: DataSet, n: int
) -> None:
    few = [*balcony.rows[:n], *balcony.rows[PHOTOS : PHOTOS + 2]]
    with pytest.raises(DataSetError) as caught:
        calibrate_camera(fitted_archive, few)
    assert caught.value.code == "too_few_photos"
    assert f"Got {n} labelled photos by day" in caught.value.detail
    assert "1 by night" in caught.value.detail
    assert "10" in caught.value.how_to_fix


def test_photos_that_are_refused_do_not_count(fitted_archive: Path, balcony: DataSet) -> None:
    few = [*balcony.rows[:9], balcony.rows[-1]]
    with pytest.raises(
        DataSetError, match=r"Got 9 labelled .* 1 refused as unsupported_media_type"
    ):
        calibrate_camera(fitted_archive, few)


def test_a_camera_of_the_training_needs_no_calibration(
    fitted_archive: Path, balcony: DataSet, rendered: DataSet, running: RunningArchive
) -> None:
    known = running.ready["cameras"][0]
    assert known in {row.camera for row in rendered.rows}
    with pytest.raises(ArtifactError) as caught:
        calibrate_camera(
            fitted_archive, [replace(row, camera=known) for row in balcony.rows], known
        )
    assert caught.value.code == "known_camera"


def test_an_archive_that_knows_nothing_of_sites_says_so(
    fitted_archive: Path, balcony: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_prior(running: RunningArchive) -> dict[str, Any]:
        line = read_line(running)
        if "ready" in line:
            line["ready"]["site_prior"] = None
        return line

    read_line = RunningArchive._read_line
    monkeypatch.setattr(RunningArchive, "_read_line", without_prior)
    with pytest.raises(ArtifactError) as caught:
        calibrate_camera(fitted_archive, balcony.rows)
    assert caught.value.code == "no_site_prior"


def test_which_camera_is_meant_is_never_guessed(balcony: DataSet) -> None:
    rows = balcony.rows
    unnamed = [replace(row, camera="") for row in rows]
    two = [*rows[:5], *(replace(row, camera="roof") for row in rows[5:])]
    assert photos_of_camera(rows, None) == ("balcony", list(rows))
    assert photos_of_camera(two, "roof") == ("roof", two[5:])
    assert photos_of_camera(unnamed, "attic") == ("attic", unnamed)
    for photos, camera, code in (
        (two, None, "several_cameras"),
        (unnamed, None, "no_camera"),
        ([], None, "no_camera"),
        (rows, "roof", "unknown_camera"),
    ):
        with pytest.raises(DataSetError) as caught:
            photos_of_camera(photos, camera)
        assert caught.value.code == code


@pytest.mark.parametrize("name", ["../balcony", "/etc/passwd", "a/b", "a\\b", "a b", "", "x" * 65])
def test_a_name_is_never_a_path(
    fitted_archive: Path, balcony: DataSet, folder: Path, name: str
) -> None:
    with pytest.raises((MetadataError, DataSetError)):
        calibrate_camera(fitted_archive, [replace(r, camera="") for r in balcony.rows], name)
    assert not folder.exists()
    assert not os.path.lexists(folder.parent / "balcony.json")


def test_the_least_number_is_what_the_pages_say() -> None:
    from training.new_camera import LEAST_PHOTOS

    assert LEAST_PHOTOS == 10
    assert camera_calibration.LEVEL == 0.9
