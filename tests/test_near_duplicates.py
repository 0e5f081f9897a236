"""Near-copies: found among real pictures, told from the same view on another day, kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from training.dataset import DataSet, LabelledPhoto, read_dataset
from training.datasets_db import DatasetsDatabase
from training.first_look import FirstLook, first_looks, look_at
from training.near_duplicates import with_links
from training.picture_hash import near_copies
from training.splits import joined, unseen_days, unseen_months, unseen_sites

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
SIDE = 100  # [px]


def encoded(pixels: np.ndarray, quality: int) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def hash_of(data: bytes) -> bytes:
    found = look_at(data, SIDE).picture_hash
    assert found is not None
    return found


@pytest.mark.parametrize("number", [0, 21, 45])
def test_a_copy_is_found_and_other_air_is_none(rendered: DataSet, number: int) -> None:
    pixels = cv2.imread(str(rendered.rows[number].path))
    copies = [
        encoded(pixels, 60),
        encoded(cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 90),
        encoded(cv2.resize(pixels, None, fx=1.5, fy=1.5), 90),
    ]
    hazier = encoded((0.9 * pixels + 0.1 * 230).astype(np.uint8), 95)
    hashes = [hash_of(data) for data in (encoded(pixels, 95), *copies, hazier)]
    pairs = set(near_copies(hashes))
    assert {(0, 1), (0, 2), (0, 3)} <= pairs
    assert not {pair for pair in pairs if 4 in pair}


def test_scenes_of_other_sessions_are_no_copies(rendered: DataSet, tmp_path: Path) -> None:
    with DatasetsDatabase(tmp_path / "datasets.db") as database:
        looks = first_looks(rendered.rows, database, jobs=1)
    assert with_links(rendered.rows, looks) == list(rendered.rows)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_pairs_are_those_of_the_definition(seed: int, n: int) -> None:
    """The sorting only saves work: each pair is compared with every other here."""
    drawn = np.random.default_rng(seed)
    table = drawn.integers(0, 256, (n, 272), dtype=np.uint8)
    for i in range(1, n):  # most are changed copies of the first
        table[i] = table[0]
        table[i, :16] ^= (1 << drawn.integers(0, 8, 16) * drawn.integers(0, 2, 16)).astype(np.uint8)
        steps = drawn.integers(0, 4, 256).astype(np.uint8)
        table[i, 16:] = np.minimum(table[i, 16:], 250) + steps * drawn.integers(0, 2)
    hamming = np.bitwise_count(table[:, None, :16] ^ table[None, :, :16]).sum(axis=2)
    change = np.abs(table[:, None, 16:].astype(int) - table[None, :, 16:]).mean(axis=2)
    near = np.triu((hamming <= 12) & (change <= 1.0), 1)
    assert set(near_copies([row.tobytes() for row in table])) == {
        (int(i), int(j)) for i, j in np.argwhere(near)
    }


def photo(site: str, session: str, number: int = 0) -> LabelledPhoto:
    return LabelledPhoto(
        path=Path(f"{session}_{number}.jpg"),
        file=f"{session}_{number}.jpg",
        sha256="0" * 64,
        min_side=SIDE,
        site=site,
        camera="",
        country="CO",
        session=session,
        pm25=12.0,
        pm25_quality="A",
        pm25_as_published="12",
        pm10=None,
        metadata=PhotoMetadata(),
    )


def looks_of(*levels: int) -> list[FirstLook]:
    return [FirstLook((), bytes(16) + bytes([level] * 256)) for level in levels]


def test_links_are_passed_on_and_named_by_the_first_session() -> None:
    rows = [photo("a", "a2"), photo("a", "a1"), photo("b", "b1"), photo("c", "c1")]
    looks = looks_of(10, 11, 12, 90)  # a2 ~ a1 ~ b1
    named = with_links(rows, looks)
    assert [row.linked for row in named] == ["a/a1", "a/a1", "a/a1", ""]
    turned = with_links(rows[::-1], looks[::-1])
    assert turned == named[::-1]


def test_a_photo_that_cannot_be_decoded_is_linked_to_nothing() -> None:
    rows = [photo("a", "a1"), photo("b", "b1")]
    assert with_links(rows, [FirstLook((), None)] * 2) == rows


@st.composite
def linked_rows(draw: st.DrawFn) -> list[LabelledPhoto]:
    """Up to four sites of up to six sessions on days of their own, some linked at will."""
    from datetime import UTC, datetime, timedelta

    rows = []
    for site in "abcd"[: draw(st.integers(1, 4))]:
        for number in range(draw(st.integers(1, 6))):
            time = datetime(2025, 3, 20, 9, tzinfo=UTC) + timedelta(days=4 * number)
            link = draw(st.sampled_from(["", "", "x", "y"]))
            metadata = PhotoMetadata(captured_at=time)
            row = replace(photo(site, f"{site}{number}"), linked=link, metadata=metadata)
            rows += [replace(row, camera=f"camera_{site}")] * draw(st.integers(1, 2))
    return rows


@settings(max_examples=50)
@given(linked_rows())
def test_no_split_parts_what_is_linked(rows: list[LabelledPhoto]) -> None:
    for split in (unseen_days, unseen_months, unseen_sites):
        for fold in split(rows):
            trained = {rows[i].linked for i in fold.train} - {""}
            assert not trained & {rows[i].linked for i in fold.test}
            assert len(fold.train) and len(fold.test)


@settings(max_examples=50)
@given(linked_rows())
def test_a_link_takes_nothing_from_what_is_tested(rows: list[LabelledPhoto]) -> None:
    without = [replace(row, linked="") for row in rows]
    for split in (unseen_days, unseen_months, unseen_sites):
        tested = {fold.name: list(fold.test) for fold in split(without)}
        for fold in split(rows):
            assert list(fold.test) == tested[fold.name]


@settings(max_examples=50)
@given(linked_rows())
def test_groups_are_joined_where_a_link_leads_from_one_to_the_other(
    rows: list[LabelledPhoto],
) -> None:
    sites = [row.site for row in rows]
    groups = joined(sites, rows)
    assert joined(sites, [replace(row, linked="") for row in rows]) == sites
    for link in {row.linked for row in rows} - {""}:
        assert len({g for g, row in zip(groups, rows, strict=True) if row.linked == link}) == 1
    assert len(set(zip(sites, groups, strict=True))) == len(set(sites))
    assert len(set(groups)) >= len(set(sites)) - 3  # two links join at most four sites to one


def test_a_look_is_taken_once_and_kept(
    rendered: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rendered.rows[:4]
    with DatasetsDatabase(tmp_path / "datasets.db") as database:
        first = first_looks(rows, database, jobs=1)
        moved = [replace(row, path=tmp_path / "gone.jpg") for row in rows]
        assert first_looks(moved, database, jobs=1) == first
        stricter = [replace(row, min_side=5000) for row in rows]
        refused = first_looks(stricter, database, jobs=1)
    assert all(look.refusal is None for look in first)
    assert {look.refusal.code for look in refused if look.refusal} == {"too_small"}


@pytest.mark.long
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_near_copies_of_the_real_sets_are_one_publishers_repeated_video(tmp_path: Path) -> None:
    rows = [row for name in ("milan", "india_nepal") for row in read_dataset(SHARED / name).rows]
    with DatasetsDatabase(tmp_path / "datasets.db") as database:
        named = with_links(rows, first_looks(rows, database, jobs=1))
    linked = {(row.linked.split("/")[1], row.session) for row in named if row.linked}
    assert linked == {
        ("greater_noida_20230215_1700", "greater_noida_20230215_1700"),
        ("greater_noida_20230215_1700", "greater_noida_20230216_0830"),
        ("greater_noida_20230218_1100", "greater_noida_20230218_1100"),
        ("greater_noida_20230218_1100", "greater_noida_20230218_1430"),
    }
    for split in (unseen_days, unseen_months, unseen_sites):  # no figure depends on these links
        for with_them, without in zip(split(named), split(rows), strict=True):
            assert np.array_equal(with_them.train, without.train)
            assert np.array_equal(with_them.test, without.test)
