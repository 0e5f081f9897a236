"""A version's manifest: hashes that no order changes, versions in order, paths that stay inside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataSetError, DataStoreError
from tests.data_stores import cells, write_set
from training.data_versions.description import describe
from training.data_versions.difference import difference
from training.data_versions.manifest import (
    DatasetVersion,
    StoredFile,
    VersionManifest,
    content_hash,
    dataset_version,
    is_inside,
    label_rows,
    read_manifest,
)
from training.dataset import read_dataset

CARD = {"name": "hills", "licence": "CC0", "source": "a test", "min_side": 300}
text = st.text('abc,é"', max_size=3)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows of up to four columns with unique files, and a hash for each file."""
    files = draw(st.lists(st.text("abc/", min_size=1, max_size=4), unique=True, max_size=6))
    rows = []
    for file in files:
        others = draw(st.dictionaries(st.sampled_from(["site", "pm25", "note"]), text, max_size=3))
        rows.append({"file": file, **{name: cell for name, cell in others.items() if cell}})
    return rows, {file: f"{draw(st.integers(0, 3)):064x}" for file in files}


@given(labelled(), st.randoms(use_true_random=False))
def test_the_order_of_files_rows_and_columns_does_not_matter(drawn, random) -> None:  # type: ignore[no-untyped-def]
    rows, sha256_of = drawn
    turned = [dict(random.sample(sorted(row.items()), len(row))) for row in rows]
    random.shuffle(turned)
    files = dict(random.sample(sorted(sha256_of.items()), len(sha256_of)))
    assert content_hash(CARD, turned, files) == content_hash(CARD, rows, sha256_of)


@given(labelled(), st.data())
def test_whatever_changes_makes_another_hash(drawn, data) -> None:  # type: ignore[no-untyped-def]
    rows, sha256_of = drawn
    before = content_hash(CARD, rows, sha256_of)
    assert content_hash({**CARD, "licence": "CC-BY-4.0"}, rows, sha256_of) != before
    assert content_hash(CARD, [*rows, {"file": "new"}], {**sha256_of, "new": "0" * 64}) != before
    if not rows:
        return
    row = data.draw(st.sampled_from(rows))
    assert content_hash(CARD, [other for other in rows if other is not row], sha256_of) != before
    assert content_hash(CARD, rows, {**sha256_of, row["file"]: "f" * 64}) != before
    relabelled = [{**other, "pm25": "99"} if other is row else other for other in rows]
    assert content_hash(CARD, relabelled, sha256_of) != before


@given(labelled(), labelled())
def test_a_difference_leads_from_one_to_the_other(one, other) -> None:  # type: ignore[no-untyped-def]
    before = [(one[1][row["file"]], row) for row in one[0]]
    after = [(other[1][row["file"]], row) for row in other[0]]
    found = difference(before, after)
    assert len(after) == len(before) + len(found.added) - len(found.removed)
    changed = {change.file for change in (*found.relabelled, *found.redescribed)}
    same = [pair for pair in after if pair[1]["file"] not in {*found.added, *changed}]
    assert all(pair in before for pair in same)
    back = difference(after, before)
    assert (back.added, back.removed) == (found.removed, found.added)
    assert len(back.relabelled) == len(found.relabelled)


def test_cells_are_read_as_the_data_set_reads_them() -> None:
    lines = '\ufefffile, site ,note\r\nimages/1.jpg,  hill ,\r\n\r\n"a,b.jpg",,x\r\n'.encode()
    assert label_rows(lines) == [
        {"file": "images/1.jpg", "site": "hill"},
        {"file": "a,b.jpg", "note": "x"},
    ]


def test_versions_are_ordered_as_semantic_versioning_says() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0"]
    versions = [dataset_version(f"hills@{version}") for version in ordered]
    turned = versions[5:] + versions[:5]
    assert sorted(turned, key=lambda version: version.precedence) == versions


@pytest.mark.parametrize("version", ["1", "1.0", "01.0.0", "1.0.0-", "1.0.0-01", "v1.0.0"])
def test_what_is_no_semantic_version_is_refused(version: str) -> None:
    with pytest.raises(DataSetError) as caught:
        dataset_version(f"hills@{version}")
    assert caught.value.code == "invalid_version"


def manifest_of(folder: Path) -> VersionManifest:
    write_set(folder, [cells(number) for number in range(3)])
    dataset = read_dataset(folder)
    files = [StoredFile(name, "0" * 64, 1) for name in ("labels.csv", "dataset.toml")]
    files += [StoredFile(row.file, row.sha256, 3) for row in dataset.rows]
    labels = (folder / "labels.csv").read_bytes()
    return describe(dataset, DatasetVersion("hills", "1.0.0"), None, files, labels)


def test_a_manifest_survives_its_way_through_the_store(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    assert read_manifest(manifest.to_bytes(), "here") == manifest


@pytest.mark.parametrize(
    "path", ["../escape.jpg", "/etc/passwd", "a/../../b.jpg", "", "images/../../x"]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    assert not is_inside(path)
    manifest = manifest_of(tmp_path)
    evil = replace(manifest, files=(*manifest.files, StoredFile(path, "0" * 64, 1)))
    with pytest.raises(DataStoreError) as caught:
        read_manifest(evil.to_bytes(), "here")
    assert caught.value.code == "manifest_damaged"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("files"),
        lambda content: content.update(version="one"),
        lambda content: content["files"].pop("labels.csv"),
        lambda content: content["files"].update({"x.jpg": ["zz", 1]}),
        lambda content: content.update(surprise=1),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(manifest_of(tmp_path).to_bytes())
    damage(content)
    with pytest.raises(DataStoreError, match="over there"):
        read_manifest(json.dumps(content).encode(), "over there")


def test_one_of_a_later_format_says_so(tmp_path: Path) -> None:
    content = json.loads(manifest_of(tmp_path).to_bytes()) | {"format": 2}
    with pytest.raises(DataStoreError) as caught:
        read_manifest(json.dumps(content).encode(), "over there")
    assert caught.value.code == "manifest_too_new"
