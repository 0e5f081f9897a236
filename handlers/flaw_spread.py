"""What the flaws of a photo cost: how much wider each makes its interval.

A flaw moves the estimate by something that nobody knows for the one photo at hand. What it does on
average was measured: the same photos were answered before and after they were spoiled
(`make quality`), and the root mean square of the shift of ln PM2.5 is the flaw's spread s_f. It is
one more variance beside those that the interval was calibrated for,

    h' = √(h² + (1.645 s)²),   s² = Σ_f s_f²,

with h the half-width of the 90 % interval of ln PM2.5 (`Estimates.widened`). More flaws never make
an interval narrower, one that is wide already hardly grows, and the estimate stays.
The numbers behind the table: docs/scientific_background/quality.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class FlawSpread(NamedTuple):
    """Spread of ln PM2.5 [ln ug m-3] ≥ 0: of a photo judged as it is, and of one that is judged by
    its difference from a camera's usual photo, where a flaw looks like a change of the air.
    """

    new_place: float
    fixed_view: float


# By the code of the finding.
FLAW_SPREAD: Mapping[str, FlawSpread] = {
    "blurred": FlawSpread(0.07, 0.34),
    "borders": FlawSpread(0.39, 0.66),
    "dim_scene": FlawSpread(0.45, 0.8),
    "night": FlawSpread(0.45, 0.48),
    "no_ground": FlawSpread(1.14, 1.57),
    "no_sky": FlawSpread(0.43, 1.12),
    "not_outdoors": FlawSpread(0.45, 1.04),
    "obstructed": FlawSpread(0.22, 0.4),
    "overexposed": FlawSpread(0.58, 1.51),
    "strong_compression": FlawSpread(0.07, 0.1),
    "too_dark": FlawSpread(0.42, 0.48),
    "underexposed": FlawSpread(0.25, 0.91),
    "upscaled": FlawSpread(0.02, 0.14),
    "white_balance": FlawSpread(0.34, 1.17),
}
# What models that were fitted on a camera's nights have paid for already.
OF_NIGHT = frozenset({"night", "too_dark", "dim_scene", "underexposed"})


def flaw_spread(
    codes: Iterable[str], *, fixed_view: bool = False, night_is_usual: bool = False
) -> float:
    """s [ln ug m-3] ≥ 0 of a photo with warnings of these `codes`.

    fixed_view      the photo is judged by its difference from its camera's usual one
    night_is_usual  by models whose intervals were calibrated on that camera's nights
    """
    counted = set(codes) - (OF_NIGHT if night_is_usual else frozenset())
    spreads = (FLAW_SPREAD[code] for code in counted)
    # Rounded once, whatever the order: a further flaw never lowers the sum.
    return math.sqrt(math.fsum((s.fixed_view if fixed_view else s.new_place) ** 2 for s in spreads))
