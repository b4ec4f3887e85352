"""Tables of the ledger, and their version."""

from __future__ import annotations

SCHEMA_VERSION = 1

STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS jobs (
        id VARCHAR PRIMARY KEY,
        kind VARCHAR NOT NULL,
        state VARCHAR NOT NULL,
        subject_id VARCHAR NOT NULL,
        request VARCHAR NOT NULL,
        created_at VARCHAR NOT NULL,
        finished_at VARCHAR NOT NULL,
        attempts INTEGER NOT NULL,
        result_id VARCHAR NOT NULL,
        created BOOLEAN NOT NULL,
        error_code VARCHAR NOT NULL,
        error_detail VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS checks (
        id VARCHAR PRIMARY KEY,
        query_name VARCHAR NOT NULL,
        query_sha256 VARCHAR NOT NULL,
        libraries VARCHAR[] NOT NULL,
        created_at VARCHAR NOT NULL,
        outcome VARCHAR NOT NULL,
        probability DOUBLE NOT NULL,
        model_id VARCHAR NOT NULL,
        policy_version VARCHAR NOT NULL,
        index_version BIGINT NOT NULL,
        top_reference_id VARCHAR NOT NULL,
        verdict VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS failures (
        path VARCHAR NOT NULL,
        code VARCHAR NOT NULL,
        detail VARCHAR NOT NULL,
        attempts INTEGER NOT NULL,
        created_at VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS reviews (
        id VARCHAR PRIMARY KEY,
        check_id VARCHAR NOT NULL,
        reference_id VARCHAR NOT NULL,
        decision VARCHAR NOT NULL,
        reviewer VARCHAR NOT NULL,
        note VARCHAR NOT NULL,
        created_at VARCHAR NOT NULL
    )
    """,
)
