"""What is found in a photo: a code for programs, two sentences for people, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a photo.

    code        its name for programs; all are listed in docs/how-to/read-an-answer.md
    severity    error: the photo cannot be judged; warning: it can, with a wider interval
    detail      what was got, and how much of it is allowed
    how_to_fix  what to do
    """

    code: str
    severity: Literal["error", "warning"]
    detail: str
    how_to_fix: str


@dataclass(frozen=True)
class Check:
    """One question asked of a photo, and the finding that a bad answer makes.

    shortfall  value over threshold [1, >= 0]: 0 is perfect, from 1 on the finding is reported
    """

    shortfall: float
    finding: Finding
