"""How much a label is trusted: what a converted index says of PM2.5 is less than what was measured.

    A  reference station            1
    B  published beside the photo   1
    C  converted, from an air quality index, of a wider area or of the whole day   1/2

An index is a rounded, often a 24-hour figure: at a spread of hourly PM2.5 around it as large as the
error of an estimate, such a label has half the information on one hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.dataset import LabelledPhoto

CONVERTED = 0.5


def label_trust(photos: Sequence[LabelledPhoto]) -> NDArray[np.float64]:
    """The weight (n,) [0..1] of each photo's label among the others."""
    return np.array([CONVERTED if photo.pm25_quality == "C" else 1.0 for photo in photos])
