"""`pm25 data import`: make a data set of a public one, of a table, or of a query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from features.errors import DataSetError


def import_dataset(
    source: Annotated[
        str,
        typer.Argument(help="aqpictures, india_nepal, pm25vision, traqid, hvaq, csv or sql."),
    ],
    folder: Annotated[Path, typer.Argument(help="The set as published; the photos, for a table.")],
    out: Annotated[Path, typer.Option(help="The data set to write; a new folder.")],
    site: Annotated[
        list[str] | None, typer.Option(help="Take this site alone; may be given again.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="csv: the file with the labels.")] = None,
    query: Annotated[
        str, typer.Option(help="sql: asked of the database at $PM25_DATABASE_URL.")
    ] = "",
    column_map: Annotated[
        list[str] | None,
        typer.Option("--map", help="csv, sql: our column=theirs; may be given again."),
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option("--set", help="csv, sql: our column=value of rows that have none."),
    ] = None,
    name: Annotated[str, typer.Option(help="csv, sql: the set's name.")] = "",
    licence: Annotated[str, typer.Option(help="csv, sql: under what it may be used.")] = "",
    origin: Annotated[str, typer.Option(help="csv, sql: who made it.")] = "",
    min_side: Annotated[int, typer.Option(min=1, help="csv, sql: smallest short side [px].")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a data set; `left_out.csv` says which rows and photos are not in it, and why."""
    from training.importers.imported_folder import import_photos
    from training.importers.sources import TABLE_SOURCES, source_named
    from training.importers.table import published_table

    if source in TABLE_SOURCES:
        published = published_table(
            table,
            query,
            _pairs("--map", column_map),
            _pairs("--set", constants),
            (name or out.name, licence, origin, min_side),
        )
    else:
        published = source_named(source)
    made = import_photos(published, folder, out, sites=site or ())
    if as_json:
        counts = {"photos": made.photos, "labelled": made.labelled, "left_out": made.left_out}
        print(json.dumps({"folder": str(out), **counts}))
        return
    print(f"{out}: {made.photos} photos, {made.labelled} with a label.")
    for reason, count in made.left_out.most_common():
        print(f"  {count} left out: {reason}.")


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """name=value of each use of an option. Raises DataSetError invalid_option."""
    pairs = [text.partition("=") for text in texts or ()]
    for ours, equals, _ in pairs:
        if not ours or not equals:
            raise DataSetError(
                "invalid_option", f"{option} got {ours!r}.", f"Write {option} column=value."
            )
    return {ours.strip(): value.strip() for ours, _, value in pairs}
