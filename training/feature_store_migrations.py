"""How the feature store's file came to its form, step by step: never edited, only added to."""

from __future__ import annotations

from handlers.sqlite_file import Migrations

# What 1.2.0 wrote into `conditions` for the code of decoder and gate, and what the code that
# reads the same pixels is called since: gate and guards have moved on, the values stay true, as the
# golden vectors of 1.2.0 show.
_CODE_OF_1_2_0 = "a6f620e02032e2ab"
PICTURE_OF_1_2_0 = "ba652175af380480"

MIGRATIONS: Migrations = (
    (
        "0001_readings",
        (
            """
            CREATE TABLE readings (
                sha256         TEXT NOT NULL,
                feature_set    TEXT NOT NULL,
                conditions     TEXT NOT NULL,
                feature_values BLOB,
                refusal_code   TEXT,
                refusal_detail TEXT,
                created_at     TEXT NOT NULL,
                extractor      TEXT NOT NULL,
                PRIMARY KEY (sha256, feature_set, conditions),
                CHECK ((feature_values IS NULL) <> (refusal_code IS NULL)),
                CHECK ((refusal_code IS NULL) = (refusal_detail IS NULL))
            ) STRICT
            """,
        ),
    ),
    (
        # Feature sets by family, so that a changed family does not cost the others; provenance and
        # conditions once each and not in every row; rows in the order that they came in.
        "0002_families_and_provenance",
        (
            """
            CREATE TABLE feature_sets (
                id          INTEGER PRIMARY KEY,
                feature_set TEXT NOT NULL UNIQUE
            ) STRICT
            """,
            """
            CREATE TABLE feature_families (
                feature_set_id INTEGER NOT NULL REFERENCES feature_sets,
                position       INTEGER NOT NULL,
                name           TEXT NOT NULL,
                version        INTEGER NOT NULL,
                family_hash    TEXT NOT NULL,
                features       TEXT NOT NULL CHECK (json_valid(features)),
                PRIMARY KEY (feature_set_id, position)
            ) STRICT
            """,
            """
            CREATE TABLE reading_conditions (
                id         INTEGER PRIMARY KEY,
                conditions TEXT NOT NULL UNIQUE,
                picture    TEXT NOT NULL
            ) STRICT
            """,
            """
            CREATE TABLE provenances (
                id        INTEGER PRIMARY KEY,
                extractor TEXT NOT NULL,
                libraries TEXT NOT NULL CHECK (json_valid(libraries)),
                UNIQUE (extractor, libraries)
            ) STRICT
            """,
            "ALTER TABLE readings RENAME TO readings_0001",
            """
            CREATE TABLE readings (
                id             INTEGER PRIMARY KEY,
                sha256         TEXT NOT NULL,
                feature_set_id INTEGER NOT NULL REFERENCES feature_sets,
                conditions_id  INTEGER NOT NULL REFERENCES reading_conditions,
                provenance_id  INTEGER NOT NULL REFERENCES provenances,
                created_at     TEXT NOT NULL,
                refusal_code   TEXT,
                refusal_detail TEXT,
                feature_values BLOB,
                UNIQUE (sha256, feature_set_id, conditions_id),
                CHECK ((feature_values IS NULL) <> (refusal_code IS NULL)),
                CHECK ((refusal_code IS NULL) = (refusal_detail IS NULL)),
                CHECK (length(feature_values) % 8 = 0)
            ) STRICT
            """,
            "INSERT INTO feature_sets (feature_set) SELECT DISTINCT feature_set FROM readings_0001",
            f"""
            INSERT INTO reading_conditions (conditions, picture)
            SELECT DISTINCT conditions, CASE
                WHEN conditions LIKE 'min_side=% code={_CODE_OF_1_2_0} opencv=%'
                THEN 'picture={PICTURE_OF_1_2_0} '
                    || substr(conditions, instr(conditions, 'opencv='))
                ELSE ''
            END
            FROM readings_0001
            """,
            """
            INSERT INTO provenances (extractor, libraries)
            SELECT DISTINCT extractor, '{}' FROM readings_0001
            """,
            """
            INSERT INTO readings (
                sha256, feature_set_id, conditions_id, provenance_id, created_at,
                refusal_code, refusal_detail, feature_values
            )
            SELECT sha256, s.id, c.id, p.id, created_at, refusal_code, refusal_detail,
                feature_values
            FROM readings_0001
            JOIN feature_sets AS s USING (feature_set)
            JOIN reading_conditions AS c USING (conditions)
            JOIN provenances AS p USING (extractor)
            ORDER BY created_at, readings_0001.rowid
            """,
            "DROP TABLE readings_0001",
            # The latest of one set under one kind of conditions, and how many there are.
            "CREATE INDEX latest_readings ON readings (feature_set_id, conditions_id)",
            """
            CREATE INDEX refused_readings ON readings (feature_set_id, conditions_id, refusal_code)
            WHERE refusal_code IS NOT NULL
            """,
        ),
    ),
)
