"""The artefact folder: whole and unchanged, or refused before anything in it is used."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from features.errors import ArtifactError
from features.extractor import ScientificFeatureExtractor
from handlers.artifact import FORMAT_VERSION, MANIFEST, Manifest, sums, verify, write_manifest
from handlers.expert import WITHOUT_WEATHER
from handlers.predictor import Predictor
from training.dataset import DataSet, dataset_hash
from training.table import TrainingTable

FEATURE_SET = ScientificFeatureExtractor().feature_set
MODELS = {
    *("pipeline.json", "xgboost.safetensors", "lightgbm.safetensors"),
    *("mlp.safetensors", "stack.json"),
    *("bayesian.safetensors", "conformal.json", "physics.json", "humidity.json"),
}


@pytest.fixture
def folder(fitted_artifact: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(fitted_artifact, tmp_path / "artifact"))


def refusal(folder: Path, feature_set: str = FEATURE_SET) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        verify(folder, feature_set)
    return caught.value


def flip(path: Path, position: int, bit: int) -> bytes:
    """Change one bit of the file; returns what it was."""
    before = path.read_bytes()
    after = bytearray(before)
    after[position] ^= 1 << bit
    path.write_bytes(after)
    return before


def test_it_holds_what_it_says_and_nothing_else(fitted_artifact: Path) -> None:
    held = set(sums(fitted_artifact))
    places = ["new_place", "fixed_view"]
    places += ["fixed_view_night"] if (fitted_artifact / "fixed_view_night").is_dir() else []
    models = {f"{place}/{name}" for place in places for name in MODELS}
    models.add(f"fixed_view/{WITHOUT_WEATHER}")  # one of two fixed cameras knows its weather
    assert held == models | {
        *("cameras.json", "domain.json", "statistics.json", "schema.json", "training_photos.txt"),
        *("scores.json", "model_card.md", "golden/vectors.json"),
        *("golden/scene_12.png", "golden/scene_120.png", "golden/scene.jpg"),
    }


def test_the_manifest_says_what_it_is(fitted_artifact: Path, rendered: DataSet) -> None:
    manifest = verify(fitted_artifact, FEATURE_SET)
    assert manifest == Manifest(
        "0.0.1", FEATURE_SET, dataset_hash([rendered]), sums(fitted_artifact), FORMAT_VERSION
    )
    card = (fitted_artifact / "model_card.md").read_bytes()
    assert manifest.files["model_card.md"] == hashlib.sha256(card).hexdigest()


def test_it_names_the_photos_that_it_has_seen(fitted_artifact: Path, table: TrainingTable) -> None:
    lines = (fitted_artifact / "training_photos.txt").read_text().split()
    assert lines == sorted({photo.sha256 for photo in table.photos})


def test_its_schema_describes_every_feature_that_it_reads(
    fitted_artifact: Path, table: TrainingTable
) -> None:
    schema = json.loads((fitted_artifact / "schema.json").read_text())
    described = [feature["name"] for family in schema["families"] for feature in family["features"]]
    assert tuple(described) == table.names
    assert schema["feature_set"] == FEATURE_SET
    ranges = {f["name"]: f["range"] for family in schema["families"] for f in family["features"]}
    assert ranges["cloud_fraction"] == [0, 1]
    assert ranges["haar_energy_2px"] == [0, None]
    assert ranges["sky_blue_red_slope"] == [None, None]


def test_any_flipped_bit_in_any_file_is_refused(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        for position in {0, size - 1, int(rng.integers(size))}:
            before = flip(path, position, int(rng.integers(8)))
            refusal(folder)
            path.write_bytes(before)
    verify(folder, FEATURE_SET)


def test_any_flipped_bit_of_the_manifest_is_refused(folder: Path) -> None:
    """Nothing sums up the manifest but itself; its version and hashes go into every answer."""
    rng = np.random.default_rng(1)
    path = folder / MANIFEST
    size = path.stat().st_size
    for position in {*rng.choice(size, 150, replace=False).tolist(), 0, size - 1}:
        before = flip(path, int(position), int(rng.integers(8)))
        refusal(folder)
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["version", "dataset_hash", "feature_set", "files"])
def test_a_manifest_edited_by_hand_is_refused(folder: Path, name: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest[name] = {} if name == "files" else "9.9.9"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    refusal(folder)


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        before = path.read_bytes()
        path.unlink()
        error = refusal(folder)
        assert error.code == ("no_manifest" if path.name == MANIFEST else "tampered_archive")
        assert path.name in error.detail
        assert error.how_to_fix
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["extra.txt", "golden/extra.png", "new/place/extra.json"])
def test_an_added_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    error = refusal(folder)
    assert error.code == "tampered_archive"
    assert name in error.detail


def test_a_renamed_file_is_refused(folder: Path) -> None:
    (folder / "scores.json").rename(folder / "results.json")
    assert refusal(folder).code == "tampered_archive"


def test_another_feature_set_is_refused(folder: Path) -> None:
    error = refusal(folder, "0" * 64)
    assert error.code == "other_feature_set"
    assert FEATURE_SET[:12] in error.detail and "000000000000" in error.detail


def test_another_format_is_refused_as_such(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format_version": 99}))
    error = refusal(folder)
    assert error.code == "other_format"
    assert "99" in error.detail


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"a": 1}'])
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    assert refusal(folder).code == "broken_manifest"


def test_nothing_is_loaded_before_the_sums_are_checked(folder: Path) -> None:
    """A damaged model gives the error of its sum, not one of the library that would read it."""
    (folder / "new_place" / "xgboost.safetensors").write_bytes(b"no model at all")
    with pytest.raises(ArtifactError) as caught:
        Predictor.load(folder)
    assert caught.value.code == "tampered_archive"


def test_a_damaged_model_with_a_right_sum_is_refused_too(folder: Path) -> None:
    (folder / "new_place" / "stack.json").write_text("{}")
    write_manifest(folder, "0.0.1", FEATURE_SET, "0" * 64)
    with pytest.raises(ArtifactError) as caught:
        Predictor.load(folder)
    assert caught.value.code == "ensemble_unreadable"


def test_the_same_folder_has_the_same_manifest(folder: Path, fitted_artifact: Path) -> None:
    before = (folder / MANIFEST).read_bytes()
    manifest = verify(folder, FEATURE_SET)
    write_manifest(folder, manifest.version, manifest.feature_set, manifest.dataset_hash)
    assert (folder / MANIFEST).read_bytes() == before


def test_nothing_in_it_can_execute(fitted_artifact: Path) -> None:
    suffixes = {path.suffix for path in fitted_artifact.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".txt", ".safetensors", ".md", ".png", ".jpg"}
    for path in fitted_artifact.rglob("*"):
        assert not path.is_file() or not path.read_bytes().startswith((b"\x80\x04", b"PK"))
