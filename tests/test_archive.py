"""An archive is measured with the code inside it, whatever the code around it has become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import ArtifactError
from tests.serving import jpeg, other_code
from training.archive import RunningArchive
from training.dataset import DataSet
from training.evaluate import evaluate
from training.package import build_archive


@pytest.fixture(scope="module")
def altered(fitted_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models with code that answers 1000 [ug m-3] to every photo."""
    folder = tmp_path_factory.mktemp("altered")
    answer = ('"pm25_estimate": pm25,', '"pm25_estimate": 1000.0,')
    code = other_code(folder / "code", {"handlers/predictor.py": answer})
    return build_archive(fitted_artifact, "0.0.4", folder, code=code)


def test_an_archive_runs_its_own_code(altered: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg(40.0))
    (tmp_path / "text.jpg").write_bytes(b"text")
    asked = [{"photo": str(tmp_path / name)} for name in ("photo.jpg", "text.jpg")]
    with RunningArchive(altered) as running:
        answered, refused = running.answers(asked)
    assert answered["answer"]["pm25_estimate"] == 1000.0
    assert refused["problem"]["status"] == 415


def test_an_archive_is_scored_with_its_own_code(altered: Path, rendered: DataSet) -> None:
    few = replace(rendered, rows=rendered.rows[:4])
    scores = evaluate(altered, [few])
    labels = [photo.pm25 for photo in few.rows if photo.pm25 is not None]
    overall = scores["overall"]
    assert isinstance(overall, dict)
    assert overall["bias"] == pytest.approx(1000.0 - sum(labels) / len(labels))


def test_an_archive_that_dies_over_a_photo_is_an_error_and_no_wait(
    fitted_artifact: Path, tmp_path: Path
) -> None:
    dying = {"handlers/offline.py": ("request = json.loads(line)", "sys.exit(7)")}
    code = other_code(tmp_path / "code", dying)
    archive = build_archive(fitted_artifact, "0.0.5", tmp_path, code=code)
    many = [{"photo": "x" * 1000}] * 500  # more than the pipe holds
    with RunningArchive(archive) as running, pytest.raises(ArtifactError) as caught:
        list(running.answers(many))
    assert caught.value.code == "archive_died"
    assert "7" in caught.value.detail


def test_what_is_no_archive_of_ours_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.mar").write_text("no zip")
    for name, code in {"missing.mar": "no_archive", "text.mar": "broken_archive"}.items():
        with pytest.raises(ArtifactError) as caught, RunningArchive(tmp_path / name):
            pass
        assert caught.value.code == code
