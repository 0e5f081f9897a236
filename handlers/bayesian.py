"""A Bayesian neural network for ln PM2.5, and what it does not know.

    k features → BayesianLinear → tanh → dropout → BayesianLinear → (mean m, log-variance s)

Every weight has a Gaussian posterior N(mu, sd²), sd = ln(1 + e^rho) (Blundell 2015, arXiv
1505.05424); dropout stays on at prediction (Gal & Ghahramani 2016, arXiv 1506.02142); the second
output is the variance of the noise itself (Kendall & Gal 2017, arXiv 1703.04977). Over T draws

    mean = E_t[m_t],   epistemic² = Var_t[m_t],   aleatoric² = E_t[exp s_t]

The draws are made once, not once a request: the answer to a photo depends neither on what was
asked before nor on its neighbours in a batch. They are folded into two arrays, so that all T
passes are one matrix product. tanh is bounded, so an unusual photo cannot run the answer away.
Fitted in `training/variational.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from features.errors import ArtifactError
from handlers.aumann_shapley import mean_slope

__all__ = ["BayesianLinear", "BayesianNeuralNetwork", "BayesianPrediction"]

FloatArray = npt.NDArray[np.float64]

N_SAMPLES = 100
# Noise variances from e^-6 to e^3 of the target's: a network cannot claim certainty or despair.
LOG_VARIANCE_RANGE = (-6.0, 3.0)
ROWS_AT_ONCE = 64  # 64 rows of 100 samples of 16 units: 0.8 MB, near the cache


@dataclass(frozen=True)
class BayesianPrediction:
    """Posterior summary, one value a row, all in ln [ug m-3]; each (n,)."""

    mean: FloatArray
    epistemic_sd: FloatArray
    aleatoric_sd: FloatArray


class BayesianLinear(nn.Module):
    """A linear layer whose weights are independent Gaussians (mean field).

    weight_mu, weight_rho (n_out, n_in); bias_mu, bias_rho (n_out,); sd = softplus(rho).
    The prior is N(0, prior_sd²) on weights and biases alike.
    """

    def __init__(self, n_in: int, n_out: int, prior_sd: float) -> None:
        super().__init__()
        self.prior_sd = prior_sd
        self.weight_mu = nn.Parameter(torch.zeros(n_out, n_in))
        self.weight_rho = nn.Parameter(torch.full((n_out, n_in), -4.0))
        self.bias_mu = nn.Parameter(torch.zeros(n_out))
        self.bias_rho = nn.Parameter(torch.full((n_out,), -4.0))

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """One stochastic pass, x (n, n_in) and standard normal noise (n, n_out) → (n, n_out).

        Perturbs the outputs and not the weights (local reparameterisation): the same distribution
        for a single row, independent between rows, with a gradient of lower variance.
        """
        mean = functional.linear(x, self.weight_mu, self.bias_mu)
        weight_variance = functional.softplus(self.weight_rho).square()
        bias_variance = functional.softplus(self.bias_rho).square()
        variance = functional.linear(x.square(), weight_variance, bias_variance)
        return mean + torch.sqrt(variance) * noise

    def kl(self) -> torch.Tensor:
        """KL(posterior ‖ prior) [nat], summed over all weights; a scalar ≥ 0."""
        mu = torch.cat([self.weight_mu.flatten(), self.bias_mu]) / self.prior_sd
        sd = functional.softplus(torch.cat([self.weight_rho.flatten(), self.bias_rho]))
        ratio = (sd / self.prior_sd).square()
        return 0.5 * (ratio + mu.square() - 1.0 - torch.log(ratio)).sum()

    def draw(self, n_samples: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Weights (n_samples, n_out, n_in) and biases (n_samples, n_out) from the posterior."""
        weights = _gaussian(self.weight_mu, self.weight_rho, n_samples, rng)
        biases = _gaussian(self.bias_mu, self.bias_rho, n_samples, rng)
        return weights, biases


class BayesianNeuralNetwork(nn.Module):
    """k standardised features → ln PM2.5 [ln ug m-3] with epistemic and aleatoric parts.

    target_mean, target_sd [ln ug m-3] undo the standardisation of the training target.
    Call `draw` once before `predict`; `load` has done so.
    """

    def __init__(
        self,
        n_features: int,
        n_hidden: int = 16,
        dropout: float = 0.1,
        prior_sd: tuple[float, float] = (1.0, 1.0),
        target_mean: float = 0.0,
        target_sd: float = 1.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.target_mean = target_mean
        self.target_sd = target_sd
        self.hidden = BayesianLinear(n_features, n_hidden, prior_sd[0])
        self.head = BayesianLinear(n_hidden, 2, prior_sd[1])
        self._draws: _Draws | None = None

    def forward(
        self,
        x: torch.Tensor,
        hidden_noise: torch.Tensor,
        kept: torch.Tensor,
        head_noise: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One stochastic pass of x (n, k): mean and log-variance (n,) of the standardised target.

        hidden_noise (n, h) and head_noise (n, 2) are standard normal; kept (n, h) is 0 or 1, the
        dropout mask.
        """
        hidden = torch.tanh(self.hidden(x, hidden_noise)) * kept / (1.0 - self.dropout)
        output = self.head(hidden, head_noise)
        return output[:, 0], output[:, 1].clamp(*LOG_VARIANCE_RANGE)

    def kl(self) -> torch.Tensor:
        """KL(posterior ‖ prior) [nat] of all weights."""
        return self.hidden.kl() + self.head.kl()

    def draw(self, n_samples: int = N_SAMPLES, seed: int = 0) -> None:
        """Draw weights and dropout masks once, with PCG64, and fold them for `predict`."""
        rng = np.random.Generator(np.random.PCG64(seed))
        hidden_weights, hidden_biases = self.hidden.draw(n_samples, rng)
        head_weights, head_biases = self.head.draw(n_samples, rng)
        n_hidden, n_features = hidden_weights.shape[1:]
        kept = rng.random((n_samples, n_hidden)) >= self.dropout
        # A mask that zeroes a hidden unit and one that zeroes its outgoing weights are the same.
        head_weights = head_weights * (kept / (1.0 - self.dropout))[:, None, :]
        self._draws = _Draws(
            hidden_weight=np.ascontiguousarray(hidden_weights.reshape(-1, n_features).T),
            hidden_bias=hidden_biases.reshape(-1),
            head_weight=np.ascontiguousarray(head_weights.transpose(1, 0, 2)),
            head_bias=np.ascontiguousarray(head_biases.T),
        )

    def predict(self, X: FloatArray) -> BayesianPrediction:
        """Mean and both uncertainties of each row of X (n, k), over the draws of `draw`.

        Raises RuntimeError when nothing was drawn yet.
        """
        if self._draws is None:
            raise RuntimeError("call draw() before predict()")
        n, n_samples = len(X), self._draws.head_bias.shape[1]
        mean, epistemic, aleatoric = np.empty(n), np.empty(n), np.empty(n)
        for start in range(0, n, ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            means, log_variances = self._draws.outputs(X[rows])
            mean[rows] = means.mean(axis=1)
            deviations = means - mean[rows, None]
            epistemic[rows] = np.sqrt(np.einsum("nt,nt->n", deviations, deviations) / n_samples)
            aleatoric[rows] = np.sqrt(np.exp(log_variances).mean(axis=1))
        scale = self.target_sd
        return BayesianPrediction(
            self.target_mean + scale * mean, scale * epistemic, scale * aleatoric
        )

    def contributions(self, x: FloatArray, usual: FloatArray) -> FloatArray:
        """What each feature of row x (k,) adds to the mean of `usual` (k,) [ln ug m-3]: the
        Aumann–Shapley values (handlers/aumann_shapley.py), averaged over the draws.

        Raises RuntimeError when nothing was drawn yet.
        """
        if self._draws is None:
            raise RuntimeError("call draw() before contributions()")
        return self.target_sd * self._draws.steepness(x, usual) * (x - usual)

    def save(self, path: Path) -> None:
        """Write safetensors: posterior, target scale, dropout; same network, same bytes."""
        settings = {
            "dropout": self.dropout,
            "hidden_prior_sd": self.hidden.prior_sd,
            "head_prior_sd": self.head.prior_sd,
            "target_mean": self.target_mean,
            "target_sd": self.target_sd,
        }
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        for name, value in settings.items():
            tensors[name] = torch.tensor(value, dtype=torch.float64)
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path, n_samples: int = N_SAMPLES, seed: int = 0) -> BayesianNeuralNetwork:
        """Read what `save` wrote and draw. Raises ArtifactError: missing or damaged file."""
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            n_hidden, n_features = tensors["hidden.weight_mu"].shape
            network = cls(
                n_features,
                n_hidden,
                dropout=tensors.pop("dropout").item(),
                prior_sd=(
                    tensors.pop("hidden_prior_sd").item(),
                    tensors.pop("head_prior_sd").item(),
                ),
                target_mean=tensors.pop("target_mean").item(),
                target_sd=tensors.pop("target_sd").item(),
            )
            network.load_state_dict(tensors)
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(
                "bayesian_network_unreadable",
                f"{path.name} is not a saved Bayesian network: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        network.draw(n_samples, seed)
        return network


@dataclass(frozen=True)
class _Draws:
    """T sampled networks of h hidden units side by side, in float64 for equality in any batch.

    hidden_weight (k, T·h), hidden_bias (T·h,), head_weight (2, T, h), head_bias (2, T).
    """

    hidden_weight: FloatArray
    hidden_bias: FloatArray
    head_weight: FloatArray
    head_bias: FloatArray

    def outputs(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and log-variances (n, T) of the standardised target."""
        hidden = X @ self.hidden_weight
        hidden += self.hidden_bias
        np.tanh(hidden, out=hidden)
        hidden = hidden.reshape(len(X), *self.head_weight.shape[1:])
        means, log_variances = np.einsum("nth,oth->ont", hidden, self.head_weight)
        means += self.head_bias[0]
        log_variances += self.head_bias[1]
        lowest, highest = LOG_VARIANCE_RANGE
        # Two calls of half the time that np.clip takes for so few numbers.
        return means, np.minimum(np.maximum(log_variances, lowest), highest)

    def steepness(self, x: FloatArray, usual: FloatArray) -> FloatArray:
        """(k,) mean slope of the draws' mean output between the rows `usual` (k,) and x (k,)."""
        before, after = np.stack([usual, x]) @ self.hidden_weight + self.hidden_bias
        of_means = self.head_weight[0].ravel() / len(self.head_weight[0])
        return np.asarray(self.hidden_weight @ (mean_slope(before, after) * of_means))


def _gaussian(
    mu: torch.Tensor, rho: torch.Tensor, n_samples: int, rng: np.random.Generator
) -> FloatArray:
    """n_samples draws of N(mu, softplus(rho)²) in float64, shape (n_samples, *mu.shape)."""
    centre = mu.detach().double().numpy()
    sd = np.logaddexp(0.0, rho.detach().double().numpy())
    return np.asarray(centre + sd * rng.standard_normal((n_samples, *centre.shape)))
