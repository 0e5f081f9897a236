"""A version's files back in a folder: each whole or absent, labels.csv and dataset.toml last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from features.errors import DataSetError, DataStoreError
from training.data_versions.manifest import StoredFile
from training.data_versions.object_store import ObjectStore, object_key
from training.file_hashes import FileHashes


def missing_in(folder: Path, files: Iterable[StoredFile], hashes: FileHashes) -> list[StoredFile]:
    """Those of `files` that are not in `folder` yet.

    Raises DataSetError file_in_the_way where something else lies in the place of one.
    """
    there: list[StoredFile] = []
    missing: list[StoredFile] = []
    for file in files:
        (there if (folder / file.path).exists() else missing).append(file)
    found = hashes.of(folder / file.path for file in there)
    for file, sha256 in zip(there, found, strict=True):
        if sha256 != file.sha256:
            raise DataSetError(
                "file_in_the_way",
                f"{folder / file.path} is not the file that would be put there.",
                "Pull into an empty folder, or move that file away.",
            )
    return missing


def fetch(store: ObjectStore, file: StoredFile, folder: Path) -> None:
    """Put `file` into `folder`, under its name once its bytes are checked.

    Raises DataStoreError object_missing, object_damaged.
    """
    place = folder / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}.part")
    digest = hashlib.sha256()
    with unfinished.open("wb") as target:
        for chunk in store.chunks(object_key(file.sha256)):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != file.sha256:
        unfinished.unlink()
        raise DataStoreError(
            "object_damaged",
            f"{store.address} gives other bytes for {file.path} than were registered.",
            "See what is damaged with `pm25 data verify`, and repair it from a folder that still "
            "has the file.",
        )
    unfinished.replace(place)
