"""From an air quality index back to the PM2.5 that it was computed from.

An index is piecewise linear in the concentration, so that it can be inverted within a band:

    C = C_lo + (I − I_lo) · (C_hi − C_lo) / (I_hi − I_lo)

    cpcb_2014     India, National Air Quality Index (CPCB 2014), PM2.5 sub-index; the tables print
                  gaps of one (50, 51), which are closed here: the line from 0 at 0 through 50 at
                  30, 100 at 60, 200 at 90, 300 at 120, 400 at 250, 500 at 380 ug m-3
    us_epa_2012   US EPA, in force from 2013 to 2024 (78 FR 3086), which WAQI's history is in; bands
                  as printed, so that an index of 50 to 51 is between 12.0 and 12.1 ug m-3

The table that a source used is a statement about that source: see its importer. A converted label
has quality C.
"""

from __future__ import annotations

import math
from bisect import bisect_left

TABLES: dict[str, tuple[tuple[float, float], ...]] = {
    "cpcb_2014": ((0, 0), (50, 30), (100, 60), (200, 90), (300, 120), (400, 250), (500, 380)),
    "us_epa_2012": (
        *((0, 0.0), (50, 12.0), (51, 12.1), (100, 35.4), (101, 35.5), (150, 55.4), (151, 55.5)),
        *((200, 150.4), (201, 150.5), (300, 250.4), (301, 250.5), (400, 350.4), (401, 350.5)),
        (500, 500.4),
    ),
}
HIGHEST_INDEX = 500


def pm25_of_index(index: float, table: str) -> float | None:
    """PM2.5 [ug m-3] whose index [0..500] under `table` is `index`; None outside that range.

    Beyond 500 no table says what was measured.
    """
    points = TABLES[table]
    if not (math.isfinite(index) and 0 <= index <= HIGHEST_INDEX):
        return None
    upper = max(bisect_left([point[0] for point in points], index), 1)
    (low_index, low), (high_index, high) = points[upper - 1], points[upper]
    return low + (index - low_index) * (high - low) / (high_index - low_index)
