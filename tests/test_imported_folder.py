"""An import appears whole or not at all, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import DataSetError
from tests.published import write_photo
from training.dataset import read_dataset
from training.importers.imported_folder import import_photos
from training.importers.imported_photo import Imported, ImportedPhoto, PublishedSet

CELLS = {"site": "s", "session": "v", "pm25": "10", "pm25_quality": "A"}


def published(reads: list[str], fails_at: str = "") -> PublishedSet:
    """Four photos whose bytes are changed on the way; `reads` tells which."""

    def change(data: bytes, name: str) -> bytes:
        if name == fails_at:
            raise KeyboardInterrupt
        reads.append(name)
        return data + name.encode()

    def read(folder: Path) -> Imported:
        for path in sorted(folder.glob("*.jpg")):
            yield ImportedPhoto(
                path.name, path, CELLS, change=lambda data, name=path.name: change(data, name)
            )

    return PublishedSet("test", "t", "l", "o", 1, read)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in "abcd":
        write_photo(tmp_path / "source" / f"{name}.jpg")
    return tmp_path / "source"


def test_a_stopped_import_goes_on_where_it_was(source: Path, tmp_path: Path) -> None:
    reads: list[str] = []
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        import_photos(published(reads, fails_at="c.jpg"), source, out, progress=False)
    assert not out.exists()
    import_photos(published(reads), source, out, progress=False)
    assert reads == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [row.file for row in read_dataset(out).rows] == [f"images/{n}.jpg" for n in "abcd"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_another_choice_does_not_go_on_with_what_one_began(source: Path, tmp_path: Path) -> None:
    reads: list[str] = []
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        import_photos(published(reads, fails_at="c.jpg"), source, out, progress=False)
    import_photos(published(reads), source, out, sites=["s"], progress=False)
    assert reads == ["a.jpg", "b.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_a_folder_that_is_there_is_left_alone(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataSetError) as caught:
        import_photos(published([]), source, source, progress=False)
    assert caught.value.code == "folder_exists"
    assert len(list(source.iterdir())) == 4


def test_nothing_to_import_says_why(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataSetError) as caught:
        import_photos(published([]), source, tmp_path / "out", sites=["elsewhere"], progress=False)
    assert caught.value.code == "no_photos"
    assert "4 × other_site" in caught.value.detail


def test_a_row_that_would_break_the_contract_is_left_out(source: Path, tmp_path: Path) -> None:
    whole = published([])

    def read(folder: Path) -> Imported:
        wrong = ({"lat": "91", "lon": "0"}, {"pm25": "1e9"}, {"captured_at": "soon"}, {})
        for item, cells in zip(whole.read(folder), wrong, strict=True):
            assert isinstance(item, ImportedPhoto)
            yield replace(item, cells={**item.cells, **cells})

    made = import_photos(replace(whole, read=read), source, tmp_path / "out", progress=False)
    assert made.photos == 1
    assert sum(made.left_out.values()) == 3 and "invalid_label" in made.left_out
