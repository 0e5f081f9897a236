"""`pm25 calibrate-camera`: make the reference of a camera from a few labelled photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from features.errors import PM25Error
from lifecycle.production import production_archive


def calibrate_camera(
    data: Annotated[Path, typer.Option(help="A data set folder with 10 or more labelled photos.")],
    archive: Annotated[
        Path | None, typer.Option(help="The archive that answers; the production one if absent.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Which camera; needed where the data name several or none.")
    ] = None,
    cameras: Annotated[
        Path | None,
        typer.Option(help="Where references lie; $PM25_CAMERAS if absent, or else ./cameras."),
    ] = None,
) -> None:
    """Learn a camera's level and slope from labelled photos, for narrower intervals."""
    from rich.console import Console
    from rich.progress import track

    from handlers.camera_folder import FOLDER, write_reference
    from training import new_camera
    from training.dataset import read_dataset

    folder = cameras or Path(os.environ.get(FOLDER) or "cameras")
    if folder.exists() and not folder.is_dir():
        raise PM25Error("no_place", f"{folder} is no folder.", "Name a folder: --cameras DIR.")
    console = Console(stderr=True)
    made = new_camera.calibrate_camera(
        archive or production_archive(),
        read_dataset(data).rows,
        camera,
        progress=lambda answers, total: track(answers, "asking", total=total, console=console),
    )
    reference = made.reference
    path = write_reference(reference, folder)
    below, above = reference.interval_factors
    print(
        f"{path}: camera '{reference.camera}', {made.n_photos} photos of {reference.n} sessions, "
        f"scale {reference.scale:.2f}, interval {(below + above) / 2:.0%} of an unknown camera's"
    )
    if made.n_night:
        print(f"  {made.n_night} photos by night were left out: a camera is calibrated by day.")
    for code, count in sorted(made.refused.items()):
        print(f"  {count} photos were refused: {code}.")
    if made.n_seen:
        print(f"  {made.n_seen} photos were in the training data: the interval is too narrow.")
    if not os.environ.get(FOLDER):
        print(f"  A server reads it when it is started with {FOLDER}={folder.resolve()}.")
