"""`pm25 data register|list|show|diff|verify|pull`: immutable versions of data sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.data_versions.manager import VisionDatasetManager

_FOLDER = Annotated[Path, typer.Argument(help="A data set folder.")]
_VERSION = Annotated[str, typer.Argument(help="NAME@VERSION, for instance milan@1.0.0.")]
_STORE = Annotated[
    str | None,
    typer.Option(help="s3://bucket/prefix or a folder; by default what PM25_DATASETS names."),
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _manager(store: str | None) -> Iterator[VisionDatasetManager]:
    from training.data_versions.manager import VisionDatasetManager
    from training.data_versions.store_address import store_at
    from training.datasets_db import DatasetsDatabase
    from training.meter import shown

    with DatasetsDatabase() as database:
        yield VisionDatasetManager(store_at(store), database, meter=shown)


def register(
    folder: _FOLDER,
    version: _VERSION,
    parent: Annotated[
        str | None, typer.Option(help="The version it came from; by default the newest one.")
    ] = None,
    store: _STORE = None,
) -> None:
    """Keep the data set in FOLDER as an immutable version; only what is new is uploaded."""
    from training.data_versions.manifest import dataset_version

    made_from = None if parent is None else dataset_version(parent)
    with _manager(store) as manager:
        registered = manager.register(folder, dataset_version(version), made_from)
        manifest, counts = registered.manifest, registered.manifest.counts
        state = "registered" if registered.created else "was registered before"
        print(
            f"{version} {state} in {manager.store.address}: {counts['photos']} photos, "
            f"{registered.uploaded} of {len({f.sha256 for f in manifest.files})} objects uploaded, "
            f"content hash {manifest.content_hash}"
        )


def list_versions(store: _STORE = None, as_json: _JSON = False) -> None:
    """List every version in the store; datasets.db is brought up to date by it."""
    with _manager(store) as manager:
        versions = manager.list()
        if as_json:
            _print_json(versions)
            return
        if not versions:
            print(f"{manager.store.address} has no version yet: `pm25 data register`.")
            return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for heading in ("version", "parent", "created", "content"):
        table.add_column(heading, no_wrap=True)
    for heading in ("photos", "labelled", "sites", "sessions", "MB", "median PM2.5"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in versions:
        median = row["pm25_median"]
        table.add_row(
            f"{row['name']}@{row['version']}",
            (row["parent"] or "").rpartition("@")[2],
            row["created_at"][:16],
            row["content_hash"][:12],
            *(str(row[f"n_{count}"]) for count in ("photos", "labelled", "sites", "sessions")),
            f"{row['n_bytes'] / 1e6:.1f}",
            "" if median is None else f"{median:.1f}",
        )
    Console(width=150).print(table)


def show(version: _VERSION, store: _STORE = None, as_json: _JSON = False) -> None:
    """Show what a version holds and where it comes from."""
    from training.data_versions.manifest import dataset_version

    with _manager(store) as manager:
        summary = manager.manifest(dataset_version(version)).summary()
    if as_json:
        _print_json(summary)
        return
    for name, value in summary.items():
        nested = value.items() if isinstance(value, dict) else ()
        shown = ", ".join(f"{key} {_shown(part)}" for key, part in nested) or _shown(value)
        print(f"{name:13} {shown}")


def diff(before: _VERSION, after: _VERSION, store: _STORE = None, as_json: _JSON = False) -> None:
    """Show which photos were added, removed, relabelled or redescribed from BEFORE to AFTER."""
    from training.data_versions.manifest import dataset_version

    with _manager(store) as manager:
        found = manager.diff(dataset_version(before), dataset_version(after))
    if as_json:
        _print_json(found.to_json())
        return
    for mark, files in (("+", found.added), ("-", found.removed)):
        for file in files:
            print(f"{mark} {file}")
    for mark, changes in (("~", found.relabelled), ("·", found.redescribed)):
        for change in changes:
            cells = (
                f"{k} {was or 'empty'} → {now or 'empty'}" for k, (was, now) in change.cells.items()
            )
            print(f"{mark} {change.file}: {', '.join(cells)}")
    print(
        f"{len(found.added)} added, {len(found.removed)} removed, "
        f"{len(found.relabelled)} relabelled, {len(found.redescribed)} redescribed"
    )


def verify(
    version: _VERSION,
    repair_from: Annotated[
        Path | None, typer.Option(help="A folder whose files replace what is damaged.")
    ] = None,
    store: _STORE = None,
    as_json: _JSON = False,
) -> None:
    """Read every object of a version back and check its bytes; exit 1 when one is damaged."""
    from training.data_versions.manifest import dataset_version

    with _manager(store) as manager:
        found = manager.verify(dataset_version(version), repair_from)
    if as_json:
        damaged = [one._asdict() for one in found.damaged]
        _print_json({"version": version, "n_objects": found.n_objects, "damaged": damaged})
    else:
        for one in found.damaged:
            print(f"{one.what}: {one.path} ({one.sha256})")
        print(f"{version}: {found.n_objects} objects read, {len(found.damaged)} damaged")
    if found.damaged:
        raise typer.Exit(1)


def pull(version: _VERSION, folder: _FOLDER, store: _STORE = None) -> None:
    """Put the data set of a version into FOLDER; an interrupted pull is completed."""
    from training.data_versions.manifest import dataset_version

    with _manager(store) as manager:
        n_files = manager.pull(dataset_version(version), folder)
    print(f"{version}: {n_files} files put into {folder}")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=1, ensure_ascii=False))
