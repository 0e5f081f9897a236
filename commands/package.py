"""`pm25 package`: build the archive of a trained version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle.production import MODEL_STORE


def package(
    version: Annotated[str, typer.Option(help="The version to build, for instance 1.0.0.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Take the artefacts of this archive, with today's code."),
    ] = None,
) -> None:
    """Build model_store/pm25-VERSION.mar from a training run, or from an older archive."""
    from training.package import build_archive, content_hash, repackage
    from training.run import artifact_of

    if source is None:
        archive = build_archive(artifact_of(version), version, MODEL_STORE)
    else:
        archive = repackage(source, version, MODEL_STORE)
    size = archive.stat().st_size / 1e6
    typer.echo(f"{archive}  {size:.1f} MB  content hash {content_hash(archive)}")
