"""`pm25 data pair`: label a folder of photos by the sensors around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def pair(
    photos: Annotated[Path, typer.Argument(help="A folder of photos.")],
    out: Annotated[Path, typer.Option(help="The data set to write; a new folder.")],
    source: Annotated[str, typer.Option(help="siata, purpleair, openaq or siata_legacy.")],
    licence: Annotated[str, typer.Option(help="Under what the photos may be used.")],
    site: Annotated[str, typer.Option(help="The site of photos that no table gives one.")] = "",
    times: Annotated[
        Path | None,
        typer.Option(help="CSV: file, captured_at, lat, lon, site, camera… EXIF where absent."),
    ] = None,
    method: Annotated[str, typer.Option(help="nearest sensor, or idw: weighted by distance.")] = (
        "nearest"
    ),
    radius_km: Annotated[float, typer.Option(help="How far a sensor may lie [km].")] = 3.0,
    max_age_minutes: Annotated[
        int, typer.Option(min=0, help="How far outside an hour a photo may lie [min].")
    ] = 0,
    correction: Annotated[str, typer.Option(help="Of PurpleAir: epa_…; see the page.")] = "",
    address: Annotated[str, typer.Option(help="Of the source, or siata_legacy's file.")] = "",
    name: Annotated[str, typer.Option(help="Of the data set; the folder's name if absent.")] = "",
    camera: Annotated[str, typer.Option(help="The fixed view that took all of them.")] = "",
    country: Annotated[str, typer.Option(help="ISO 3166 code.")] = "",
    lat: Annotated[float | None, typer.Option(help="Of photos without a place [deg].")] = None,
    lon: Annotated[float | None, typer.Option(help="Of photos without a place [deg].")] = None,
    min_side: Annotated[int, typer.Option(min=1, help="Smallest short side [px].")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a data set of the photos that found a label; `pairing.csv` says why others did not."""
    from datetime import timedelta
    from typing import cast

    from features.metadata import parse_metadata
    from training.ground_truth.sources import open_source
    from training.pairing import REASONS, Method, PairingRule
    from training.photo_pairing import Card, pair_photos

    parse_metadata({"lat": lat, "lon": lon, "camera": camera})

    rule = PairingRule(cast(Method, method), radius_km, timedelta(minutes=max_age_minutes))
    asked = open_source(source, address=address, correction=correction, as_history=True)
    try:
        made = pair_photos(
            photos,
            out,
            asked,
            rule,
            Card(
                name or out.name,
                licence,
                f"Photos of {photos.resolve().name}; PM2.5 of {source}, {method} within "
                f"{radius_km:g} km",
                min_side,
                *(site, country, camera, lat, lon),
            ),
            times=times,
            progress=True,
        )
    finally:
        asked.close()
    if as_json:
        print(json.dumps({"folder": str(out), "paired": made.paired, "unpaired": made.unpaired}))
        return
    print(f"{out}: {made.paired} photos with a label.")
    for reason, count in made.unpaired.most_common():
        print(f"  {count} left out: {REASONS[reason]} ({reason}).")
