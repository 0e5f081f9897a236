"""Why an answer is what it is: its parts, two maps over the photo, and a sentence.

What TorchServe's /explanations adds to an answer. The parts are those of handlers/contributions.py,
the maps those of features/overlay.py, the words those of handlers/plain_words.py.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np

from features.extractor import ScientificFeatureExtractor
from features.meteorology import FAMILY as METEOROLOGY
from features.overlay import Overlays
from features.photo import Photo
from features.schema import Feature
from handlers.contributions import Contributions
from handlers.plain_words import GROUP_OF, GROUPS, sentence

LISTED = 12  # features that are named one by one; the others are summed up
_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for family in (*ScientificFeatureExtractor.families, METEOROLOGY)
    for feature in family.features
}


def explanation(
    parts: Contributions, features: Mapping[str, float], photo: Photo, overlays: Overlays
) -> dict[str, object]:
    """The explanation as JSON: numbers in [ug m-3] or [1], pictures as PNG in base64."""
    moved = np.abs(parts.ln)
    order = [int(i) for i in np.argsort(-moved, kind="stable") if moved[i] > 0]
    listed, others = order[:LISTED], order[LISTED:]
    groups = _groups(parts)
    said = sentence(
        parts.estimate,
        parts.baseline,
        parts.situation,
        {group: _moved_by(parts, members)["pm25_change"] for group, members in groups.items()},
    )
    total = float(moved.sum())
    shapley = parts.shapley_share
    return {
        "baseline": {
            "name": "usual_photo",
            "models": parts.situation,
            "pm25_estimate": parts.baseline,
        },
        "features": [
            {
                **_described(parts.names[i], features, float(parts.usual[i])),
                **_moved_by(parts, [i]),
                "direction": "raises" if parts.ln[i] > 0 else "lowers",
            }
            for i in listed
        ],
        "other_features": {"n": len(others), **_moved_by(parts, others)},
        "groups": [
            {
                "group": group,
                **_moved_by(parts, members),
                "direction": "raises" if parts.ln[members].sum() > 0 else "lowers",
                "phrase": GROUPS[group]._asdict(),
            }
            for group, members in groups.items()
        ],
        "shares": {
            "listed": min(1.0, float(moved[listed].sum()) / total) if total > 0 else None,
            "shapley": shapley if np.isfinite(shapley) else None,
            "aumann_shapley": 1.0 - shapley if np.isfinite(shapley) else None,
        },
        "unexplained": parts.unexplained,
        "sentence": said._asdict(),
        "overlays": {
            "width": overlays.width,
            "height": overlays.height,
            "photo_width": photo.original_width,
            "photo_height": photo.original_height,
            "media_type": "image/png",
            "transmission": base64.b64encode(overlays.transmission).decode(),
            "sky": base64.b64encode(overlays.sky).decode(),
        },
    }


def _groups(parts: Contributions) -> dict[str, list[int]]:
    """The features of each group that moved the estimate, the group that moved it most first."""
    members: dict[str, list[int]] = {}
    for i in np.flatnonzero(parts.ln):
        members.setdefault(GROUP_OF[parts.names[i]], []).append(int(i))
    moved = {group: abs(float(parts.ln[columns].sum())) for group, columns in members.items()}
    return {group: members[group] for group in sorted(members, key=lambda name: -moved[name])}


def _moved_by(parts: Contributions, columns: list[int]) -> dict[str, float]:
    """What the features in `columns` did together: a factor [1], a change [ug m-3]."""
    return {
        "factor": float(np.exp(parts.ln[columns].sum())),
        "pm25_change": float(parts.pm25[columns].sum()),
    }


def _described(name: str, features: Mapping[str, float], usual: float) -> dict[str, object]:
    feature = _FEATURES[name]
    return {
        "name": name,
        "group": GROUP_OF[name],
        "meaning": feature.meaning,
        "unit": feature.unit,
        "value": features[name],
        "usual": usual,
    }
