"""What moved an estimate, in words that a citizen understands: English, and Spanish as in Colombia.

Features are many and alike; people see the haze, the colours, the sky. Each feature belongs to one
such group, and what moved an estimate most is said of the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.extractor import ScientificFeatureExtractor
from features.meteorology import FAMILY as METEOROLOGY


class Words(NamedTuple):
    """The same in English and in Spanish."""

    en: str
    es: str


# What a group is called.
GROUPS: dict[str, Words] = {
    "haze": Words("the haze in front of distant things", "la bruma delante de lo lejano"),
    "skyline": Words("how clearly the skyline shows", "qué tan claro se ve el horizonte"),
    "contrast": Words(
        "the contrast between light and dark", "el contraste entre lo claro y lo oscuro"
    ),
    "colour": Words("the colours of the view", "los colores del paisaje"),
    "sky_light": Words("the light of the sky", "la luz del cielo"),
    "sharpness": Words("how sharp things look", "la nitidez con la que se ven las cosas"),
    "sun": Words("the height of the sun", "la altura del sol"),
    "humidity": Words("the humidity of the air", "la humedad del aire"),
    "temperature": Words("the temperature of the air", "la temperatura del aire"),
    "wind": Words("the wind", "el viento"),
    "rain": Words("the rain", "la lluvia"),
    "mixing": Words(
        "how much air the dust can mix into", "la cantidad de aire en la que se dispersa el polvo"
    ),
}

_OF_FAMILY = {
    "visibility": "contrast",
    "colour": "colour",
    "saturation": "colour",
    "skylight": "sky_light",
    "haze": "haze",
    "veil": "haze",
    "texture": "sharpness",
    "gradient": "sharpness",
    "frequency": "sharpness",
    "deep": "haze",
}
_OF_METEOROLOGY = {
    "sun_elevation_deg": "sun",
    "cos_solar_zenith": "sun",
    "air_mass": "sun",
    "daylight": "sun",
    "relative_humidity_pct": "humidity",
    "humidity_growth": "humidity",
    "temperature_c": "temperature",
    "dew_point_c": "humidity",
    "dew_point_depression_k": "humidity",
    "wind_speed_ms": "wind",
    "wind_u_ms": "wind",
    "wind_v_ms": "wind",
    "rain_mm": "rain",
    "ln_boundary_layer_height": "mixing",
    "ln_ventilation": "mixing",
}
GROUP_OF: dict[str, str] = {
    **{
        feature.name: "skyline" if feature.name.startswith("skyline") else _OF_FAMILY[family.name]
        for family in ScientificFeatureExtractor.families
        for feature in family.features
    },
    **{feature.name: _OF_METEOROLOGY[feature.name] for feature in METEOROLOGY.features},
}

# The photo that an estimate is compared with, by the set of models (handlers/estimator.py).
SITUATIONS: dict[str, Words] = {
    "new_place": Words("a usual photo", "una foto normal"),
    "fixed_view": Words("a usual photo of this camera", "una foto normal de esta cámara"),
    "fixed_view_night": Words(
        "a usual night photo of this camera", "una foto nocturna normal de esta cámara"
    ),
}
_UP = Words("up", "hacia arriba")
_DOWN = Words("down", "hacia abajo")


def sentence(
    estimate: float, baseline: float, situation: str, changes: Mapping[str, float]
) -> Words:
    """One sentence about an estimate and that of a usual photo [ug m-3].

    changes: group → what it moved the estimate by [ug m-3], what moved it most first. If that went
    against the whole difference, the sentence also names what went with it most.
    """
    usual = SITUATIONS[situation]
    now, then = _number(estimate), _number(baseline)
    if not changes:
        return Words(
            f"We estimate about {now.en} µg/m³ of fine particles (PM2.5), as for {usual.en}: "
            "this one tells us nothing about the haze.",
            f"Calculamos unos {now.es} µg/m³ de partículas finas (PM2.5), como en {usual.es}: "
            "esta no nos dice nada sobre la bruma.",
        )
    most = next(iter(changes))
    what, by, way = _said(most, changes[most])
    said = Words(
        f"We estimate about {now.en} µg/m³ of fine particles (PM2.5), against {then.en} for "
        f"{usual.en}: what moved it most, {by.en} {way.en}, is {what.en}",
        f"Calculamos unos {now.es} µg/m³ de partículas finas (PM2.5), frente a {then.es} en "
        f"{usual.es}: lo que más cambió el resultado, {by.es} {way.es}, fue {what.es}",
    )
    against = [group for group in changes if changes[group] * changes[most] < 0.0]
    if against and (estimate - baseline) * changes[most] < 0.0:
        what, by, way = _said(against[0], changes[against[0]])
        said = Words(
            f"{said.en}, and against it, {by.en} {way.en}, {what.en}",
            f"{said.es}, y en contra, {by.es} {way.es}, {what.es}",
        )
    return Words(f"{said.en}.", f"{said.es}.")


def _said(group: str, change: float) -> tuple[Words, Words, Words]:
    """What moved an estimate, by how much, and which way."""
    return GROUPS[group], _number(abs(change)), _UP if change > 0.0 else _DOWN


def _number(value: float) -> Words:
    """A concentration as people say it: whole from 10 on, a decimal below if it is not zero."""
    said = f"{value:.0f}" if round(value, 1) >= 10 else f"{value:.1f}".removesuffix(".0")
    if float(said) == 0.0:
        return Words("less than 0.1", "menos de 0,1")
    return Words(said, said.replace(".", ","))
