"""`pm25 validate`: ask every question of the photos that a training run held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import PM25Error


def validate(
    run: Annotated[Path, typer.Option(help="The folder of a training run, build/runs/VERSION.")],
    html: Annotated[
        Path | None, typer.Option(help="Where the report goes; in the run's folder if absent.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Where its figures go; in the run's folder if absent."),
    ] = None,
    thumbnails: Annotated[
        Path | None,
        typer.Option(help="Data set folder: puts small photos in. Never publish such a report."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Figures of the version in service, to compare with.")
    ] = None,
) -> None:
    """Write the validation report of a training run; exit 1 when a limit of the gate is missed."""
    from training.validation import thumbnails as pictures
    from training.validation.gate import judge
    from training.validation.report import report_html
    from training.validation.run_folder import validator_of
    from training.validation.validator import report_json

    html, json_file = html or run / "validation.html", json_file or run / "validation.json"
    validator = validator_of(run)
    before = None if against is None else _figures(against)
    for option, file in (("--html", html), ("--json", json_file)):
        _check_place(option, file)
    report = validator.report(lambda part: typer.echo(f"judging {part}", err=True))
    small = {}
    if thumbnails is not None:
        small = pictures.thumbnails(thumbnails, pictures.worst_files(report))
    verdict = judge(report, before)
    json_file.write_text(report_json(report), encoding="utf-8")
    html.write_text(report_html(report, verdict, small), encoding="utf-8")
    for check in verdict.checks:
        found = check.detail or f"measured {_written(check.measured)}"
        print(f"{'met   ' if check.passed else 'missed'}  {check.name}: {found}; {check.limit}")
    print(f"{'Passed' if verdict.passed else 'Not passed'}. Report: {html}, figures: {json_file}")
    if not verdict.passed:
        raise typer.Exit(1)


def _written(measured: float | tuple[float, float] | None) -> str:
    ends = measured if isinstance(measured, tuple) else (measured,)
    return " to ".join("–" if end is None else f"{end:.3g}" for end in ends)


def _figures(file: Path) -> dict[str, Any]:
    """The JSON of another report."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        figures = None
    if not isinstance(figures, dict) or "splits" not in figures:
        raise PM25Error(
            "broken_report",
            f"--against: {file} holds no figures of a validation report.",
            "Name the JSON that `make validate` wrote for the version in service.",
        )
    return figures


def _check_place(option: str, file: Path) -> None:
    """Say that a report cannot be written before it is worked out, not after."""
    if file.is_dir() or not file.parent.is_dir():
        state = "is a folder" if file.is_dir() else "lies in a folder that does not exist"
        raise PM25Error("no_place", f"{option}: {file} {state}.", "Name a file in a folder.")
