"""What a feature store holds, counted: how large, of which feature sets, made by what."""

from __future__ import annotations

import json
from typing import Any

from training.feature_store import FeatureStore


def store_summary(store: FeatureStore, feature_set: str) -> dict[str, Any]:
    """Counts of `store` by feature set and conditions, as JSON values.

    feature_set  of the code at hand: marked as `current`
    """
    connection = store.connection
    with store.naming_the_file():
        ((pages, page_size),) = connection.execute(
            "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
        )
        # By the indices: the rows themselves, gigabytes of them, are not looked at.
        counts = connection.execute(
            """
            SELECT feature_set_id, conditions_id, count(*), min(id), max(id) FROM readings
            GROUP BY feature_set_id, conditions_id
            """
        ).fetchall()
        refused = connection.execute(
            """
            SELECT feature_set_id, conditions_id, refusal_code, count(*) FROM readings
            WHERE refusal_code IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC
            """
        ).fetchall()
        sets = connection.execute("SELECT id, feature_set FROM feature_sets ORDER BY id").fetchall()
        conditions = dict(connection.execute("SELECT id, conditions FROM reading_conditions"))
        families = connection.execute(
            "SELECT feature_set_id, name, version, json_array_length(features) "
            "FROM feature_families ORDER BY position"
        ).fetchall()
        provenances = connection.execute("SELECT extractor, libraries FROM provenances").fetchall()

        def moment(reading_id: int) -> str:
            statement = "SELECT created_at FROM readings WHERE id = ?"
            return str(connection.execute(statement, (reading_id,)).fetchone()[0])

        return {
            "store": str(store.path),
            "bytes": pages * page_size,
            "n_readings": sum(count for _, _, count, _, _ in counts),
            "feature_sets": [
                {
                    "feature_set": name,
                    "current": name == feature_set,
                    "families": [
                        {"family": family, "version": version, "n_features": length}
                        for of_set, family, version, length in families
                        if of_set == set_id
                    ],
                    "readings": [
                        {
                            "conditions": conditions[kind],
                            "n_readings": count,
                            "refused_by_reason": {
                                code: n for s, c, code, n in refused if (s, c) == (set_id, kind)
                            },
                            "first_at": moment(first),
                            "last_at": moment(last),
                        }
                        for of_set, kind, count, first, last in counts
                        if of_set == set_id
                    ],
                }
                for set_id, name in sets
            ],
            "provenances": [
                {"extractor": extractor, "libraries": json.loads(libraries)}
                for extractor, libraries in provenances
            ],
        }
