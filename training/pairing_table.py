"""`pairing.csv`: beside `labels.csv`, what each label rests on, and why a photo has none.

Several sensors of one label stand in one cell, the nearest first, the same order in every column.
"""

from __future__ import annotations

from datetime import datetime

from training.ground_truth.measurement import HOUR
from training.pairing import Label, Unpaired

PAIRING_COLUMNS = (
    *("file", "captured_at", "pm25", "reason", "detail", "method", "source", "sensor_ids"),
    *("distances_km", "weights", "sensor_pm25", "as_published", "averaging_minutes"),
    *("window_starts_at", "window_ends_at", "age_minutes", "correction", "flags"),
)


def pairing_row(file: str, captured_at: datetime | None, found: Label | Unpaired) -> dict[str, str]:
    """The row of one photo."""
    row = {"file": file, "captured_at": captured_at.isoformat() if captured_at else ""}
    if isinstance(found, Unpaired):
        return row | {"reason": found.reason, "detail": found.detail}
    parts, hours = found.parts, [part.hour for part in found.parts]
    return row | {
        "pm25": pm25_text(found.pm25),
        "method": found.method,
        "source": parts[0].sensor.source,
        "sensor_ids": " ".join(part.sensor.id.replace(" ", "_") for part in parts),
        "distances_km": " ".join(f"{part.distance_km:.3f}" for part in parts),
        "weights": " ".join(f"{part.weight:.4f}" for part in parts),
        "sensor_pm25": " ".join(pm25_text(part.pm25) for part in parts),
        "as_published": " | ".join(hour.as_published for hour in hours),
        "averaging_minutes": f"{HOUR.total_seconds() / 60:.0f}",
        "window_starts_at": min(hour.starts_at for hour in hours).isoformat(),
        "window_ends_at": max(hour.ends_at for hour in hours).isoformat(),
        "age_minutes": f"{found.age.total_seconds() / 60:.1f}",
        "correction": hours[0].correction,
        "flags": " ".join(sorted({flag for hour in hours for flag in hour.flags})),
    }


def label_cells(found: Label | Unpaired) -> dict[str, str]:
    """What `labels.csv` says of it: nothing, where there is no label."""
    if isinstance(found, Unpaired):
        return {"pm25": "", "pm25_quality": "", "pm25_as_published": ""}
    return {
        "pm25": pm25_text(found.pm25),
        "pm25_quality": found.quality,
        "pm25_as_published": " | ".join(part.hour.as_published for part in found.parts),
    }


def pm25_text(pm25: float) -> str:
    """PM2.5 [ug m-3] to a hundredth: no monitor knows more."""
    return f"{pm25:.2f}"
