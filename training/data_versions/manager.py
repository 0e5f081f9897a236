"""Register a folder as an immutable version; list, compare, verify and pull versions.

    hash each file once ─ read the data set strictly ─ upload the objects that the store lacks,
    side by side ─ create the manifest: of several at once one wins ─ remember it in datasets.db

Stopped at any moment, it leaves whole objects and no version; the next try finds them and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from features.errors import DataSetError, DataStoreError
from training.data_versions.catalogue import VersionCatalogue, version_of
from training.data_versions.description import describe
from training.data_versions.difference import Difference, Row, difference
from training.data_versions.manifest import (
    CARD,
    LABELS,
    DatasetVersion,
    StoredFile,
    VersionManifest,
    content_hash,
    dataset_version,
    label_rows,
    read_manifest,
)
from training.data_versions.object_store import ObjectStore, Stored, object_key
from training.data_versions.pulled_folder import fetch, missing_in
from training.data_versions.side_by_side import side_by_side
from training.dataset import read_dataset
from training.datasets_db import DatasetsDatabase
from training.file_hashes import FileHashes
from training.meter import Meter, silent

JOBS = 8  # uploads and downloads side by side: they wait for the network, not for a processor
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Registration(NamedTuple):
    """A version, and whether this call made it; `uploaded` objects were new to the store."""

    manifest: VersionManifest
    created: bool
    uploaded: int


class Damage(NamedTuple):
    """One file of a version that the store does not give back: missing, or other bytes."""

    path: str
    sha256: str
    what: str


@dataclass(frozen=True)
class Verification:
    """`damaged` is empty for a version that is whole. `n_objects` were read."""

    n_objects: int
    damaged: tuple[Damage, ...]


class VisionDatasetManager:
    """Versions of data sets in `store`; `database` remembers them, and the hashes of files.

    jobs   transfers side by side
    meter  is told of each part of the work and counts its steps
    """

    def __init__(
        self,
        store: ObjectStore,
        database: DatasetsDatabase,
        *,
        jobs: int = JOBS,
        meter: Meter = silent,
    ) -> None:
        self.store = store
        self._hashes = FileHashes(database, meter)
        self._catalogue = VersionCatalogue(database, store.address)
        self._jobs, self._meter = jobs, meter

    def register(
        self, folder: Path, version: DatasetVersion, parent: DatasetVersion | None = None
    ) -> Registration:
        """Make `version` of the data set in `folder`; by default its parent is the newest one.

        Registering the same content again changes nothing and uploads nothing. Raises
        DataSetError: whatever breaks the folder's contract; version_taken when the version holds
        something else; parent_missing. DataStoreError when the store fails.
        """
        self.store.tidy()
        known = [version_of(row) for row in self.list()]
        if parent is None:
            earlier = [other for other in known if other.name == version.name and other != version]
            parent = earlier[-1] if earlier else None
        elif parent not in known:
            raise _no_version(parent, known, self.store, "parent_missing")
        manifest = self._describe(folder, version, parent)
        if version in known:
            return Registration(self._same(manifest), False, 0)
        uploaded = self._upload(folder, manifest.files)
        content = manifest.to_bytes()
        created = self.store.create(version.key, content)
        if created:
            self._catalogue.put(manifest, content)
        return Registration(manifest if created else self._same(manifest), created, uploaded)

    def list(self) -> Sequence[dict[str, Any]]:
        """What is known of every version, after a look at the store; oldest of a name first."""
        known = {version_of(row) for row in self._catalogue.versions()}
        stored = {
            version for version in map(_version_at, self.store.stored("versions/")) if version
        }
        for version in sorted(stored - known):
            self.manifest(version)
        if known - stored:
            self._catalogue.forget(known - stored)
        return self._catalogue.versions()

    def manifest(self, version: DatasetVersion) -> VersionManifest:
        """The manifest of `version`, from the store. Raises DataSetError no_version."""
        try:
            content = self.store.read(version.key)
        except DataStoreError as error:
            if error.code != "object_missing":
                raise
            known = [version_of(row) for row in self.list()]
            raise _no_version(version, known, self.store, "no_version") from error
        manifest = read_manifest(content, f"{self.store.address}, {version.key}")
        self._catalogue.put(manifest, content)
        return manifest

    def diff(self, before: DatasetVersion, after: DatasetVersion) -> Difference:
        """Photos added, removed, relabelled and redescribed from `before` to `after`."""
        return difference(self._rows(before), self._rows(after))

    def verify(self, version: DatasetVersion, repair_from: Path | None = None) -> Verification:
        """Read every object of `version` back and hash it.

        repair_from  a folder whose files of the right bytes are put in the place of damaged ones
        """
        manifest = self.manifest(version)
        by_hash = {file.sha256: file for file in manifest.files}
        found = self._each("verifying", list(by_hash.values()), self._damage)
        damaged = sorted(damage for damage in found if damage is not None)
        if repair_from is not None and damaged:
            damaged = [one for one in damaged if not self._repaired(one, repair_from, manifest)]
        if not damaged and self._content_hash(manifest) != manifest.content_hash:
            damaged = [Damage(version.key, manifest.content_hash, "not what was registered")]
        return Verification(len(by_hash), tuple(damaged))

    def pull(self, version: DatasetVersion, folder: Path) -> int:
        """Put the files of `version` into `folder`, and return how many were not there yet.

        labels.csv and dataset.toml come last: a folder that was half pulled is no data set, and is
        completed by the next try. Raises DataSetError file_in_the_way where something else lies.
        """
        manifest = self.manifest(version)
        last = [file for file in manifest.files if file.path in (CARD, LABELS)]
        photos = [file for file in manifest.files if file.path not in (CARD, LABELS)]
        n_put = 0
        for files in (photos, last):
            missing = missing_in(folder, files, self._hashes)
            self._each("pulling", missing, lambda file: fetch(self.store, file, folder))
            n_put += len(missing)
        return n_put

    def _describe(
        self, folder: Path, version: DatasetVersion, parent: DatasetVersion | None
    ) -> VersionManifest:
        # The hashes of the two text files come first: what is read is then what is uploaded, or
        # the upload refuses.
        own = [folder / LABELS, folder / CARD]
        hashes = [found for found in self._hashes.of(own) if isinstance(found, str)]
        dataset = read_dataset(folder, self._hashes)
        files = [
            StoredFile(path.name, sha256, path.stat().st_size)
            for path, sha256 in zip(own, hashes, strict=True)
        ]
        files += [StoredFile(row.file, row.sha256, row.path.stat().st_size) for row in dataset.rows]
        return describe(dataset, version, parent, files, own[0].read_bytes())

    def _upload(self, folder: Path, files: Collection[StoredFile]) -> int:
        by_hash = {file.sha256: file for file in files}
        shards = {object_key(sha256).rsplit("/", 1)[0] + "/" for sha256 in by_hash}
        listed = self._each("comparing", sorted(shards), lambda shard: [*self.store.stored(shard)])
        there = {stored for shard in listed for stored in shard}
        new = [f for f in by_hash.values() if (object_key(f.sha256), f.size) not in there]
        self._each(
            "uploading",
            new,
            lambda f: self.store.put_file(object_key(f.sha256), folder / f.path, f.sha256),
        )
        return len(new)

    def _same(self, manifest: VersionManifest) -> VersionManifest:
        """The version as it is stored, if that holds what `manifest` does."""
        version = manifest.dataset_version
        there = self.manifest(version)
        if there.content_hash != manifest.content_hash:
            raise DataSetError(
                "version_taken",
                f"{version} is there already and holds something else: its content hash is "
                f"{there.content_hash[:12]}…, that of the folder {manifest.content_hash[:12]}….",
                "A version never changes: register the folder under a higher one. `pm25 data "
                "diff` shows what changed once both are there.",
            )
        return there

    def _rows(self, version: DatasetVersion) -> Iterator[tuple[str, Row]]:
        manifest = self.manifest(version)
        sha256_of = {file.path: file.sha256 for file in manifest.files}
        for row in label_rows(self.store.read(object_key(sha256_of[LABELS]))):
            yield sha256_of[row["file"]], row

    def _content_hash(self, manifest: VersionManifest) -> str:
        sha256_of = {file.path: file.sha256 for file in manifest.files}
        rows = label_rows(self.store.read(object_key(sha256_of[LABELS])))
        return content_hash(manifest.card, rows, sha256_of)

    def _damage(self, file: StoredFile) -> Damage | None:
        digest = hashlib.sha256()
        try:
            for chunk in self.store.chunks(object_key(file.sha256)):
                digest.update(chunk)
        except DataStoreError as error:
            if error.code != "object_missing":
                raise
            return Damage(file.path, file.sha256, "missing")
        if digest.hexdigest() == file.sha256:
            return None
        return Damage(file.path, file.sha256, "other bytes")

    def _repaired(self, damage: Damage, folder: Path, manifest: VersionManifest) -> bool:
        paths = [folder / f.path for f in manifest.files if f.sha256 == damage.sha256]
        for path in paths:
            if path.is_file() and [*self._hashes.of([path])] == [damage.sha256]:
                self.store.put_file(object_key(damage.sha256), path, damage.sha256)
                return True
        return False

    def _each(
        self, what: str, items: Sequence[_Item], step: Callable[[_Item], _Result]
    ) -> Sequence[_Result]:
        return side_by_side(what, items, step, jobs=self._jobs, meter=self._meter)


def _version_at(stored: Stored) -> DatasetVersion | None:
    """The version whose manifest is `stored`; None for what is none of ours."""
    _, _, named = stored.key.partition("/")
    name, _, file = named.partition("/")
    if not file.endswith(".json"):
        return None
    try:
        return dataset_version(f"{name}@{file.removesuffix('.json')}")
    except DataSetError:
        return None


def _no_version(
    version: DatasetVersion, known: Iterable[DatasetVersion], store: ObjectStore, code: str
) -> DataSetError:
    shown = ", ".join(map(str, known)) or "no version at all"
    return DataSetError(
        code, f"{store.address} has no {version}; it has {shown}.", "Choose one of these."
    )
