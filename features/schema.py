"""What a feature is, and the hash that says which set of features a number came from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class Feature:
    """One named number read from a photo or its circumstances.

    expected_sign: how it moves when PM2.5 rises, everything else being equal
    (+1 rises, −1 falls, 0 no sign that physics fixes).
    range: lowest and highest value that its formula can give, in its unit.
    """

    name: str
    unit: str
    meaning: str
    expected_sign: Literal[-1, 0, 1]
    reference: str
    range: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True)
class FeatureFamily:
    """The features of one file. `version` rises whenever a value of the family changes.

    digest: SHA-256 of the learned weights that the values come from; empty for a formula.
    """

    name: str
    version: int
    features: tuple[Feature, ...]
    digest: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


def feature_set_hash(families: Sequence[FeatureFamily], working_side: int) -> str:
    """SHA-256 over names, units, versions and learned weights: equal hash, equal meaning."""
    content = {
        "working_side": working_side,
        "families": [
            [family.name, family.version, [[f.name, f.unit] for f in family.features]]
            + ([family.digest] if family.digest else [])
            for family in families
        ],
    }
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
