"""Build a model archive: the artefact and the code that reads it, in one file.

    pm25_handler.py  features/  handlers/  artifact/  MAR-INF/MANIFEST.json

The same content gives the same bytes: names sorted, times fixed, no date inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from features.errors import ArtifactError
from handlers.artifact import MANIFEST, check_format, write_manifest
from handlers.content_hash import ENTRY, bundled_code, combined_hash
from training.archive import RunningArchive

MODEL = "pm25"  # its name in archives, in the server and in addresses
ROOT = Path(__file__).resolve().parent.parent
_SERVER_MANIFEST = "MAR-INF/MANIFEST.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def build_archive(artifact_folder: Path, version: str, out: Path, *, code: Path = ROOT) -> Path:
    """Write `out`/pm25-<version>.mar from the artefact and the code below `code`; return its path.

    An archive of that name is replaced, in one step. Raises ArtifactError: invalid_version,
    no_artifact, archiver_failed.
    """
    check_version(version)
    if not artifact_folder.is_dir():
        raise ArtifactError(
            "no_artifact", f"{artifact_folder} is no folder.", "Train first: `make train`."
        )
    out.mkdir(parents=True, exist_ok=True)
    target = out / archive_name(version)
    with tempfile.TemporaryDirectory(prefix="pm25-package-") as scratch:
        stage = Path(scratch) / "stage"
        _stage(artifact_folder, code, stage)
        built = _run_archiver(stage, code / ENTRY, version, Path(scratch))
        rewritten = target.with_suffix(".mar.part")
        _rewrite(built, rewritten)
    rewritten.replace(target)
    return target


def check_version(version: str) -> None:
    """Raise ArtifactError invalid_version unless `version` is one, such as 1.2.3 or 1.2.3-rc.1."""
    if not _VERSION.fullmatch(version):
        raise ArtifactError(
            "invalid_version",
            f"{version!r} is no version.",
            "Write it as 1.2.3, or 1.2.3-rendered.",
        )


def archive_name(version: str) -> str:
    """The file name of the archive of `version`."""
    return f"{MODEL}-{version}.mar"


def repackage(source: Path, version: str, out: Path, *, code: Path = ROOT) -> Path:
    """Build `version` from the artefact inside the archive `source` and the code below `code`.

    Needs no data. Raises ArtifactError: broken_archive, other_format, and whatever the new archive
    says when it refuses to load: a golden vector moved, or the code computes another feature set.
    """
    with tempfile.TemporaryDirectory(prefix="pm25-package-") as scratch:
        artifact = _unpack_artifact(source, Path(scratch))
        manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
        check_format(manifest["format_version"])
        write_manifest(artifact, version, manifest["feature_set"], manifest["dataset_hash"])
        built = build_archive(artifact, version, Path(scratch) / "built", code=code)
        with RunningArchive(built):
            pass  # it has recomputed its golden vectors
        out.mkdir(parents=True, exist_ok=True)
        target = out / built.name
        shutil.copyfile(built, target.with_suffix(".mar.part"))
    target.with_suffix(".mar.part").replace(target)
    return target


def content_hash(archive: Path) -> str:
    """SHA-256 over `artifact/` and the bundled code of an archive: the name of what it computes.

    It covers names and contents, and leaves out TorchServe's manifest, times and compression.
    """
    with zipfile.ZipFile(archive) as mar:
        return combined_hash(
            {
                name: hashlib.sha256(mar.read(name)).hexdigest()
                for name in mar.namelist()
                if not name.endswith("/") and name != _SERVER_MANIFEST
            }
        )


def _unpack_artifact(source: Path, folder: Path) -> Path:
    """Write `artifact/` of the archive `source` into `folder` and return it."""
    try:
        with zipfile.ZipFile(source) as mar:
            inside = [name for name in mar.namelist() if name.startswith("artifact/")]
            mar.extractall(folder, inside)
    except (OSError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            "broken_archive",
            f"{source} cannot be read ({error}).",
            "Name another archive, or build it again with `make train` and `make package`.",
        ) from None
    if f"artifact/{MANIFEST}" not in inside:
        raise ArtifactError(
            "broken_archive", f"{source} holds no artefact.", "Name an archive of this project."
        )
    return folder / "artifact"


def _stage(artifact_folder: Path, code: Path, stage: Path) -> None:
    """Lay out what TorchServe copies to the archive's root: packages, and the artefact."""
    for name, source in bundled_code(code).items():
        if source != code / ENTRY:  # the archiver puts it at the root
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, stage / name)
    shutil.copytree(artifact_folder, stage / "artifact")


def _run_archiver(stage: Path, entry: Path, version: str, scratch: Path) -> Path:
    """Run torch-model-archiver and return the archive that it wrote into `scratch`."""
    command = [sys.executable, "-m", "model_archiver.model_packaging"]
    command += ["--model-name", MODEL, "--version", version, "--handler", str(entry)]
    command += ["--extra-files", str(stage), "--export-path", str(scratch)]
    # It works in one folder of a fixed name in the temporary folder: a private one keeps two
    # builds at the same time apart.
    own = scratch / "archiver"
    own.mkdir()
    ran = subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(own)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise ArtifactError(
            "archiver_failed",
            f"torch-model-archiver ended with {ran.returncode}: {ran.stderr.strip()[-500:]}",
            "Install what training needs: `make setup`.",
        )
    return scratch / f"{MODEL}.mar"


def _rewrite(built: Path, target: Path) -> None:
    """Copy an archive entry by entry, sorted, without times and its manifest's date."""
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(target, "w") as rewritten:
        for name in sorted(source.namelist()):
            if name.endswith("/"):
                continue
            content = source.read(name)
            if name == _SERVER_MANIFEST:
                manifest = json.loads(content)
                manifest["createdOn"] = "01/01/1980 00:00:00"  # without it, TorchServe warns
                content = json.dumps(manifest, indent=2, sort_keys=True).encode()
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            rewritten.writestr(entry, content, compresslevel=9)
