"""`pm25 train`: fit and score a version on labelled photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

# Sites and sessions of a data set that is all rendered: enough of both to hold any of them out.
RENDERED_ONLY = (8, 30)


def train(
    version: Annotated[str, typer.Option(help="The version to train, for instance 1.0.0.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="A data set folder; more may follow it.")
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="Further data set folders.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 25,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
    keep: Annotated[
        list[str] | None, typer.Option(help="A label check that shall only warn; repeatable.")
    ] = None,
) -> None:
    """Train on data sets, or on rendered scenes when none is given, and print the scores.

    Rows that cannot be right are set apart into quarantine.csv of the run's folder.
    """
    from rich.console import Console
    from rich.progress import track

    from training.meter import shown
    from training.quarantine import QUARANTINE, validated_sets
    from training.rendered_scenes import PLACES, rendered_folder
    from training.run import RENDERED
    from training.run import train as run

    console = Console(stderr=True)

    def progress(done: Iterable[Any], total: int) -> Iterable[Any]:
        return track(done, "scoring folds", total=total, console=console)

    folders = [*(data or []), *(more or [])]
    rendered_only = not folders
    if rendered_only:
        console.print("No data given: rendering scenes, whose scores say nothing of real air.")
        folders = [rendered_folder(RENDERED, *RENDERED_ONLY, seed)]
        if "rendered" not in version:
            version = f"{version}-rendered"
    sets = validated_sets(folders, keep=keep or (), jobs=jobs, meter=shown)
    for one in sets:
        if one.quarantined:
            console.print(one.summary())
        dataset = one.dataset
        if dataset.duplicates:
            first = " = ".join(dataset.duplicates[0])
            console.print(
                f"{dataset.name}: {len(dataset.duplicates)} photos stand there twice ({first}…)"
            )
    result = run(
        [one.dataset for one in sets],
        version,
        seed=seed,
        jobs=jobs,
        rendered_places=0 if rendered_only else PLACES,
        quarantined=[(one.dataset.name, row) for one in sets for row in one.quarantined],
        progress=progress,
    )
    _print_scores(result.scores)
    if any(one.quarantined for one in sets):
        typer.echo(f"Set apart: {result.folder.parent / QUARANTINE}", err=True)
    typer.echo(f"Artefact: {result.folder}. Next: make package VERSION={version}", err=True)


def _print_scores(scores: Mapping[str, Any]) -> None:
    """Print one table a split, as wide as it needs to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from training.model_card import FIGURES, SPLITS, score_rows

    for split, block_of in scores.items():
        if not block_of:
            continue  # the data have nothing of the kind, such as a camera's later months
        table = Table(title=f"{split}: {SPLITS[split]}", box=box.SIMPLE, title_justify="left")
        table.add_column("over", no_wrap=True)
        table.add_column("features", no_wrap=True)
        for name in FIGURES.values():
            table.add_column(name, justify="right", no_wrap=True)
        before = ""
        for part, features, cells in score_rows(block_of):
            table.add_row(part if part != before else "", features, *cells)
            before = part
        Console(width=150).print(table)
