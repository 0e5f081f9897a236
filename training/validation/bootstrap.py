"""Confidence intervals by bootstrap over whole sessions, or over whole sites.

Photos of one session share its weather, light and label: they are drawn together, with
replacement, as many sessions as there are (cluster bootstrap: Davison & Hinkley 1997, section 3.8,
doi:10.1017/CBO9780511802843). The interval is that between the percentiles of the resampled
figure (Efron 1979, doi:10.1214/aos/1176344552).

Few units make it too short, since their own spread stands for that of all there are. An interval
at 95 % of a mean over normal units holds the truth in

    units      5     7    10    20    30    50
    share   0.85  0.88  0.90  0.93  0.94  0.94

of all cases, P(|t| < 1.96 √((K − 1)/K)) with K − 1 degrees of freedom. Seven sites are such few
units. With fewer than 5 there is none. An interval over sessions says nothing of sites that were
never seen, and one over sites nothing of sites unlike those at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers
from training.table import numbered

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

FEWEST_UNITS = 5
_DEFINED = 0.95  # least share of the resamples in which a figure must be defined


@dataclass(frozen=True)
class Resampling:
    """How units are drawn; the same one gives the same interval every time.

    over       what is drawn whole: `session` (one of one site) or `site`
    resamples  how many times
    seed       of the generator, PCG64
    level      of the interval [1]
    """

    over: Literal["session", "site"] = "session"
    resamples: int = 2000
    seed: int = 25
    level: float = 0.95

    def units(self, answers: HeldOutAnswers) -> Counts:
        """The number (n,) of each photo's unit, from 0 up."""
        return answers.visits() if self.over == "session" else numbered(answers.site.tolist())

    def counts(self, answers: HeldOutAnswers) -> Counts:
        """How often each unit is drawn, (resamples, units)."""
        n_units = int(self.units(answers).max(initial=-1)) + 1
        rng = np.random.Generator(np.random.PCG64(self.seed))
        draws = rng.integers(0, n_units, size=(self.resamples, n_units))
        draws += n_units * np.arange(self.resamples)[:, None]
        counts = np.bincount(draws.ravel(), minlength=n_units * self.resamples)
        return counts.reshape(self.resamples, n_units).astype(np.int64)

    def of_means(
        self,
        answers: HeldOutAnswers,
        values: Array,
        figures: Mapping[str, Callable[[Array], Array]],
    ) -> dict[str, list[float] | None]:
        """The interval of each of `figures` that are functions of means over photos; fast.

        values   (n, m), one row a photo
        figures  by name; each takes means (resamples, m) to (resamples,), nan where undefined
        Returns [lower, upper] by name, or None: see `interval`.
        """
        units = self.units(answers)
        if _too_few(units):
            return dict.fromkeys(figures)
        sums = np.array([np.bincount(units, column) for column in values.T]).T
        counts = self.counts(answers).astype(np.float64)
        means = counts @ sums / (counts @ np.bincount(units))[:, None]
        return {name: self._between(figure(means)) for name, figure in figures.items()}

    def interval(
        self, answers: HeldOutAnswers, figure: Callable[[HeldOutAnswers], float | None]
    ) -> list[float] | None:
        """The interval of any `figure` of answers, None where it is undefined; slow.

        A unit that is drawn twice is two units of the same content, under names of their own.
        Returns [lower, upper], or None with fewer than 5 units, and where the figure is undefined
        in more than 5 % of the resamples; the others are left out.
        """
        units = self.units(answers)
        if _too_few(units):
            return None
        rows = [np.flatnonzero(units == unit) for unit in range(units.max() + 1)]
        sizes = np.array([len(group) for group in rows])
        figures = []
        for counts in self.counts(answers):
            drawn = np.repeat(np.arange(len(rows)), counts)
            resample = answers.of(np.concatenate([rows[unit] for unit in drawn]))
            names = np.repeat(np.arange(len(drawn)), sizes[drawn]).astype(np.str_)
            if self.over == "site":
                resample = replace(resample, site=names)
            else:
                resample = replace(resample, session=names)
            value = figure(resample)
            figures.append(np.nan if value is None else value)
        return self._between(np.array(figures))

    def _between(self, figures: Array) -> list[float] | None:
        defined = figures[np.isfinite(figures)]
        if len(defined) < _DEFINED * len(figures):
            return None
        bounds = np.quantile(defined, [(1 - self.level) / 2, (1 + self.level) / 2])
        return [float(bound) for bound in bounds]


def _too_few(units: Counts) -> bool:
    return len(np.unique(units)) < FEWEST_UNITS
