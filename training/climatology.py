"""What calendar and clock say of PM2.5 at a place, without any photo: a forecast to beat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.dataset import LabelledPhoto

QUARTER = 6  # of the day [h]: few places have photos at every hour of every month


def climatology(
    training: Sequence[LabelledPhoto], photos: Sequence[LabelledPhoto]
) -> NDArray[np.float64]:
    """For each of `photos` (n,) the mean label [ug m-3] in `training` of its cell: one number.

    The cell is the same site, month and quarter of the local day; where it is empty the site, then
    month and quarter of all sites, then everything. Every session weighs the same in a cell.
    """
    sessions: defaultdict[tuple[object, ...], defaultdict[tuple[str, str], list[float]]]
    sessions = defaultdict(lambda: defaultdict(list))
    for photo in training:
        if photo.pm25 is not None:
            for cell in _cells(photo):
                sessions[cell][photo.visit].append(photo.pm25)
    means = {
        cell: float(np.mean([np.mean(labels) for labels in visits.values()]))
        for cell, visits in sessions.items()
    }
    return np.array(
        [next(means[cell] for cell in _cells(photo) if cell in means) for photo in photos]
    )


def _cells(photo: LabelledPhoto) -> list[tuple[object, ...]]:
    """From the narrowest to all there is."""
    time = photo.metadata.captured_at
    moment = () if time is None else (time.month, time.hour // QUARTER)
    narrow: list[tuple[object, ...]] = [("site", photo.site, *moment)] if moment else []
    return [*narrow, ("site", photo.site), *([("moment", *moment)] if moment else []), ()]
