"""`pm25 data validate`: what training would use of a data set, and what it would set apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.output_file import check_place, write_whole


def validate(
    folder: Annotated[Path, typer.Argument(help="A data set folder.")],
    quarantine: Annotated[
        Path | None, typer.Option(help="Write the rows that were set apart into this CSV file.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="A label check that shall only warn; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that look at photos.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check rows, labels and photos of FOLDER; exit 1 when a row is quarantined."""
    from training.meter import shown
    from training.quarantine import quarantine_csv, validated_sets

    if quarantine is not None:
        check_place("--quarantine", quarantine)
    (found,) = validated_sets([folder], keep=keep or (), jobs=jobs, meter=shown)
    report = found.report()
    if quarantine is not None:
        named = ((found.dataset.name, row) for row in found.quarantined)
        write_whole(quarantine, quarantine_csv(named))
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        for row in report["quarantined"]:
            print(f"line {row['line']}, {row['file']}: {row['code']}: {row['reason']}")
        warnings = report["warnings_by_code"].items()
        print(f"warnings: {', '.join(f'{count} {code}' for code, count in warnings) or 'none'}")
        print(found.summary())
    if found.quarantined:
        raise typer.Exit(1)
