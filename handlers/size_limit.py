"""The smallest photo that a server takes: the short side of the original [px].

512 unless the environment variable PM25_MIN_SIDE says another number when the server starts. Data
sets have limits of their own (`min_side` in dataset.toml), which serving never reads.
"""

from __future__ import annotations

import os

from features.errors import ServerError

VARIABLE = "PM25_MIN_SIDE"
DEFAULT_MIN_SIDE = 512
HIGHEST_MIN_SIDE = 4000  # [px]: beyond it no telephone's photo would pass


def serving_min_side() -> int:
    """The limit [px] of this process.

    Raises ServerError when PM25_MIN_SIDE is no whole number from 1 to 4000.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT_MIN_SIDE
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= HIGHEST_MIN_SIDE:
        return int(text)
    raise ServerError(
        "invalid_setting",
        f"{VARIABLE} is {text!r}; a whole number from 1 to {HIGHEST_MIN_SIDE} is allowed [px].",
        f"Set it to the least short side of a photo, or unset it for {DEFAULT_MIN_SIDE}.",
    )
