"""A change of extractor, picture or gate costs what it must: these families, that verdict."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.scene import Scene, scene_of
from features.schema import FeatureFamily, feature_set_hash
from tests.landscape import landscape
from tests.logging_extractor import family
from tests.test_extraction import photos
from training import reading_conditions as conditions
from training.dataset import LabelledPhoto
from training.extraction import Extraction, extract_features, store_features, values_of
from training.feature_store import FeatureStore
from training.feature_store_migrations import MIGRATIONS, PICTURE_OF_1_2_0
from training.workers import LocalProcesses

BRIGHTNESS = family("brightness", "mean_lightness", "median_lightness")
SPREAD = family("spread", "spread_of_lightness")
COLOUR = family("colour", "mean_saturation")


@dataclass(frozen=True)
class Logged:
    """Numbers by family, times the family's version; `log` says which were computed of a photo."""

    log: Path
    families: tuple[FeatureFamily, ...] = (BRIGHTNESS, SPREAD)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for family in self.families for name in family.names)

    @property
    def feature_set(self) -> str:
        return feature_set_hash(self.families, 640)

    def extract(self, scene: Scene, families: Collection[str] | None = None) -> Mapping[str, float]:
        light = scene.light
        with self.log.open("a") as log:
            log.write("+".join(families or ["all"]) + "\n")
        numbers = {
            "mean_lightness": float(light.lightness.mean()),
            "median_lightness": float(np.median(light.lightness)),
            "spread_of_lightness": float(light.lightness.std()),
            "mean_saturation": float(light.saturation.mean()),
        }
        return {
            name: numbers[name] * family.version
            for family in self.families
            if families is None or family.name in families
            for name in family.names
        }

    def computed(self) -> list[str]:
        """What was computed since the last question."""
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.write_text("")
        return lines


@pytest.fixture
def rows(tmp_path: Path) -> list[LabelledPhoto]:
    """Two photos, one that is too small and one that is no photo."""
    return photos(tmp_path / "photos", 2)


@pytest.fixture
def store(tmp_path: Path, rows: list[LabelledPhoto]) -> Iterator[FeatureStore]:
    """It has read `rows` with the families of brightness and spread."""
    with FeatureStore(tmp_path / "store.sqlite") as store:
        done, computed = read(rows, store)
        assert (done.read, computed) == (4, ["brightness+spread"] * 2)
        yield store


def read(
    rows: list[LabelledPhoto], store: FeatureStore, *families: FeatureFamily
) -> tuple[Extraction, list[str]]:
    """What reading `rows` with these families did, and which it computed, photo by photo.

    Whatever was carried over: the values must be those that an empty store would get.
    """
    folder = rows[0].path.parents[1]
    extractor = Logged(folder / "log", families or (BRIGHTNESS, SPREAD))
    done = store_features(rows, store, extractor, LocalProcesses(1), progress=False)
    computed = extractor.computed()
    warm = extract_features(rows, store, extractor, jobs=1, progress=False)
    assert extractor.computed() == []
    if rows[0].path.exists():
        with FeatureStore(Path(":memory:")) as empty:
            cold = extract_features(rows, empty, extractor, jobs=1, progress=False)
        np.testing.assert_array_equal(warm.matrix, cold.matrix)
        assert warm.refused == cold.refused
        extractor.computed()
    return done, computed


def test_a_new_version_of_a_family_computes_that_family(
    rows: list[LabelledPhoto], store: FeatureStore
) -> None:
    done, computed = read(rows, store, BRIGHTNESS, replace(SPREAD, version=2))
    assert computed == ["spread"] * 2
    assert done == Extraction(known=0, carried=2, read=2)  # the refused ones stay refused


def test_a_new_family_computes_that_family(rows: list[LabelledPhoto], store: FeatureStore) -> None:
    _, computed = read(rows, store, COLOUR, BRIGHTNESS, SPREAD)
    assert computed == ["colour"] * 2


@pytest.mark.parametrize("families", [(SPREAD,), (SPREAD, BRIGHTNESS)])
def test_a_family_that_goes_or_moves_opens_no_photo(
    rows: list[LabelledPhoto], store: FeatureStore, families: tuple[FeatureFamily, ...]
) -> None:
    done, computed = read(rows, store, *families)
    assert (done, computed) == (Extraction(known=0, carried=4, read=0), [])
    for row in rows:
        row.path.unlink()
    assert read(rows, store, *families) == (Extraction(known=4, carried=0, read=0), [])


def test_the_set_of_before_is_still_there(rows: list[LabelledPhoto], store: FeatureStore) -> None:
    read(rows, store, COLOUR)
    assert read(rows, store) == (Extraction(known=4, carried=0, read=0), [])
    # And what two sets know together, a third need not compute.
    assert read(rows, store, COLOUR, SPREAD) == (Extraction(known=0, carried=4, read=0), [])


def test_another_gate_judges_every_photo_and_computes_nothing(
    rows: list[LabelledPhoto], store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "_gate_code", lambda: "another gate")
    assert read(rows, store) == (Extraction(known=0, carried=0, read=4), [])
    stricter = [replace(row, min_side=80) for row in rows]
    assert read(stricter, store) == (Extraction(known=0, carried=0, read=4), [])
    # What the stricter gate refused, the other one has not.
    assert read(rows, store) == (Extraction(known=4, carried=0, read=0), [])


def test_another_picture_computes_everything(
    rows: list[LabelledPhoto], store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "_picture_code", lambda: "another decoder")
    done, computed = read(rows, store)
    assert (done.read, computed) == (4, ["brightness+spread"] * 2)


def test_provenance_tells_what_was_computed_from_what_was_kept(
    rows: list[LabelledPhoto], store: FeatureStore
) -> None:
    read(rows, store, BRIGHTNESS, replace(SPREAD, version=2))
    found = store.connection.execute("SELECT extractor, libraries FROM provenances").fetchall()
    assert {extractor for extractor, _ in found} == {
        "Logged",
        "Logged, brightness of an earlier reading",
        "Logged, all of an earlier reading",
    }
    assert all(set(json.loads(libraries)) >= {"numpy", "python"} for _, libraries in found)


def test_a_store_of_1_2_0_is_taken_over(
    tmp_path: Path, rows: list[LabelledPhoto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the picture code of 1.2.0, whatever it has become since."""
    extractor = Logged(tmp_path / "log")
    with FeatureStore(tmp_path / "now.sqlite") as now:
        values = extract_features(rows, now, extractor, jobs=1, progress=False).matrix
    extractor.computed()
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        name, statements = MIGRATIONS[0]
        old.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT) STRICT")
        old.execute("INSERT INTO migrations VALUES (?, '2026-01-01')", (name,))
        old.execute(statements[0])
        for row, stored in zip(rows[:2], values, strict=False):
            under = "min_side=64 code=a6f620e02032e2ab opencv=5.0.0"
            old.execute(
                "INSERT INTO readings VALUES (?, ?, ?, ?, NULL, NULL, '2026-01-01', 'Logged')",
                (row.sha256, extractor.feature_set, under, stored.tobytes()),
            )
    old.close()
    monkeypatch.setattr(
        conditions, "picture_conditions", lambda: f"picture={PICTURE_OF_1_2_0} opencv=5.0.0"
    )
    with FeatureStore(path) as store:
        done, computed = read(rows, store)
    assert (done.read, computed) == (4, [])  # the gate is asked again, and values stay


def test_one_family_alone_has_the_values_that_it_has_among_all() -> None:
    pixels = np.ascontiguousarray(landscape(0.5, height=384, width=512)[0])
    extractor = ScientificFeatureExtractor()
    together = extractor.extract(scene_of(light_of(pixels)))
    assert tuple(together) == extractor.names
    for one in extractor.families:
        alone = extractor.extract(scene_of(light_of(pixels)), [one.name])
        assert tuple(alone) == one.names
        np.testing.assert_array_equal(
            np.array(list(alone.values())), np.array([together[name] for name in alone])
        )
    kept = {one.name: np.array([together[n] for n in one.names]) for one in extractor.families[:4]}
    np.testing.assert_array_equal(
        values_of(scene_of(light_of(pixels)), extractor, kept), np.array(list(together.values()))
    )


def test_code_is_what_it_does_and_not_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "_FOLDER", tmp_path)

    def hashed(source: str) -> str:
        (tmp_path / "photo.py").write_text(source)
        return conditions.code_hash(["photo"])

    before = hashed('"""A photo."""\ndef f(x):\n    """Once."""\n    return x + 1\n')
    assert hashed("# Said otherwise.\ndef f(x): return (x + 1)\n") == before
    assert hashed("def f(x):\n    return x + 2\n") != before


def test_pictures_and_gate_are_all_that_lies_between_bytes_and_features() -> None:
    picture = conditions.closure(conditions.PICTURE_CODE)
    gate = conditions.closure(conditions.GATE_CODE) - picture
    assert {"photo", "light", "sky", "skyline", "detail"} <= picture
    assert {"quality", "capture"} <= gate
    assert not picture & {family.name for family in ScientificFeatureExtractor.families}
