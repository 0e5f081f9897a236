"""What belongs to a version: its files by hash, its counts and labels, where it comes from.

The manifest is JSON and says all that `pm25 data show` shows; labels.csv, dataset.toml and the
photos are objects of the store. `content_hash` is over what the version holds: every cell of
labels.csv (an empty one says nothing), every photo by its bytes, and the card. It depends neither
on the order of rows, columns and files nor on blanks. `dataset_hash` is the narrower one that an
archive names: what photos show and say (training/dataset.py).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from features.errors import DataSetError, DataStoreError

FORMAT = 1
CARD, LABELS = "dataset.toml", "labels.csv"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NUMBER = r"(?:0|[1-9]\d*)"
_PART = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}(?:\.{_PART})*))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DatasetVersion(NamedTuple):
    """A data set's name and one of its versions, written `milan@1.0.0`."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def key(self) -> str:
        """Where its manifest lies in a store."""
        return f"versions/{self.name}/{self.version}.json"

    @property
    def precedence(self) -> tuple[Any, ...]:
        """Sorts versions as Semantic Versioning does: 1.0.0-rc.1 before 1.0.0 before 1.10.0."""
        found = _VERSION.fullmatch(self.version)
        if found is None:
            raise ValueError(f"{self.version!r} is no version.")
        *numbers, before = found.groups()
        parts = [
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in (before.split(".") if before else ())
        ]
        return (self.name, *map(int, numbers), before is None, parts)


def dataset_version(text: str) -> DatasetVersion:
    """Read `NAME@VERSION`. Raises DataSetError invalid_version."""
    name, _, version = text.partition("@")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise DataSetError(
            "invalid_version",
            f"{text!r} is not a data set's name and version.",
            "Write NAME@VERSION, for instance milan@1.0.0: a name of small letters, digits, _ and "
            "-, and a semantic version.",
        )
    return DatasetVersion(name, version)


@dataclass(frozen=True)
class StoredFile:
    """One file of a version: its path in the folder, SHA-256 and size [bytes]."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class VersionManifest:
    """All that is known of one version.

    parent        the version that it came from, None for the first
    created_at    ISO 8601, UTC
    title         the card's `name`, licence, source, min_side: as in dataset.toml
    counts        photos, labelled, sites, cameras, sessions, bytes
    labels        of the labelled photos [ug m-3]: min, median, mean, sd, max (null where there is
                  none); by_quality: photos by pm25_quality
    files         labels.csv, dataset.toml and every photo, by path
    """

    name: str
    version: str
    content_hash: str
    dataset_hash: str
    parent: str | None
    created_at: str
    title: str
    licence: str
    source: str
    min_side: int
    counts: Mapping[str, int]
    labels: Mapping[str, Any]
    files: tuple[StoredFile, ...]

    @property
    def dataset_version(self) -> DatasetVersion:
        return DatasetVersion(self.name, self.version)

    @property
    def card(self) -> dict[str, Any]:
        """What dataset.toml says."""
        return {
            "name": self.title,
            "licence": self.licence,
            "source": self.source,
            "min_side": self.min_side,
        }

    def summary(self) -> dict[str, Any]:
        """All but the files, as it is printed."""
        return {key: value for key, value in asdict(self).items() if key != "files"}

    def to_bytes(self) -> bytes:
        """The manifest as it is stored."""
        content = {
            "format": FORMAT,
            **self.summary(),
            "files": {file.path: [file.sha256, file.size] for file in self.files},
        }
        return json.dumps(content, indent=1, ensure_ascii=False).encode()


def read_manifest(content: bytes, where: str) -> VersionManifest:
    """The manifest in `content`, found at `where`.

    Raises DataStoreError manifest_damaged, manifest_too_new; also for a path that would leave the
    folder it is pulled into.
    """
    try:
        read = json.loads(content)
        if read.pop("format") != FORMAT:
            raise DataStoreError(
                "manifest_too_new",
                f"{where} was written by newer code.",
                "Use the newer code.",
            )
        files = tuple(
            StoredFile(path, sha256, size) for path, (sha256, size) in read.pop("files").items()
        )
        manifest = VersionManifest(**read, files=files)
        dataset_version(str(manifest.dataset_version))
        sound = {CARD, LABELS} <= {file.path for file in files} and all(map(_is_sound, files))
    except (ValueError, TypeError, KeyError, AttributeError, DataSetError) as error:
        raise _damaged(where) from error
    if not sound:
        raise _damaged(where)
    return manifest


def label_rows(labels_csv: bytes) -> list[dict[str, str]]:
    """The rows of a labels.csv that was read before: non-empty cells by column, stripped."""
    reader = csv.DictReader(io.StringIO(labels_csv.decode("utf-8-sig"), newline=""))
    return [
        {name.strip(): cell.strip() for name, cell in row.items() if name and cell and cell.strip()}
        for row in reader
    ]


def content_hash(
    card: Mapping[str, Any], rows: Sequence[Mapping[str, str]], sha256_of: Mapping[str, str]
) -> str:
    """SHA-256 over the card, the cells of all rows, and their photos by the bytes.

    card       name, licence, source, min_side
    sha256_of  the hash of each row's `file`
    """
    described = json.dumps(sorted(card.items()), ensure_ascii=False)
    lines = sorted(
        json.dumps([sha256_of[row["file"]], sorted(row.items())], ensure_ascii=False)
        for row in rows
    )
    return hashlib.sha256("\n".join([described, *lines]).encode()).hexdigest()


def is_inside(path: str) -> bool:
    """Whether `path` names a file inside whatever folder it is put into."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts


def _is_sound(file: StoredFile) -> bool:
    return is_inside(file.path) and bool(_SHA256.fullmatch(file.sha256)) and file.size >= 0


def _damaged(where: str) -> DataStoreError:
    return DataStoreError(
        "manifest_damaged",
        f"{where} is not a manifest that was written here.",
        "Restore it from a backup or from the bucket's versions; the objects are not touched.",
    )
