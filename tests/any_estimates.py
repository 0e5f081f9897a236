"""What holds of any estimates, and how two of them are compared."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from handlers.conformal import ConformalTable
from handlers.estimator import Estimates, PM25Estimator
from handlers.expert import Expert


def every(estimates: Estimates) -> dict[str, NDArray[np.float64]]:
    return {field.name: getattr(estimates, field.name) for field in fields(estimates)}


def assert_the_same(one: Estimates, other: Estimates, rtol: float = 1e-9) -> None:
    for name, values in every(one).items():
        np.testing.assert_allclose(values, every(other)[name], rtol=rtol, err_msg=name)


def assert_plausible(estimates: Estimates) -> None:
    for values in every(estimates).values():
        assert np.isfinite(values).all() and np.all(values >= 0)
    lower, upper = estimates.interval()
    assert np.all(lower <= estimates.pm25)
    assert np.all(estimates.pm25 <= upper)
    assert np.all((estimates.confidence >= 0) & (estimates.confidence <= 1))
    assert np.all(np.diff(estimates.quantiles, axis=1) >= 0)


def sets_of_models(estimator: PM25Estimator) -> int:
    return len(_experts(estimator))


def tables_without_weather(estimator: PM25Estimator) -> list[ConformalTable]:
    """Those of the experts that have one."""
    tables = [expert.conformal_without_weather for expert in _experts(estimator)]
    return [table for table in tables if table is not None]


def _experts(estimator: PM25Estimator) -> list[Expert]:
    experts = (estimator.new_place, estimator.fixed_view, estimator.fixed_view_night)
    return [expert for expert in experts if expert is not None]
