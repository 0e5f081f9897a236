"""One set of models: what turns standardised rows into ln PM2.5 with a spread and a table for it.

X ─ FeaturePipeline ─┬─ BayesianNeuralNetwork ─┐
                     └─ PM25EnsembleModel ─────┴─ ridge stack ─ humidity ─ mu, sigma ─ conformal
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.meteorology import WEATHER_FEATURES
from features.pipeline import FeaturePipeline
from handlers.bayesian import BayesianNeuralNetwork
from handlers.conformal import ConformalTable, total_sigma
from handlers.ensemble import MEMBERS, PM25EnsembleModel
from handlers.humidity import GROWTH, HumidityCorrection
from handlers.trace import Trace

WITHOUT_WEATHER = "conformal_without_weather.json"


@dataclass(frozen=True)
class Judgement:
    """What the models say of n rows, each (n,) [ln ug m-3].

    mu         the stack's estimate
    sigma      the unit of the conformal scores: all spread there is, or one for all photos
    epistemic  spread of the posterior draws and of the learners
    aleatoric  spread that the features do not determine
    """

    mu: NDArray[np.float64]
    sigma: NDArray[np.float64]
    epistemic: NDArray[np.float64]
    aleatoric: NDArray[np.float64]


@dataclass(frozen=True)
class Expert:
    """Pipeline, learners, stack and conformal tables, fitted together.

    conformal_without_weather  of photos that come without any weather; None: `conformal` is for all
    """

    pipeline: FeaturePipeline
    ensemble: PM25EnsembleModel
    bayesian: BayesianNeuralNetwork
    humidity: HumidityCorrection
    conformal: ConformalTable
    conformal_without_weather: ConformalTable | None = None

    def judge(self, X: NDArray[np.float64], trace: Trace | None = None) -> Judgement:
        """Judge rows X (n, F), nan for unknown. `trace` gets the time of the Bayesian network."""
        Z = self.pipeline.transform(X)
        with (trace or Trace()).stage("bayesian"):
            bayesian = self.bayesian.predict(Z)
        stack = self.ensemble.predict(Z, bayesian.mean)
        spread = total_sigma(bayesian.epistemic_sd, bayesian.aleatoric_sd, stack.disagreement)
        return Judgement(
            mu=stack.ln_pm25 - self.humidity.growth(X, self.pipeline.names),
            sigma=self.conformal.sigma(spread),
            epistemic=np.hypot(bayesian.epistemic_sd, stack.disagreement),
            aleatoric=bayesian.aleatoric_sd,
        )

    def quantiles(
        self, X: NDArray[np.float64], mu: NDArray[np.float64], sigma: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """PM2.5 at QUANTILE_LEVELS (n, 21) [ug m-3] of rows X (n, F) that were judged `mu` (n,),
        with a spread of sigma (n,), both [ln ug m-3].
        """
        quantiles = self.conformal.quantiles(mu, sigma)
        if self.conformal_without_weather is not None:
            without = ~knows_weather(X, self.pipeline.names)
            quantiles[without] = self.conformal_without_weather.quantiles(
                mu[without], sigma[without]
            )
        return quantiles

    def contributions(
        self, X: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each feature of row X (1, F) adds to mu of the row `usual` (1, F), through each of
        MEMBERS and through the humidity correction; (6, F) [ln ug m-3], and sums to the difference.
        """
        names, columns = self.pipeline.names, self.pipeline.selected
        x, u = self.pipeline.transform(X)[0], self.pipeline.transform(usual)[0]
        added = np.zeros((len(MEMBERS) + 1, len(names)))
        added[:-1, columns] = self.ensemble.contributions(x, u, self.bayesian.contributions(x, u))
        if GROWTH in names:
            damp, usually_damp = (self.humidity.growth(row, names)[0] for row in (X, usual))
            added[-1, names.index(GROWTH)] = usually_damp - damp
        return added

    def save(self, folder: Path) -> None:
        """Write all parts into `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self.pipeline.save(folder / "pipeline.json")
        self.ensemble.save(folder)
        self.bayesian.save(folder / "bayesian.safetensors")
        self.humidity.save(folder / "humidity.json")
        self.conformal.save(folder / "conformal.json")
        if self.conformal_without_weather is not None:
            self.conformal_without_weather.save(folder / WITHOUT_WEATHER)

    @classmethod
    def load(cls, folder: Path) -> Expert:
        """Read what `save` wrote. Raises ArtifactError when a part is missing or damaged."""
        without_weather = folder / WITHOUT_WEATHER
        return cls(
            pipeline=FeaturePipeline.load(folder / "pipeline.json"),
            ensemble=PM25EnsembleModel.load(folder),
            bayesian=BayesianNeuralNetwork.load(folder / "bayesian.safetensors"),
            humidity=HumidityCorrection.load(folder / "humidity.json"),
            conformal=ConformalTable.load(folder / "conformal.json"),
            conformal_without_weather=(
                ConformalTable.load(without_weather) if without_weather.is_file() else None
            ),
        )


def knows_weather(X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows X (n, F) of the features `names` come with weather, were it one field (n,)."""
    columns = [i for i, name in enumerate(names) if name in WEATHER_FEATURES]
    return np.asarray(np.isfinite(X[:, columns]).any(axis=1))
