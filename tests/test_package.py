"""What an archive holds, and that the same content is the same archive."""

from __future__ import annotations

import ast
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.main import cli
from features import texture
from features.errors import ArtifactError
from handlers.content_hash import ENTRY, PACKAGES
from lifecycle.production import production_archive
from tests.serving import other_code
from training.package import (
    ROOT,
    archive_name,
    build_archive,
    content_hash,
    repackage,
)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "golden").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"version": "1.2.3"}')
    (folder / "golden" / "scene.png").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the bundled code, to be changed."""
    return other_code(tmp_path / "code", {})


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as mar:
        return {name: mar.read(name) for name in mar.namelist()}


def test_an_archive_holds_entry_packages_and_artifact(artifact: Path, tmp_path: Path) -> None:
    held = contents(build_archive(artifact, "1.2.3", tmp_path / "store"))
    assert held["pm25_handler.py"] == (ROOT / ENTRY).read_bytes()
    assert ENTRY not in held  # once, at the root
    for package in PACKAGES:
        for source in (ROOT / package).rglob("*.py"):
            name = source.relative_to(ROOT).as_posix()
            assert name == ENTRY or held[name] == source.read_bytes()
    assert held["artifact/manifest.json"] == b'{"version": "1.2.3"}'
    assert held["artifact/golden/scene.png"] == bytes(range(256))
    manifest = json.loads(held["MAR-INF/MANIFEST.json"])
    assert manifest["model"]["modelVersion"] == "1.2.3"
    assert manifest["model"]["handler"] == "pm25_handler.py"
    allowed = ("pm25_handler.py", "features/", "handlers/", "artifact/", "MAR-INF/MANIFEST.json")
    assert all(name.startswith(allowed) and "__pycache__" not in name for name in held)


def test_the_same_content_is_the_same_file(artifact: Path, tmp_path: Path) -> None:
    """Also when both are built at the same moment, and whatever the times of the files are."""
    folders = [tmp_path / "one", tmp_path / "two"]
    with ThreadPoolExecutor() as pool:
        builds = pool.map(lambda folder: build_archive(artifact, "1.2.3", folder), folders)
        first, second = builds
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as mar:
        names = [entry.filename for entry in mar.infolist()]
        assert names == sorted(names)
        assert {entry.date_time[0] for entry in mar.infolist()} == {1980}


def change_artifact(artifact: Path, code: Path) -> None:
    (artifact / "golden" / "scene.png").write_bytes(b"another")


def rename_artifact_file(artifact: Path, code: Path) -> None:
    (artifact / "golden" / "scene.png").rename(artifact / "golden" / "other.png")


def change_code(artifact: Path, code: Path) -> None:
    with (code / "features" / "errors.py").open("a") as source:
        source.write("# changed\n")


def change_entry(artifact: Path, code: Path) -> None:
    with (code / ENTRY).open("a") as source:
        source.write("# changed\n")


@pytest.mark.parametrize(
    "change", [change_artifact, rename_artifact_file, change_code, change_entry]
)
def test_any_other_content_has_another_hash(
    change: Callable[[Path, Path], None], artifact: Path, code: Path, tmp_path: Path
) -> None:
    before = content_hash(build_archive(artifact, "1.2.3", tmp_path / "one", code=code))
    change(artifact, code)
    after = content_hash(build_archive(artifact, "1.2.3", tmp_path / "two", code=code))
    assert before != after


def test_the_hash_knows_neither_times_nor_compression_nor_the_server_s_manifest(
    artifact: Path, tmp_path: Path
) -> None:
    archive = build_archive(artifact, "1.2.3", tmp_path)
    other = tmp_path / "other.mar"
    with zipfile.ZipFile(other, "w", zipfile.ZIP_STORED) as mar:
        for name, content in reversed(contents(archive).items()):
            mar.writestr(name, b"{}" if name == "MAR-INF/MANIFEST.json" else content)
    assert content_hash(other) == content_hash(archive)


def test_a_new_build_replaces_the_old_one_and_leaves_nothing_else(
    artifact: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    archive = build_archive(artifact, "1.2.3", store)
    change_artifact(artifact, ROOT)
    assert build_archive(artifact, "1.2.3", store) == archive
    assert list(store.iterdir()) == [archive]
    assert contents(archive)["artifact/golden/scene.png"] == b"another"


@pytest.mark.parametrize("version", ["1", "1.2", "v1.2.3", "1.2.3/../x", "", "1.2.3 "])
def test_a_version_is_three_numbers(version: str, artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        build_archive(artifact, version, tmp_path)
    assert caught.value.code == "invalid_version"


def test_rendered_may_stand_behind_the_version(artifact: Path, tmp_path: Path) -> None:
    archive = build_archive(artifact, "0.1.0-rendered", tmp_path / "store")
    assert archive.name == "pm25-0.1.0-rendered.mar"


def test_without_an_artifact_there_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        build_archive(tmp_path / "nowhere", "1.2.3", tmp_path / "store")
    assert caught.value.code == "no_artifact"
    assert not (tmp_path / "store").exists()


def test_repackaging_keeps_the_artifact_and_takes_the_code_at_hand(
    archive: Path, code: Path, tmp_path: Path
) -> None:
    change_entry(tmp_path, code)
    old, new = contents(archive), contents(repackage(archive, "0.0.2", tmp_path, code=code))
    assert new["pm25_handler.py"] == old["pm25_handler.py"] + b"# changed\n"
    assert json.loads(new["artifact/manifest.json"])["version"] == "0.0.2"
    kept = {name for name in old if name.startswith("artifact/")} - {"artifact/manifest.json"}
    assert kept and all(new[name] == old[name] for name in kept)


def test_code_that_computes_other_numbers_is_not_packaged(
    archive: Path, code: Path, tmp_path: Path
) -> None:
    """The golden vectors travel with the artefact: what moves them is no repackaging."""
    moved = texture.FAMILY.names[0]
    with (code / "features" / "texture.py").open("a") as source:
        source.write(
            "\n_true_features = texture_features\n"
            "\ndef texture_features(*given):\n"
            f"    features = _true_features(*given)\n"
            f"    return {{**features, {moved!r}: features[{moved!r}] * (1 + 1e-4)}}\n"
        )
    with pytest.raises(ArtifactError) as caught:
        repackage(archive, "0.0.2", tmp_path / "store", code=code)
    assert caught.value.code == "golden_vector_moved"
    assert moved in caught.value.detail
    assert not (tmp_path / "store").exists()


def test_the_command_repackages_an_archive(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["package", "--from", str(archive), "--version", "0.0.2"]
    ran = CliRunner().invoke(cli, arguments)
    built = tmp_path / "model_store" / archive_name("0.0.2")
    assert content_hash(built) in ran.stdout
    assert json.loads(contents(built)["artifact/manifest.json"])["version"] == "0.0.2"


def test_the_archive_in_production_holds_the_code_of_this_tree() -> None:
    store = ROOT / "model_store"
    if not (store / "production").exists():
        pytest.skip("no archive is in production yet")
    held = contents(production_archive(store))
    tree = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    tree[Path(ENTRY).name] = tree.pop(ENTRY)
    bundled = {name: content for name, content in held.items() if name.endswith(".py")}
    assert sorted(bundled) == sorted(tree)
    differing = [name for name in tree if bundled[name] != tree[name]]
    assert not differing, "rebuild it: make package ARCHIVE=… VERSION=…"


def test_what_is_no_archive_cannot_be_repackaged(tmp_path: Path) -> None:
    (tmp_path / "text.mar").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "empty.mar", "w"):
        pass
    for name in ("text.mar", "empty.mar", "missing.mar"):
        with pytest.raises(ArtifactError) as caught:
            repackage(tmp_path / name, "0.0.2", tmp_path / "store")
        assert caught.value.code == "broken_archive"


def test_an_artefact_of_another_format_cannot_be_repackaged(archive: Path, tmp_path: Path) -> None:
    """It would be stamped with the format of this code, which could not read its models."""
    old = tmp_path / "old.mar"
    with zipfile.ZipFile(old, "w") as mar:
        for name, content in contents(archive).items():
            if name == "artifact/manifest.json":
                content = json.dumps(json.loads(content) | {"format_version": 1}).encode()
            mar.writestr(name, content)
    with pytest.raises(ArtifactError) as caught:
        repackage(old, "0.0.2", tmp_path / "store")
    assert caught.value.code == "other_format"
    assert not (tmp_path / "store").exists()


def test_the_entry_defines_no_class() -> None:
    """A class beside `handle` would make TorchServe look for another entry and crash in a loop."""
    tree = ast.parse((ROOT / ENTRY).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert "handle" in defined
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
