"""Sessions that share a near-copy of a photo belong together, whatever their labels say.

A publisher may cut one video into two sessions, or show a photo twice. If one copy is trained on
and the other tested, the model is asked what it was told. Sessions that are linked by near-copies,
directly or through others, get one name here, and the splits (training/splits.py) never part them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.dataset import LabelledPhoto
from training.first_look import FirstLook
from training.picture_hash import near_copies

Visit = tuple[str, str]


def with_links(photos: Sequence[LabelledPhoto], looks: Sequence[FirstLook]) -> list[LabelledPhoto]:
    """`photos`, each with the name of the sessions that near-copies link to its own.

    Photos of a session that nothing is linked to are returned as they are. The names do not depend
    on the order of the photos.
    """
    seen = [i for i, look in enumerate(looks) if look.picture_hash is not None]
    hashes = [look.picture_hash for look in looks if look.picture_hash is not None]
    leader: dict[Visit, Visit] = {}

    def first_of(visit: Visit) -> Visit:
        while visit in leader:
            visit = leader[visit]
        return visit

    for one, other in near_copies(hashes):
        two = sorted(first_of(photos[seen[i]].visit) for i in (one, other))
        if two[0] != two[1]:
            leader[two[1]] = two[0]
    linked = {first_of(visit) for visit in leader} | leader.keys()
    return [
        replace(photo, linked="/".join(first_of(photo.visit))) if photo.visit in linked else photo
        for photo in photos
    ]
