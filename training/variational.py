"""Fit the Bayesian neural network by variational inference.

Minimises, by Adam on mini-batches,

    Σ_i w_i β-NLL_i / Σ_i w_i  +  anneal · T · KL(posterior ‖ prior) / n_eff

β-NLL weighs each row's Gaussian negative log-likelihood by its own variance to the power
β = 0.5, held constant in the gradient: without it the mean underfits where the noise is judged
large (Seitzer 2022, arXiv 2203.09168). n_eff = (Σ w)² / Σ w² (Kish) is how many rows the weights
are worth. The KL term grows from 0 to its full weight over the first half of the steps.

With four rows a weight or more T is 1, the posterior itself. A mean-field network with more weights
than rows underfits at T = 1 (as Blundell 2015, arXiv 1505.05424, does on small data): below, T is
(rows a weight / 4)², and at least 0.05, a cold posterior. Without a step: inner folds have fewer
rows than the network that serves, and the spreads of both must be alike. Mean 90 % interval score
of the network alone, conformal in the same way, over five seeds on development photos: a known
camera on days held out (0.15 to 0.27 rows a weight) 42 ug m-3 at T = 0.05, 45 at 0.3 and 59 at 1;
sites held out (10 to 17 rows a weight) 268, 264 and 260 (`make compare-uncertainty`, docs/LOG.md).
What is left is a spread too small at new places: without the conformal scores 80 % of labels are in
the 90 % interval.

The network is so small that automatic differentiation costs several times the arithmetic; the
gradient is written out here, and tests hold it equal to torch's on the same network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from handlers.bayesian import LOG_VARIANCE_RANGE, BayesianLinear, BayesianNeuralNetwork

__all__ = ["Objective", "PassNoise", "Posterior", "elbo_gradient", "fit_bayesian"]

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[np.floating]

HIDDEN_UNITS = 16
DROPOUT = 0.1
STEPS = 300
BATCH_ROWS = 512
LEARNING_RATE = 0.02
BETA = 0.5
HIDDEN_SIGNAL_SD = 1.0  # of a hidden unit's input a priori, however many features come in
HEAD_PRIOR_SD = 0.5
ROWS_A_WEIGHT = 4.0  # from here on the posterior is not made colder
COLD = 0.05  # T never falls below
FIRST_RHO = -4.0  # sd = 0.018: the first steps fit the mean
CERTAIN_RHO = -20.0  # sd = 2e-9: none to speak of


@dataclass(frozen=True)
class Objective:
    """What is minimised, and what is random meanwhile.

    temperature  T of the KL term; None: by how many rows there are a weight
    beta         β of β-NLL, 0 for the plain likelihood
    dropout      probability that a hidden unit is left out of a pass [0..1)
    uncertain    whether weights have a spread and a prior; without, T is 0
    """

    temperature: float | None = None
    beta: float = BETA
    dropout: float = DROPOUT
    uncertain: bool = True

    def kl_weight(self, n_effective: float, n_weights: int) -> float:
        """T / n_eff, the factor of KL beside a mean likelihood [1/row]."""
        if not self.uncertain:
            return 0.0
        temperature = self.temperature
        if temperature is None:
            enough = n_effective / (ROWS_A_WEIGHT * n_weights)
            temperature = min(1.0, max(COLD, enough**2))
        return temperature / n_effective


@dataclass(frozen=True)
class PassNoise:
    """What is random in one stochastic pass over n rows.

    hidden (n, h), head (n, 2): standard normal; kept (n, h): 0 or 1, the dropout mask.
    """

    hidden: Array
    kept: Array
    head: Array

    @classmethod
    def draw(cls, n: int, n_hidden: int, dropout: float, rng: np.random.Generator) -> PassNoise:
        """Fresh noise in float32."""
        return cls(
            rng.standard_normal((n, n_hidden), dtype=np.float32),
            (rng.random((n, n_hidden), dtype=np.float32) >= dropout).astype(np.float32),
            rng.standard_normal((n, 2), dtype=np.float32),
        )


@dataclass(frozen=True)
class Posterior:
    """One layer's mu and rho, each (n_out, n_in + 1): the last column is the bias, fed by a 1.

    Both are views of one vector, so that the optimiser updates all layers at once.
    """

    mu: Array
    rho: Array
    prior_sd: float

    def forward(self, x: Array, noise: Array) -> tuple[Array, Array, Array]:
        """Outputs (n, n_out), their sd (n, n_out) and the weights' sd, by local reparameterisation.

        x (n, n_in + 1) ends in a column of ones.
        """
        weight_sd = np.logaddexp(0.0, self.rho).astype(self.rho.dtype)
        output_sd = np.sqrt((x * x) @ (weight_sd * weight_sd).T)
        return x @ self.mu.T + output_sd * noise, output_sd, weight_sd

    def kl_gradient(self, weight_sd: Array) -> tuple[Array, Array]:
        """Derivatives of KL(posterior ‖ prior) by mu and by the weights' sd."""
        precision = self.prior_sd**-2
        return self.mu * precision, weight_sd * precision - 1.0 / weight_sd


def elbo_gradient(
    hidden: Posterior,
    head: Posterior,
    x: Array,
    target: Array,
    weight: Array,
    noise: PassNoise,
    dropout: float,
    kl_weight: float,
    beta: float = BETA,
) -> tuple[Array, Array, Array, Array]:
    """Gradient of Σ w β-NLL / Σ w + kl_weight · KL by hidden.mu, hidden.rho, head.mu, head.rho.

    x (n, k + 1) ends in ones; target, weight (n,).
    """
    pre, pre_sd, hidden_weight_sd = hidden.forward(x, noise.hidden)
    activation = np.tanh(pre)
    keep = noise.kept / (1.0 - dropout)
    units = np.empty((len(x), activation.shape[1] + 1), dtype=x.dtype)
    np.multiply(activation, keep, out=units[:, :-1])
    units[:, -1] = 1.0
    output, output_sd, head_weight_sd = head.forward(units, noise.head)

    log_variance = np.clip(output[:, 1], *LOG_VARIANCE_RANGE)
    precision = np.exp(-log_variance)
    error = output[:, 0] - target
    scale = weight * precision**-beta / weight.sum()
    by_output = np.empty_like(output)
    by_output[:, 0] = scale * error * precision
    by_output[:, 1] = 0.5 * scale * (1.0 - error * error * precision)
    by_output[:, 1] *= log_variance == output[:, 1]

    by_variance = by_output * noise.head / (2.0 * output_sd)
    by_units = by_output @ head.mu + 2.0 * units * (by_variance @ (head_weight_sd**2))
    head_mu, head_rho = _layer_gradient(
        head, units, by_output, by_variance, head_weight_sd, kl_weight
    )
    by_pre = by_units[:, :-1] * keep * (1.0 - activation * activation)
    by_variance = by_pre * noise.hidden / (2.0 * pre_sd)
    hidden_mu, hidden_rho = _layer_gradient(
        hidden, x, by_pre, by_variance, hidden_weight_sd, kl_weight
    )
    return hidden_mu, hidden_rho, head_mu, head_rho


def fit_bayesian(
    X: FloatArray,
    y: FloatArray,
    w: FloatArray,
    seed: int,
    *,
    steps: int = STEPS,
    objective: Objective = Objective(),
) -> BayesianNeuralNetwork:
    """Fit on X (n, k), y (n,) ln PM2.5 [ln ug m-3], row weights w (n,) ≥ 0; draws are made.

    The same data and seed give the same weights on one thread.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    centre = float(np.average(y, weights=w))
    spread = float(np.sqrt(np.average((y - centre) ** 2, weights=w))) or 1.0
    n, n_features = X.shape
    rows = np.column_stack([X, np.ones(n)]).astype(np.float32)
    target = ((y - centre) / spread).astype(np.float32)
    weight = (w / w.mean()).astype(np.float32)
    n_effective = float(w.sum() ** 2 / (w**2).sum())

    prior_sd = (HIDDEN_SIGNAL_SD / math.sqrt(n_features), HEAD_PRIOR_SD)
    shapes = ((HIDDEN_UNITS, n_features + 1), (2, HIDDEN_UNITS + 1))
    first_rho = FIRST_RHO if objective.uncertain else CERTAIN_RHO
    parameters, (hidden, head) = _posteriors(shapes, prior_sd, first_rho, rng)
    kl_weight = objective.kl_weight(n_effective, hidden.mu.size + head.mu.size)
    optimiser = _Adam(len(parameters))
    batch_rows = min(BATCH_ROWS, n)
    order = np.empty(0, dtype=np.int64)
    for step in range(steps):
        if len(order) < batch_rows:
            order = rng.permutation(n)
        batch, order = order[:batch_rows], order[batch_rows:]
        progress = (step + 1) / steps
        gradient = elbo_gradient(
            hidden,
            head,
            rows[batch],
            target[batch],
            weight[batch],
            PassNoise.draw(batch_rows, HIDDEN_UNITS, objective.dropout, rng),
            objective.dropout,
            kl_weight * min(1.0, 2.0 * progress),
            objective.beta,
        )
        rate = LEARNING_RATE * 0.5 * (1.0 + math.cos(math.pi * progress))
        parameters -= rate * optimiser.direction(
            np.concatenate([part.ravel() for part in gradient])
        )

    network = BayesianNeuralNetwork(
        n_features,
        HIDDEN_UNITS,
        dropout=objective.dropout,
        prior_sd=prior_sd,
        target_mean=centre,
        target_sd=spread,
    )
    _copy(hidden, network.hidden)
    _copy(head, network.head)
    network.draw()
    return network


class _Adam:
    """Adam's update direction for a vector of parameters, with its usual constants."""

    def __init__(self, size: int) -> None:
        self.mean = np.zeros(size, dtype=np.float32)
        self.square = np.zeros(size, dtype=np.float32)
        self.steps = 0

    def direction(self, gradient: Array) -> Array:
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        first, second = 1.0 - 0.9**self.steps, 1.0 - 0.999**self.steps
        return np.asarray(self.mean / first / (np.sqrt(self.square / second) + 1e-8))


def _layer_gradient(
    layer: Posterior,
    x: Array,
    by_output: Array,
    by_variance: Array,
    weight_sd: Array,
    kl_weight: float,
) -> tuple[Array, Array]:
    """Gradient by mu and rho, given that by the layer's outputs and by their variances."""
    kl_mu, kl_sd = layer.kl_gradient(weight_sd)
    by_sd = 2.0 * weight_sd * (by_variance.T @ (x * x)) + kl_weight * kl_sd
    # d softplus(rho) / d rho = 1 − e^−softplus(rho)
    return by_output.T @ x + kl_weight * kl_mu, by_sd * -np.expm1(-weight_sd)


def _posteriors(
    shapes: tuple[tuple[int, int], ...],
    prior_sd: tuple[float, ...],
    first_rho: float,
    rng: np.random.Generator,
) -> tuple[Array, list[Posterior]]:
    """One float32 vector and, as views of it, mu and rho of each layer; means start at random."""
    vector = np.zeros(sum(2 * rows * columns for rows, columns in shapes), dtype=np.float32)
    layers, start = [], 0
    for shape, sd in zip(shapes, prior_sd, strict=True):
        size = shape[0] * shape[1]
        mu = vector[start : start + size].reshape(shape)
        rho = vector[start + size : start + 2 * size].reshape(shape)
        mu[:, :-1] = 0.5 * sd * rng.standard_normal((shape[0], shape[1] - 1))
        rho[:] = first_rho
        layers.append(Posterior(mu, rho, sd))
        start += 2 * size
    return vector, layers


def _copy(fitted: Posterior, layer: BayesianLinear) -> None:
    with torch.no_grad():
        layer.weight_mu.copy_(torch.from_numpy(fitted.mu[:, :-1].copy()))
        layer.weight_rho.copy_(torch.from_numpy(fitted.rho[:, :-1].copy()))
        layer.bias_mu.copy_(torch.from_numpy(fitted.mu[:, -1].copy()))
        layer.bias_rho.copy_(torch.from_numpy(fitted.rho[:, -1].copy()))
