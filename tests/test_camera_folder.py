"""References that come after training: read when asked for, whole or not at all."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import MetadataError
from features.metadata import parse_metadata
from handlers.camera import LN_PM25, CameraReference
from handlers.camera_folder import (
    FOLDER,
    IGNORED,
    NOTHING,
    CameraFolder,
    reference_path,
    write_reference,
)

ARCHIVE, FEATURES = "a" * 64, "f" * 64
REFERENCE = CameraReference(
    camera="balcony",
    content_hash=ARCHIVE,
    feature_set=FEATURES,
    quantiles={LN_PM25: (2.5, 3.0, 3.5)},
    shift=2.75,
    scale=1.5,
    n=12,
    interval_factors=(0.5, 0.625),
)


@pytest.fixture
def folder(tmp_path: Path) -> CameraFolder:
    return CameraFolder(tmp_path / "cameras", ARCHIVE, FEATURES)


def put(folder: CameraFolder, reference: CameraReference = REFERENCE) -> Path:
    assert folder.folder is not None
    return write_reference(reference, folder.folder)


def why_ignored(folder: CameraFolder, camera: str = "balcony") -> str:
    """The warning that stands in the place of a reference."""
    reference, warning = folder.find(camera)
    assert reference is None
    assert warning is not None
    assert (warning.code, warning.severity) == (IGNORED, "warning")
    assert f"'{camera}'" in warning.detail
    return warning.detail


def test_what_was_written_is_found(folder: CameraFolder) -> None:
    path = put(folder)
    assert folder.find("balcony") == (REFERENCE, None)
    assert [file.name for file in path.parent.iterdir()] == ["balcony.json"]  # and nothing half
    assert path.stat().st_mode & 0o044 == 0o044  # the server may be another user
    assert set(json.loads(path.read_text())) == {
        *("camera", "content_hash", "feature_set", "quantiles", "shift", "scale", "n"),
        "interval_factors",
    }


def test_nobody_is_found_where_nobody_is(folder: CameraFolder, tmp_path: Path) -> None:
    assert folder.find("balcony") == NOTHING  # there is no folder yet
    put(folder)
    assert folder.find("roof") == folder.find(None) == NOTHING
    assert CameraFolder(None, ARCHIVE, FEATURES).find("balcony") == NOTHING


def test_the_environment_names_the_folder(
    folder: CameraFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder)
    monkeypatch.delenv(FOLDER, raising=False)
    assert CameraFolder.of_environment(ARCHIVE, FEATURES).find("balcony") == NOTHING
    monkeypatch.setenv(FOLDER, str(folder.folder))
    assert CameraFolder.of_environment(ARCHIVE, FEATURES).find("balcony") == (REFERENCE, None)


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(folder: CameraFolder) -> None:
    for shift in (1.0, 2.0, 3.0):  # within one tick of the clock, and of one size
        changed = replace(REFERENCE, shift=shift)
        path = put(folder, changed)
        assert folder.find("balcony").reference == changed
    path.write_text("{")
    why_ignored(folder)
    path.unlink()
    assert folder.find("balcony") == NOTHING
    put(folder)
    assert folder.find("balcony").reference == REFERENCE


def test_an_unchanged_file_is_read_once(
    folder: CameraFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder)
    folder.find("balcony")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read again"))
    assert folder.find("balcony").reference == REFERENCE


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("content_hash", "b" * 64, "another archive"),
        ("content_hash", "", "another archive"),
        ("feature_set", "0" * 64, "other features"),
        ("camera", "roof", "another camera"),
        ("quantiles", {"sky_fraction": [0.1, 0.2, 0.3]}, "not made by calibrating"),
        ("quantiles", {LN_PM25: [0.1, 0.2]}, "no whole"),
        ("quantiles", {LN_PM25: ["low", 0.2, 0.3]}, "no whole"),
        ("quantiles", [], "no whole"),
        ("shift", float("nan"), "no whole"),
        ("shift", None, "no whole"),
        ("scale", -0.1, "no whole"),
        ("scale", float("inf"), "no whole"),
        ("n", -1, "no whole"),
        ("interval_factors", [0.0, 1.0], "no whole"),
        ("interval_factors", [1.0], "no whole"),
        ("further", 1, "no whole"),
        ("shift", 10**400, "no whole"),  # JSON's whole numbers have no largest
        ("shift", 1e6, "no whole"),
        ("scale", 1e308, "no whole"),
        ("scale", True, "no whole"),
        ("n", 2.5, "no whole"),
        ("n", True, "no whole"),
        ("interval_factors", [1e300, 1e300], "no whole"),
        ("quantiles", {LN_PM25: [5.0, 3.0, 1.0]}, "no whole"),
        ("quantiles", {LN_PM25: [-1e300, 3.0, 1e300]}, "no whole"),
        ("quantiles", {LN_PM25: [1e300, 1e300, 1e300]}, "no whole"),
    ],
)
def test_what_does_not_fit_is_ignored_with_its_reason(
    folder: CameraFolder, field: str, value: Any, reason: str
) -> None:
    path = put(folder)
    path.write_text(json.dumps({**asdict(REFERENCE), field: value}))
    assert reason in why_ignored(folder)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(list(asdict(REFERENCE))), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_content_of_a_file_stops_an_answer(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = CameraFolder(tmp_path_factory.mktemp("any"), ARCHIVE, FEATURES)
    put(folder).write_bytes(content)
    why_ignored(folder)


def test_a_folder_in_the_place_of_the_file_is_ignored(folder: CameraFolder) -> None:
    assert folder.folder is not None
    reference_path(folder.folder, "balcony").mkdir(parents=True)
    assert "no file" in why_ignored(folder)


def test_what_is_no_file_of_usual_size_is_not_opened(folder: CameraFolder) -> None:
    """A pipe would keep the worker for ever, a device or a large file take all its memory."""
    path = put(folder)
    with path.open("wb") as large:
        large.truncate(2**40)
    assert "no file" in why_ignored(folder)
    path.unlink()
    os.mkfifo(path)
    assert "no file" in why_ignored(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "no file" in why_ignored(folder)
    put(folder)  # a link is replaced, what it leads to is not
    assert folder.find("balcony").reference == REFERENCE


def test_deep_nesting_is_no_way_to_stop_an_answer(folder: CameraFolder) -> None:
    put(folder).write_text("[" * 100_000)
    why_ignored(folder)


def test_readers_see_the_old_reference_or_the_new_one(folder: CameraFolder) -> None:
    """Writing goes on while it is read, by a reader that remembers and by ones that do not."""
    assert folder.folder is not None
    versions = [
        replace(REFERENCE, shift=float(i), n=10**i) for i in range(8)
    ]  # of different lengths: a torn file would be no JSON
    put(folder, versions[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for version in versions:
                put(folder, version)

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        deadline = time.monotonic() + 30.0
        reads = 0
        while (reads < 400 or len(seen) < 3) and time.monotonic() < deadline:
            reads += 1
            for reader in (folder, CameraFolder(folder.folder, ARCHIVE, FEATURES)):
                reference, warning = reader.find("balcony")
                assert warning is None
                assert reference in versions
                seen.add(reference.n if reference else 0)
    finally:
        stop.set()
        writer.join()
    assert len(seen) >= 3  # it was written while it was read
    assert [file.name for file in folder.folder.iterdir()] == ["balcony.json"]


def test_a_write_that_fails_leaves_the_old_reference(folder: CameraFolder) -> None:
    path = put(folder)
    with pytest.raises(ValueError, match="JSON compliant"):
        put(folder, replace(REFERENCE, shift=float("nan")))
    assert folder.find("balcony").reference == REFERENCE
    assert [file.name for file in path.parent.iterdir()] == ["balcony.json"]


@given(st.text(alphabet="./\\ab\0~", min_size=1, max_size=12))
def test_a_name_that_requests_may_give_stays_in_the_folder(name: str) -> None:
    try:
        camera = parse_metadata({"camera": name}).camera
    except MetadataError:
        return
    if camera is not None:
        path = reference_path(Path("/cameras"), camera)
        assert path.parent == Path("/cameras")
        assert path.name == f"{camera}.json"
        assert not path.name.endswith(".part")  # nor is it what a writer has not finished
