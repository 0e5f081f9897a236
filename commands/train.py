"""`pm25 train`: fit and score a version on labelled photos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    version: Annotated[str, typer.Option(help="The version to train, for instance 1.0.0.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="A data set folder; more may follow it.")
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="Further data set folders.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 25,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
) -> None:
    """Train on data sets, or on rendered scenes when none is given, and print the scores."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.progress import track

    from training.dataset import read_dataset
    from training.model_card import score_tables
    from training.renderer import render_dataset
    from training.run import train as run

    console = Console(stderr=True)

    def progress(done: Iterable[Any], total: int) -> Iterable[Any]:
        return track(done, "scoring folds", total=total, console=console)

    folders = [*(data or []), *(more or [])]
    with tempfile.TemporaryDirectory(prefix="pm25-rendered-") as scratch:
        if not folders:
            console.print("No data given: rendering scenes.")
            folders = [Path(scratch) / "rendered"]
            render_dataset(folders[0], 8, 8, 4, seed)
            if "rendered" not in version:
                version = f"{version}-rendered"
        datasets = [read_dataset(folder) for folder in folders]
        for dataset in datasets:
            for group in dataset.duplicates:
                console.print(f"{dataset.name}: the same photo twice: {', '.join(group)}")
        result = run(datasets, version, seed=seed, jobs=jobs, progress=progress)
    Console().print(Markdown("\n".join(score_tables(result.scores))))
    console.print(f"Artefact: {result.folder}. Next: make package VERSION={version}")
