"""A source by its name, as commands and configuration files give it."""

from __future__ import annotations

from training.ground_truth.clock import Clock
from training.ground_truth.corrections import CORRECTIONS, DEFAULT_CORRECTION
from training.ground_truth.measurement import GroundTruthError, GroundTruthSource
from training.ground_truth.openaq import BASE_URL as OPENAQ_URL
from training.ground_truth.openaq import OpenAQ
from training.ground_truth.purpleair import BASE_URL as PURPLEAIR_URL
from training.ground_truth.purpleair import PurpleAir
from training.ground_truth.siata import BASE_URL as SIATA_URL
from training.ground_truth.siata import Siata
from training.ground_truth.siata_legacy import HISTORY_URL, SiataLegacy

SOURCES = ("siata", "purpleair", "openaq", "siata_legacy")


def open_source(
    name: str,
    *,
    address: str = "",
    correction: str = "",
    as_history: bool = False,
    clock: Clock | None = None,
) -> GroundTruthSource:
    """The source called `name`.

    address     instead of its usual one; of siata_legacy an address or a file
    correction  of PurpleAir's values; the default one if empty
    as_history  whether the past is meant: siata_legacy knows nothing of today

    Raises GroundTruthError: unknown_source, unknown_correction, key_missing.
    """
    if name not in SOURCES:
        raise GroundTruthError(
            "unknown_source", f"No source is called {name!r}.", f"Allowed are {', '.join(SOURCES)}."
        )
    if correction and (name != "purpleair" or correction not in CORRECTIONS):
        raise GroundTruthError(
            "unknown_correction",
            f"{name} knows no correction {correction!r}.",
            f"Allowed are, for purpleair alone, {', '.join(CORRECTIONS)}.",
        )
    if name == "purpleair":
        chosen = correction or DEFAULT_CORRECTION
        return PurpleAir(base_url=address or PURPLEAIR_URL, correction=chosen, clock=clock)
    if name == "openaq":
        return OpenAQ(base_url=address or OPENAQ_URL, clock=clock)
    if name == "siata_legacy":
        return SiataLegacy(address or HISTORY_URL, as_history=as_history, clock=clock)
    return Siata(base_url=address or SIATA_URL, clock=clock)
