"""`pm25 forget`: delete answers from the prediction log."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from features.errors import PM25Error
from lifecycle import torchserve


def forget(
    before: Annotated[
        datetime | None, typer.Option(help="Delete what was answered before this day or time, UTC.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all of it.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(help="The log; $PM25_PREDICTION_LOG if absent, or else that of --port."),
    ] = None,
    port: Annotated[int, typer.Option(help="Inference port.")] = torchserve.DEFAULT_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete what the prediction log holds, all or before a date, and shrink its file."""
    from monitoring import forgetting

    if everything == (before is not None):
        raise PM25Error(
            "unclear", "Delete what?", "Say --before 2026-01-31, or --all; one of the two."
        )
    path = file or torchserve.prediction_log(torchserve.server_folder(port))
    if path is None:
        raise PM25Error("no_log", "The prediction log is off.", "Name a file: --file LOG.")
    done = forgetting.forget(path, None if before is None else before.replace(tzinfo=UTC))
    if as_json:
        typer.echo(json.dumps({"file": str(path), **asdict(done)}))
    else:
        before_mb, after_mb = done.bytes_before / 1e6, done.bytes_after / 1e6
        typer.echo(f"{path}: {done.rows} answers deleted, {before_mb:.1f} → {after_mb:.1f} MB.")
