"""A reference station's number: a value, a sentinel, or nonsense."""

from __future__ import annotations

import math
from typing import Any

from training.ground_truth.measurement import HIGHEST_PM25

SENTINELS = (-9999.0, -999.0, 985.0, 995.0, 99999.0)  # stand for 'no value'; SIATA uses all but one


def reference_value(value: Any) -> tuple[float | None, tuple[str, ...]]:
    """PM2.5 [ug m-3] and flags: null, sentinel, no_number, out_of_range (below 0, above 500).

    A monitor's own noise can go slightly below 0 in clean air; such an hour is dropped, not
    rounded up: what networks publish below 0 is more often a fault.
    """
    if value is None:
        return None, ("null",)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        return None, ("no_number",)
    if number in SENTINELS:
        return None, ("sentinel",)
    if not 0 <= number <= HIGHEST_PM25:
        return None, ("out_of_range",)
    return number, ()
