"""The importers of public data sets by name."""

from __future__ import annotations

from features.errors import DataSetError
from training.importers.aqpictures import AQPICTURES
from training.importers.hvaq import HVAQ
from training.importers.imported_photo import PublishedSet
from training.importers.india_nepal import INDIA_NEPAL
from training.importers.pm25vision import PM25VISION
from training.importers.traqid import TRAQID

SOURCES = {source.name: source for source in (AQPICTURES, INDIA_NEPAL, PM25VISION, TRAQID, HVAQ)}
TABLE_SOURCES = ("csv", "sql")


def source_named(name: str) -> PublishedSet:
    """The importer of that name. Raises DataSetError unknown_source."""
    if name not in SOURCES:
        raise DataSetError(
            "unknown_source",
            f"There is no importer {name!r}.",
            f"Name one of {', '.join((*SOURCES, *TABLE_SOURCES))}.",
        )
    return SOURCES[name]
