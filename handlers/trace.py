"""What the way to one answer leaves behind, for the counters and the prediction log.

It holds no photo and no hash of one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from features.metadata import PhotoMetadata

# In the order of the way. What lies between them (metadata, warnings, JSON) is in no stage.
STAGES = ("decode", "quality", "features", "ensemble", "bayesian")
EXPLANATION = "explanation"  # where one was asked for


@dataclass
class Trace:
    """Filled in by `Predictor.answer`, as far as it comes.

    seconds   time of each stage of its own [s]
    features  named features of the photo, nan where it does not define one
    metadata  what was known of the photo: the request's, completed from the file's
    """

    seconds: dict[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    metadata: PhotoMetadata = field(default_factory=PhotoMetadata)
    _inside: float = field(default=0.0, repr=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as `name`; a stage inside it counts as that one alone."""
        start, before = time.perf_counter(), self._inside
        self._inside = 0.0
        try:
            yield
        finally:
            taken = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + taken - self._inside
            self._inside = before + taken
