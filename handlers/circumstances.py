"""When and where a photo was taken, and who says so: the request, or else the file's EXIF.

What the request says goes before what the file says, time and place each as a whole. An answer
tells which of them was used: a phone's clock or a copied position is wrong more often than one
thinks, and the sun is computed from both.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from features.errors import MetadataError
from features.metadata import PhotoMetadata, parse_metadata
from features.photo import Photo

Source = Literal["request", "exif"]

# [deg] An answer may be passed on: 0.1° shows the right town and nobody's window.
PLACE_DECIMALS = 1


@dataclass(frozen=True)
class Circumstances:
    """metadata: what is known of the photo; the sources: who said it, None where nobody did."""

    metadata: PhotoMetadata
    time_source: Source | None = None
    place_source: Source | None = None

    def as_json(self) -> dict[str, object]:
        """Time and place in the form of the answer, each null where unknown.

        {"captured_at": {"value" [ISO 8601], "source"},
        "place": {"lat" [deg north], "lon" [deg east], both rounded to 0.1°, "source"}}
        """
        known = self.metadata
        time = place = None
        if known.captured_at is not None:
            time = {"value": known.captured_at.isoformat(), "source": self.time_source}
        if known.lat is not None and known.lon is not None:
            place = {
                "lat": round(known.lat, PLACE_DECIMALS),
                "lon": round(known.lon, PLACE_DECIMALS),
                "source": self.place_source,
            }
        return {"captured_at": time, "place": place}


def circumstances_of(given: PhotoMetadata, photo: Photo) -> Circumstances:
    """`given` with the request, completed by the file of `photo`.

    A time in the file that a request could not have sent, since it has not come yet, is unknown.
    """
    time_source: Source | None = "request" if given.captured_at is not None else None
    place_source: Source | None = "request" if given.lat is not None else None
    if time_source is None and photo.captured_at is not None:
        with suppress(MetadataError):
            dated = parse_metadata({"captured_at": photo.captured_at})
            given = replace(given, captured_at=dated.captured_at)
            time_source = "exif"
    if place_source is None and photo.lat is not None:
        given = replace(given, lat=photo.lat, lon=photo.lon)
        place_source = "exif"
    return Circumstances(given, time_source, place_source)
