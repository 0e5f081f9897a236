"""`pm25 evaluate`: score an archive on any data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.output_file import check_place, write_whole
from features.errors import PM25Error
from lifecycle.production import production_archive


def evaluate(
    data: Annotated[list[Path], typer.Option(help="A data set folder; more may follow it.")],
    more: Annotated[list[Path] | None, typer.Argument(help="Further data set folders.")] = None,
    archive: Annotated[
        Path | None, typer.Option(help="The archive to score; the production one if absent.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the scores to this file.")
    ] = None,
    min_side: Annotated[
        int | None, typer.Option(min=1, help="Smallest short side [px], instead of the set's own.")
    ] = None,
    without: Annotated[
        str, typer.Option(help="Withhold metadata: weather,camera,place, in any combination.")
    ] = "",
) -> None:
    """Score an archive on data sets and print the figures as JSON."""
    from rich.console import Console
    from rich.progress import track

    from training.dataset import read_dataset
    from training.evaluate import WITHHOLDABLE
    from training.evaluate import evaluate as scores_of

    withheld = [name.strip() for name in without.split(",") if name.strip()]
    unknown = sorted(set(withheld) - WITHHOLDABLE.keys())
    if unknown:
        raise PM25Error(
            "unknown_group",
            f"--without got {', '.join(unknown)}.",
            f"Name any of {', '.join(WITHHOLDABLE)}, separated by commas.",
        )
    if json_file is not None:
        check_place("--json", json_file)
    datasets = [read_dataset(folder) for folder in (*data, *(more or []))]
    total = sum(len(dataset.rows) for dataset in datasets)
    console = Console(stderr=True)
    scores = scores_of(
        archive or production_archive(),
        datasets,
        min_side=min_side,
        without=withheld,
        progress=lambda answers: track(answers, "scoring", total=total, console=console),
    )
    text = json.dumps(scores, indent=2, allow_nan=False)
    print(text)  # before the file: what took minutes to score is not lost to a full disk
    if json_file is not None:
        write_whole(json_file, text + "\n")
    if scores["n_seen_in_training"]:
        typer.echo(
            f"{scores['n_seen_in_training']} of {scores['n_photos']} photos were in the training "
            "data: these are no honest scores.",
            err=True,
        )
