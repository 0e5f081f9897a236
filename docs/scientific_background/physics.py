"""Tables of the physics: what air does to a view, and what an error of a view does to PM2.5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp

from features.meteorology import humidity_growth

RAYLEIGH, MASS_EFFICIENCY = 10.0, 3.5  # [Mm-1] at 850 hPa, [m2 g-1]

Rows = Iterator[Sequence[str]]


def extinction(pm25: float, humidity: float) -> float:
    """β = Rayleigh + k f(RH) PM2.5 [Mm-1]."""
    return RAYLEIGH + MASS_EFFICIENCY * humidity_growth(humidity) * pm25


def landmark_error(contrast_error: float, distance_km: float, humidity: float) -> float:
    """ΔPM = δ / (k f d) [ug m-3] for a relative error δ of a contrast at distance d."""
    return contrast_error * 1e3 / (MASS_EFFICIENCY * humidity_growth(humidity) * distance_km)


def noise_error(pm25: float, distance_km: float, noise: float, humidity: float) -> float:
    """The same for an absolute error `noise` of a contrast that was 1 at the object: δ = ε / t."""
    t = exp(-extinction(pm25, humidity) * 1e-3 * distance_km)
    return landmark_error(noise / t, distance_km, humidity)


def atmosphere() -> Rows:
    yield "PM2.5", "RH [%]", "β [Mm⁻¹]", "visual range [km]", "t, 0.3 km", "t, 1 km", "t, 5 km"
    for pm25 in (5, 15, 25, 37, 55, 150, 300):
        for humidity in (50, 85):
            beta = extinction(pm25, humidity)
            seen = [f"{exp(-beta * 1e-3 * d):.2f}" for d in (0.3, 1, 5)]
            yield f"{pm25}", f"{humidity}", f"{beta:.0f}", _three(3912 / beta), *seen


def one_landmark() -> Rows:
    yield "error of the contrast", "RH [%]", *(f"{d} km" for d in (0.2, 1, 3, 5, 10))
    for error in (0.05, 0.20):
        for humidity in (0, 50, 85):
            errors = [landmark_error(error, d, humidity) for d in (0.2, 1, 3, 5, 10)]
            yield f"{error:.0%}", f"{humidity}", *map(_three, errors)


def best_distance() -> Rows:
    distances = (0.3, 1, 3, 10, 30)
    yield "PM2.5", "1/β [km]", *(f"{d} km" for d in distances)
    for pm25 in (5, 15, 50, 150, 300):
        errors = [noise_error(pm25, d, 0.01, 50) for d in distances]
        cells = [_three(e) if e < 1000 else "blind" for e in errors]
        yield f"{pm25}", _three(1e3 / extinction(pm25, 50)), *cells


def humidity() -> Rows:
    shares = (0.10, 0.16, 0.25)
    yield "RH [%]", *(f"f, κ = {k:.2f}" for k in shares), "25 µg/m³ looks like"
    for rh in (30, 50, 70, 80, 85, 90, 95):
        growth = [1 + k * rh / (100 - rh) for k in shares]
        alike = 25 * humidity_growth(rh) / humidity_growth(50)
        yield f"{rh}", *(f"{f:.2f}" for f in growth), f"{alike:.0f} at RH 50"


def inseparable() -> Rows:
    distances = (0.5, 1, 2, 5, 10)
    yield "optical depth seen", *(f"if {d} km" for d in distances)
    for tau in (0.2, 0.5, 1.0, 2.0):
        values = [_pm25_of(tau, d) for d in distances]
        yield f"{tau:.1f}", *(_three(v) if v > 0 else "none" for v in values)


def _pm25_of(tau: float, distance_km: float) -> float:
    return (tau / (distance_km * 1e-3) - RAYLEIGH) / (MASS_EFFICIENCY * humidity_growth(50))


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
