"""What is read from one photo under one set of conditions, and what it is known by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PhotoKey(NamedTuple):
    """Which photo, by the SHA-256 of its bytes, and under which conditions it was read.

    picture  that part of the conditions which the values depend on; empty where it is not known,
             and nothing can be carried over
    """

    sha256: str
    conditions: str
    picture: str = ""


class Refusal(NamedTuple):
    """Why a photo was not read: a code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, eq=False)
class Reading:
    """Either the feature values of a photo, (F,) float64 in the set's order, or its refusal."""

    values: NDArray[np.float64] | None
    refusal: Refusal | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.refusal is None):
            raise ValueError("A reading holds either values or a refusal.")


class Provenance(NamedTuple):
    """What made a reading: the extractor, and the versions of the libraries it ran on, as JSON."""

    extractor: str
    libraries: str = "{}"


@dataclass(eq=False)
class Carried:
    """What stays true of a photo's earlier readings.

    families  values by the name of the family
    passed    whether any was read under all the conditions that are asked for
    refusal   why it was not, under these conditions
    """

    families: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    passed: bool = False
    refusal: Refusal | None = None
