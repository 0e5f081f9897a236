"""The Bayesian network: what it knows, what it does not, and that both are repeatable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import ArtifactError
from handlers.bayesian import BayesianLinear, BayesianNeuralNetwork
from training.learners import one_thread
from training.variational import (
    COLD,
    ROWS_A_WEIGHT,
    Objective,
    PassNoise,
    Posterior,
    elbo_gradient,
    fit_bayesian,
)

N_FEATURES = 6


@dataclass(frozen=True)
class Noisy:
    """y = 2.5 + 0.6 tanh(x0) + 0.3 x1 + noise, whose sd is 0.1 where x2 < 0 and 0.4 elsewhere."""

    X: np.ndarray
    y: np.ndarray
    truth: np.ndarray
    noise_sd: np.ndarray


def noisy_data(n: int, seed: int) -> Noisy:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_FEATURES))
    truth = 2.5 + 0.6 * np.tanh(X[:, 0]) + 0.3 * X[:, 1]
    noise_sd = np.where(X[:, 2] < 0, 0.1, 0.4)
    return Noisy(X, truth + noise_sd * rng.normal(size=n), truth, noise_sd)


@pytest.fixture(scope="module")
def fitted() -> BayesianNeuralNetwork:
    data = noisy_data(1500, seed=1)
    with one_thread():
        return fit_bayesian(data.X, data.y, np.ones(1500), seed=3)


@pytest.fixture(scope="module")
def unseen() -> Noisy:
    return noisy_data(400, seed=2)


def without_uncertain_weights(network: BayesianNeuralNetwork, path: Path) -> BayesianNeuralNetwork:
    network.save(path)
    certain = BayesianNeuralNetwork.load(path)
    with torch.no_grad():
        for layer in (certain.hidden, certain.head):
            layer.weight_rho.fill_(-1e9)
            layer.bias_rho.fill_(-1e9)
    certain.dropout = 0.0
    certain.draw()
    return certain


def test_finds_a_known_function_and_where_it_is_noisy(
    fitted: BayesianNeuralNetwork, unseen: Noisy
) -> None:
    prediction = fitted.predict(unseen.X)
    residual = np.sqrt(np.mean((prediction.mean - unseen.truth) ** 2))
    assert residual < 0.25 * unseen.truth.std()
    loud, quiet = unseen.noise_sd > 0.2, unseen.noise_sd < 0.2
    assert prediction.aleatoric_sd[loud].mean() == pytest.approx(0.4, rel=0.3)
    assert prediction.aleatoric_sd[loud].mean() > 1.5 * prediction.aleatoric_sd[quiet].mean()


def test_certain_weights_leave_less_epistemic_uncertainty(
    fitted: BayesianNeuralNetwork, unseen: Noisy, tmp_path: Path
) -> None:
    certain = without_uncertain_weights(fitted, tmp_path / "bayesian.safetensors")
    before, after = fitted.predict(unseen.X), certain.predict(unseen.X)
    assert np.all(after.epistemic_sd < before.epistemic_sd)
    assert np.all(after.epistemic_sd < 1e-12)
    assert np.all(after.aleatoric_sd > 0.0)


def test_more_data_leaves_less_epistemic_uncertainty(unseen: Noisy) -> None:
    spreads = []
    for n in (60, 2400):
        data = noisy_data(n, seed=5)
        network = fit_bayesian(data.X, data.y, np.ones(n), seed=0)
        spreads.append(network.predict(unseen.X).epistemic_sd.mean())
    assert spreads[1] < 0.8 * spreads[0]


def test_folded_arrays_compute_what_the_torch_layers_do(
    fitted: BayesianNeuralNetwork, unseen: Noisy, tmp_path: Path
) -> None:
    certain = without_uncertain_weights(fitted, tmp_path / "bayesian.safetensors").double()
    n, n_hidden = len(unseen.X), certain.hidden.bias_mu.shape[0]
    zeros, ones = torch.zeros(n, n_hidden), torch.ones(n, n_hidden)
    mean, log_variance = certain(torch.from_numpy(unseen.X), zeros, ones, torch.zeros(n, 2))
    prediction = certain.predict(unseen.X)
    expected = certain.target_mean + certain.target_sd * mean.detach().numpy()
    np.testing.assert_allclose(prediction.mean, expected, rtol=1e-6)
    expected_sd = certain.target_sd * np.exp(0.5 * log_variance.detach().numpy())
    np.testing.assert_allclose(prediction.aleatoric_sd, expected_sd, rtol=1e-6)


def test_drawn_weights_and_perturbed_outputs_have_the_same_spread() -> None:
    layer = BayesianLinear(4, 3, prior_sd=1.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight_mu.copy_(torch.randn(3, 4, generator=generator))
        layer.weight_rho.copy_(torch.randn(3, 4, generator=generator))
    x = np.array([0.5, -1.0, 2.0, 0.1])
    weights, biases = layer.draw(20_000, np.random.default_rng(0))
    drawn = weights @ x + biases
    repeated = torch.from_numpy(x).float().expand(20_000, 4)
    perturbed = layer(repeated, torch.randn(20_000, 3, generator=generator)).detach().numpy()
    np.testing.assert_allclose(drawn.std(axis=0), perturbed.std(axis=0), rtol=0.03)
    np.testing.assert_allclose(drawn.mean(axis=0), perturbed.mean(axis=0), atol=0.05)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere() -> None:
    layer = BayesianLinear(5, 2, prior_sd=0.7)
    with torch.no_grad():
        for rho in (layer.weight_rho, layer.bias_rho):
            rho.fill_(float(np.log(np.expm1(0.7))))
    assert layer.kl().item() == pytest.approx(0.0, abs=1e-5)
    with torch.no_grad():
        layer.weight_mu.fill_(0.3)
    assert layer.kl().item() == pytest.approx(10 * 0.5 * (0.3 / 0.7) ** 2, rel=1e-4)


@pytest.mark.parametrize(("seed", "beta"), [(0, 0.5), (1, 0.0), (2, 1.0)])
def test_written_out_gradient_is_torchs(seed: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    n, n_hidden, dropout, kl_weight = 40, 7, 0.3, 0.02
    network = BayesianNeuralNetwork(
        N_FEATURES, n_hidden, dropout=dropout, prior_sd=(0.4, 0.6)
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape)))
    noise = PassNoise(
        rng.normal(size=(n, n_hidden)),
        (rng.random((n, n_hidden)) >= dropout).astype(float),
        rng.normal(size=(n, 2)),
    )
    X, target, weight = rng.normal(size=(n, N_FEATURES)), rng.normal(size=n), rng.random(n)

    tensors = [torch.from_numpy(a) for a in (X, noise.hidden, noise.kept, noise.head)]
    mean, log_variance = network(*tensors)
    squared = (torch.from_numpy(target) - mean).square()
    nll = 0.5 * (log_variance + squared * torch.exp(-log_variance))
    row_weight = torch.from_numpy(weight) * torch.exp(beta * log_variance.detach())
    ((row_weight * nll).sum() / weight.sum() + kl_weight * network.kl()).backward()

    def posterior(layer: BayesianLinear, prior_sd: float) -> Posterior:
        mu, rho = (
            torch.cat([w, b[:, None]], dim=1).detach().numpy()
            for w, b in ((layer.weight_mu, layer.bias_mu), (layer.weight_rho, layer.bias_rho))
        )
        return Posterior(mu, rho, prior_sd)

    gradient = elbo_gradient(
        posterior(network.hidden, 0.4),
        posterior(network.head, 0.6),
        np.column_stack([X, np.ones(n)]),
        target,
        weight,
        noise,
        dropout,
        kl_weight,
        beta,
    )
    expected = [
        torch.cat([w.grad, b.grad[:, None]], dim=1).numpy()
        for layer in (network.hidden, network.head)
        for w, b in ((layer.weight_mu, layer.bias_mu), (layer.weight_rho, layer.bias_rho))
    ]
    for ours, torchs in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(ours, torchs, rtol=1e-8, atol=1e-10)


def test_posterior_is_made_colder_only_where_rows_are_few() -> None:
    rule, bayes = Objective(), Objective(temperature=1.0)
    n_weights = 50
    enough = ROWS_A_WEIGHT * n_weights
    for n_effective in (enough, 10 * enough):
        assert rule.kl_weight(n_effective, n_weights) == bayes.kl_weight(n_effective, n_weights)
    cold = Objective(temperature=COLD)
    assert rule.kl_weight(enough / 40, n_weights) == cold.kl_weight(enough / 40, n_weights)
    # Inner folds have fewer rows than the fit that serves: no step may part the two.
    rows = np.geomspace(enough / 100, 3 * enough, 200)
    temperatures = [rule.kl_weight(n, n_weights) * n for n in rows]
    assert np.all(np.diff(temperatures) >= -1e-12)
    assert np.max(np.diff(np.log(temperatures)) / np.diff(np.log(rows))) < 2.01


def test_prior_rules_where_rows_say_nothing_of_a_weight() -> None:
    X = np.zeros((4000, 2))
    X[:, 0] = np.random.default_rng(0).normal(size=4000)
    y = 0.3 * X[:, 0] + np.random.default_rng(1).normal(size=4000)
    network = fit_bayesian(X, y, np.ones(4000), seed=0)
    spread = torch.nn.functional.softplus(network.hidden.weight_rho.detach())
    # The second feature is 0 in every row: its weights start at a tenth of the prior's spread or
    # less, and nothing but the KL term moves them.
    silent = fit_bayesian(X, y, np.ones(4000), seed=0, objective=Objective(temperature=0.0))
    untouched = torch.nn.functional.softplus(silent.hidden.weight_rho.detach())
    assert torch.all(spread[:, 1] > 5 * untouched[:, 1])


def test_network_without_uncertain_weights_knows_noise_alone(unseen: Noisy) -> None:
    data = noisy_data(600, seed=6)
    plain = Objective(dropout=0.0, uncertain=False)
    prediction = fit_bayesian(data.X, data.y, np.ones(600), 0, objective=plain).predict(unseen.X)
    assert np.all(prediction.epistemic_sd < 1e-6)
    assert np.all(prediction.aleatoric_sd > 0.0)
    again = fit_bayesian(
        data.X, data.y, np.ones(600), 0, objective=Objective(dropout=0.2, uncertain=False)
    )
    assert again.dropout == 0.2
    assert np.all(again.predict(unseen.X).epistemic_sd > 1e-3)


def test_an_answer_does_not_depend_on_its_neighbours(
    fitted: BayesianNeuralNetwork, unseen: Noisy
) -> None:
    together = fitted.predict(unseen.X)
    alone = [fitted.predict(row[None]) for row in unseen.X]
    order = np.random.default_rng(0).permutation(len(unseen.X))
    shuffled = fitted.predict(unseen.X[order])
    for part in ("mean", "epistemic_sd", "aleatoric_sd"):
        values = getattr(together, part)
        one_by_one = np.concatenate([getattr(prediction, part) for prediction in alone])
        np.testing.assert_allclose(one_by_one, values, rtol=1e-12)
        np.testing.assert_allclose(getattr(shuffled, part), values[order], rtol=1e-12)


def test_a_far_away_photo_gets_a_finite_answer(fitted: BayesianNeuralNetwork) -> None:
    prediction = fitted.predict(np.full((1, N_FEATURES), 1e6))
    assert 0.0 < np.exp(prediction.mean[0]) < 1e4
    assert np.isfinite(prediction.epistemic_sd[0])
    assert np.isfinite(prediction.aleatoric_sd[0])


def test_heavy_rows_count_more() -> None:
    X = np.zeros((200, 2))
    y = np.repeat([1.0, 3.0], 100) + np.tile([-0.1, 0.1], 100)
    w = np.repeat([1.0, 9.0], 100)
    prediction = fit_bayesian(X, y, w, seed=0).predict(X[:1])
    assert prediction.mean[0] == pytest.approx(2.8, abs=0.15)


def test_same_data_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    data = noisy_data(300, seed=4)
    saved = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with one_thread():
            fit_bayesian(data.X, data.y, np.ones(300), seed).save(tmp_path / name)
        saved.append((tmp_path / name).read_bytes())
    assert saved[0] == saved[1]
    assert saved[0] != saved[2]


def test_a_loaded_network_answers_as_the_saved_one(
    fitted: BayesianNeuralNetwork, unseen: Noisy, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "bayesian.safetensors")
    loaded = BayesianNeuralNetwork.load(tmp_path / "bayesian.safetensors")
    before, after = fitted.predict(unseen.X), loaded.predict(unseen.X)
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.epistemic_sd, before.epistemic_sd)
    np.testing.assert_array_equal(after.aleatoric_sd, before.aleatoric_sd)


def test_damage_and_missing_draws_are_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "bayesian.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ArtifactError, match=r"bayesian\.safetensors"):
        BayesianNeuralNetwork.load(tmp_path / "bayesian.safetensors")
    with pytest.raises(ArtifactError, match="nowhere"):
        BayesianNeuralNetwork.load(tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="draw"):
        BayesianNeuralNetwork(2).predict(np.zeros((1, 2)))
