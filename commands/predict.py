"""`pm25 predict`: estimate one photo, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from features.errors import MetadataError, PM25Error
from lifecycle.production import production_archive


def predict(
    photo: Annotated[Path, typer.Argument(help="A JPEG, PNG or WebP photo.")],
    archive: Annotated[
        Path | None, typer.Option(help="The archive to ask; the production one if absent.")
    ] = None,
    metadata: Annotated[
        str, typer.Option(help='What is known besides, as JSON: {"captured_at": …, "lat": …}.')
    ] = "{}",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer.")] = False,
) -> None:
    """Estimate PM2.5 from one photo with an archive, run with the code inside it."""
    from training.archive import RunningArchive

    if not photo.is_file():
        state = "is no file" if photo.exists() else "does not exist"
        raise PM25Error("no_photo", f"{photo} {state}.", "Name a JPEG, PNG or WebP file.")
    request = {"photo": str(photo.resolve()), "metadata": _metadata_of(metadata)}
    with RunningArchive(archive or production_archive()) as running:
        (reply,) = running.answers([request])
    if "problem" in reply:
        problem = reply["problem"]
        raise PM25Error(problem["code"], problem["detail"], problem["how_to_fix"])
    answer = reply["answer"]
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    interval = answer["interval"]
    print(
        f"PM2.5 {answer['pm25_estimate']:.0f} µg/m³, "
        f"{interval['level']:.0%} interval {interval['lower']:.0f} to {interval['upper']:.0f}"
    )
    for note in (*answer["quality"]["issues"], *answer["applicability"]["warnings"]):
        print(f"  {note['code']}: {note['detail']}")


def _metadata_of(text: str) -> dict[str, object]:
    """The object that `--metadata` holds; what its fields may be, the archive says."""
    try:
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError(f"it is a JSON {type(given).__name__}, no object")
    except (ValueError, RecursionError) as error:
        raise MetadataError(
            "broken_metadata",
            f"--metadata is not JSON of an object: {error}.",
            'Write it as JSON, for instance \'{"lat": 6.25, "lon": -75.57}\'.',
        ) from None
    return given
