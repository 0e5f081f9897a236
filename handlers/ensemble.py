"""The ensemble: trees, a perceptron, the Bayesian mean and the physics path, in a ridge stack.

    ln PM2.5 = intercept + Σ_j a_j · member_j,   a_j ≥ 0

The coefficients come from out-of-fold predictions (`training/stacking.py`). All members work on
standardised features and ln PM2.5 [ln ug m-3].
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactError
from handlers.boosted_trees import BoostedTrees
from handlers.perceptron import Perceptron
from handlers.physics import PhysicsPath
from handlers.tree_shapley import LeafPaths

__all__ = ["MEMBERS", "EnsemblePrediction", "PM25EnsembleModel", "Stack"]

FloatArray = npt.NDArray[np.float64]

MEMBERS = ("xgboost", "lightgbm", "mlp", "bayesian", "physics")


@dataclass(frozen=True)
class EnsemblePrediction:
    """Estimate and members of each row.

    ln_pm25 (n,): the stack's estimate [ln ug m-3].
    members (n, 5): the members' own, in the order of `MEMBERS` [ln ug m-3].
    disagreement (n,): population standard deviation over the members [ln ug m-3].
    """

    ln_pm25: FloatArray
    members: FloatArray
    disagreement: FloatArray


@dataclass(frozen=True)
class Stack:
    """The ridge meta-learner: one coefficient ≥ 0 for each of `MEMBERS`, and an intercept."""

    coefficients: tuple[float, ...]
    intercept: float

    def predict(self, members: FloatArray) -> FloatArray:
        """ln PM2.5 (n,) from the members' estimates (n, 5)."""
        # A sum over the short axis, not BLAS: the same to the bit in a batch and alone.
        return np.asarray(self.intercept + (members * np.array(self.coefficients)).sum(axis=1))


class PM25EnsembleModel:
    """The members and their stack; holds parameters, `predict`, `save` and `load`."""

    def __init__(
        self,
        xgboost: BoostedTrees,
        lightgbm: BoostedTrees,
        mlp: Perceptron,
        physics: PhysicsPath,
        stack: Stack,
    ) -> None:
        self.xgboost = xgboost
        self.lightgbm = lightgbm
        self.mlp = mlp
        self.physics = physics
        self.stack = stack

    def predict(self, X: FloatArray, bayesian_mean: FloatArray) -> EnsemblePrediction:
        """Estimate of each row of X (n, k), given the Bayesian network's mean (n,) of the same."""
        members = np.column_stack(
            [
                self.xgboost.predict(X),
                self.lightgbm.predict(X),
                self.mlp.predict(X),
                bayesian_mean,
                self.physics.predict(X),
            ]
        ).astype(np.float64)
        return EnsemblePrediction(self.stack.predict(members), members, members.std(axis=1))

    @cached_property
    def _paths(self) -> tuple[LeafPaths, LeafPaths]:
        """Of both kinds of trees; made when an answer is first explained."""
        return LeafPaths.of(self.xgboost), LeafPaths.of(self.lightgbm)

    def contributions(self, x: FloatArray, usual: FloatArray, bayesian: FloatArray) -> FloatArray:
        """What each feature of row x (k,) adds, through each of MEMBERS, to the stack's estimate of
        the row `usual` (k,); (5, k) [ln ug m-3]. `bayesian` (k,): those of the Bayesian network.
        """
        of_xgboost, of_lightgbm = self._paths
        members = np.stack(
            [
                of_xgboost.contributions(x, usual),
                of_lightgbm.contributions(x, usual),
                self.mlp.contributions(x, usual),
                bayesian,
                self.physics.contributions(x, usual),
            ]
        )
        return np.asarray(members * np.array(self.stack.coefficients)[:, np.newaxis])

    def save(self, folder: Path) -> None:
        """Write a file for each member and stack.json; same model, same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.xgboost.save(folder / "xgboost.safetensors")
        self.lightgbm.save(folder / "lightgbm.safetensors")
        self.mlp.save(folder / "mlp.safetensors")
        self.physics.save(folder / "physics.json")
        stack = {
            "coefficients": dict(zip(MEMBERS, self.stack.coefficients, strict=True)),
            "intercept": self.stack.intercept,
        }
        (folder / "stack.json").write_text(json.dumps(stack, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> PM25EnsembleModel:
        """Read what `save` wrote. Raises ArtifactError when a file is missing or damaged."""
        try:
            stack = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
            coefficients = tuple(float(stack["coefficients"][name]) for name in MEMBERS)
            physics = PhysicsPath.load(folder / "physics.json")
            k = len(physics.weights)
            return cls(
                BoostedTrees.load(folder / "xgboost.safetensors", k),
                BoostedTrees.load(folder / "lightgbm.safetensors", k),
                Perceptron.load(folder / "mlp.safetensors"),
                physics,
                Stack(coefficients, float(stack["intercept"])),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "ensemble_unreadable",
                f"The folder {folder.name} does not hold a saved ensemble: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
