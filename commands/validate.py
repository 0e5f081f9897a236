"""`pm25 validate`: ask every question of the photos that a training run held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.output_file import check_place, write_whole


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
    from training.validation.report import measured, report_html
    from training.validation.run_folder import validator_of
    from training.validation.validator import read_report, report_json

    html, json_file = html or run / "validation.html", json_file or run / "validation.json"
    validator = validator_of(run)
    before = None if against is None else read_report(against)
    for option, file in (("--html", html), ("--json", json_file)):
        check_place(option, file)
    report = validator.report(lambda part: typer.echo(f"judging {part}", err=True))
    small = {}
    if thumbnails is not None:
        small = pictures.thumbnails(thumbnails, pictures.worst_files(report))
    verdict = judge(report, before)
    write_whole(json_file, report_json(report))
    write_whole(html, report_html(report, verdict, small))
    for check in verdict.checks:
        found = check.detail or f"measured {measured(check)}"
        print(f"{'met   ' if check.passed else 'missed'}  {check.name}: {found}; {check.limit}")
    print(f"{'Passed' if verdict.passed else 'Not passed'}. Report: {html}, figures: {json_file}")
    if not verdict.passed:
        raise typer.Exit(1)
