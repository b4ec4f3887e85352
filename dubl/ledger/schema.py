"""Tables of the ledger, and the upgrade steps from older versions.

A change of the tables is a new step at the end of `UPGRADES`. Released steps never change. The
table `schema_version` lists the steps that a file has had.
"""

from __future__ import annotations

from dataclasses import dataclass

from dubl.ledger.states import with_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Statements that lead to `version` from the version before it."""

    version: int
    statements: tuple[str, ...]


# Of verdicts that were recorded before there was a table of matches.
EARLIER_MATCHES = """
INSERT OR IGNORE INTO matches (check_id, reference_id, library, probability, similarity)
SELECT check_id, match->>'reference_id', match->>'library',
    (match->>'probability')::FLOAT8, (match->>'similarity')::FLOAT8
FROM (
    SELECT id AS check_id, unnest(CAST(verdict->'matches' AS JSON[])) AS match FROM checks
    WHERE id NOT IN (SELECT check_id FROM matches)
)
"""

# Of verdicts that were recorded before matches had them.
COPIED_SECONDS = """
UPDATE matches SET copied_s = coalesce((told.match->'rights'->>'copied_s')::FLOAT8, 0),
    modality = coalesce(told.match->>'modality', 'video')
FROM (SELECT id, unnest(CAST(verdict->'matches' AS JSON[])) AS match FROM checks) AS told
WHERE told.id = matches.check_id AND told.match->>'reference_id' = matches.reference_id
"""

# Files of versions 1 to 3 have some of this, whatever their number says: it only adds, and where
# something is there already it changes nothing.
FOUNDATION = (
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
        probability FLOAT8 NOT NULL,
        model_id VARCHAR NOT NULL,
        policy_version VARCHAR NOT NULL,
        index_version BIGINT NOT NULL,
        top_reference_id VARCHAR NOT NULL,
        verdict VARCHAR NOT NULL
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
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS rank INTEGER DEFAULT 1",
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS parent_id VARCHAR DEFAULT ''",
    # JSON. A list for a default would be a function, which the write-ahead log cannot be replayed
    # with: functions are loaded later.
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS callbacks VARCHAR DEFAULT '[]'",
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS dead BOOLEAN DEFAULT false",
    # How many times it may still be started before it is given up.
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS tries_left INTEGER DEFAULT 5",
    # Queued: not to be started before. Running: the lease ends; empty for a batch that only waits
    # for its children.
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS due_at VARCHAR DEFAULT ' '",
    # Of the request that it was accepted by, for logs and traces.
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS request_id VARCHAR DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS traceparent VARCHAR DEFAULT ''",
    """
    CREATE TABLE IF NOT EXISTS deliveries (
        id VARCHAR PRIMARY KEY,
        job_id VARCHAR NOT NULL,
        url VARCHAR NOT NULL,
        state VARCHAR NOT NULL,
        created_at VARCHAR NOT NULL,
        next_attempt_at VARCHAR NOT NULL,
        attempts INTEGER NOT NULL,
        status INTEGER NOT NULL,
        error VARCHAR NOT NULL,
        delivered_at VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS api_keys (
        id VARCHAR PRIMARY KEY,
        name VARCHAR NOT NULL,
        secret_sha256 VARCHAR NOT NULL,
        scopes VARCHAR[] NOT NULL,
        libraries VARCHAR[] NOT NULL,
        requests_per_minute INTEGER NOT NULL,
        jobs_per_day INTEGER NOT NULL,
        created_at VARCHAR NOT NULL,
        revoked_at VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS api_key_usage (
        key_id VARCHAR NOT NULL,
        day VARCHAR NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (key_id, day)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS matches (
        check_id VARCHAR NOT NULL,
        reference_id VARCHAR NOT NULL,
        library VARCHAR NOT NULL,
        probability FLOAT8 NOT NULL,
        similarity FLOAT8 NOT NULL,
        PRIMARY KEY (check_id, reference_id)
    )
    """,
    EARLIER_MATCHES,
    # By the reference's rights, when it was checked.
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS licensed BOOLEAN DEFAULT false",
    "ALTER TABLE checks ADD COLUMN IF NOT EXISTS earlier_id VARCHAR DEFAULT ''",
    # By the thresholds of its library; empty in older rows.
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS outcome VARCHAR DEFAULT ''",
    """
    CREATE TABLE IF NOT EXISTS quarantines (
        reference_id VARCHAR PRIMARY KEY,
        library VARCHAR NOT NULL,
        state VARCHAR NOT NULL,
        uploads INTEGER NOT NULL,
        usual FLOAT8 NOT NULL,
        created_at VARCHAR NOT NULL,
        reviewer VARCHAR NOT NULL,
        note VARCHAR NOT NULL,
        decided_at VARCHAR NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS library_policies (
        library VARCHAR NOT NULL,
        number INTEGER NOT NULL,
        duplicate_probability FLOAT8 NOT NULL,
        review_probability FLOAT8 NOT NULL,
        decisions INTEGER NOT NULL,
        created_at VARCHAR NOT NULL,
        withdrawn_at VARCHAR DEFAULT '',
        PRIMARY KEY (library, number)
    )
    """,
)

SPACES = (
    # Which feature space answers from when on; the last row holds. None: that of model.weights.
    """
    CREATE TABLE IF NOT EXISTS spaces (
        number INTEGER PRIMARY KEY,
        space_id VARCHAR NOT NULL,
        previous_id VARCHAR NOT NULL,
        created_at VARCHAR NOT NULL,
        by_key VARCHAR NOT NULL,
        note VARCHAR NOT NULL,
        rollback BOOLEAN NOT NULL
    )
    """,
    # What the other space says of a check.
    """
    CREATE TABLE IF NOT EXISTS shadows (
        check_id VARCHAR PRIMARY KEY,
        space_id VARCHAR NOT NULL,
        model_id VARCHAR NOT NULL,
        outcome VARCHAR NOT NULL,
        probability FLOAT8 NOT NULL,
        top_reference_id VARCHAR NOT NULL,
        agrees BOOLEAN NOT NULL,
        created_at VARCHAR NOT NULL
    )
    """,
)

HOLDS = (
    """
    CREATE TABLE IF NOT EXISTS holds (
        check_id VARCHAR PRIMARY KEY,
        reason VARCHAR NOT NULL,
        by_key VARCHAR NOT NULL,
        created_at VARCHAR NOT NULL
    )
    """,
    # References that were deleted: what was decided about them does not hold for an id used again.
    """
    CREATE TABLE IF NOT EXISTS deleted_references (
        reference_id VARCHAR PRIMARY KEY,
        deleted_at VARCHAR NOT NULL
    )
    """,
)

ALIKE = (
    # What alike uploads have in common; empty: only equal bytes are alike.
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS alike VARCHAR DEFAULT ''",
)

KEYS_OF_JOBS = (
    # The key of the request that it was accepted by.
    "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS key_id VARCHAR DEFAULT ''",
)

AUDIT = (
    """
    CREATE TABLE IF NOT EXISTS audit (
        id VARCHAR PRIMARY KEY,
        created_at VARCHAR NOT NULL,
        key_id VARCHAR NOT NULL,
        key_name VARCHAR NOT NULL,
        action VARCHAR NOT NULL,
        path VARCHAR NOT NULL,
        request_id VARCHAR NOT NULL
    )
    """,
)

QUEUE = (
    "ALTER TABLE checks ADD COLUMN IF NOT EXISTS channel VARCHAR DEFAULT ''",
    # The name in small letters, for searches.
    "ALTER TABLE checks ADD COLUMN IF NOT EXISTS searched VARCHAR DEFAULT ''",
    # What the queue is filtered and sorted by; `state` and `reviewer` follow from the decisions.
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS copied_s FLOAT8 DEFAULT 0",
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS modality VARCHAR DEFAULT 'video'",
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS state VARCHAR DEFAULT 'open'",
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS reviewer VARCHAR DEFAULT ''",
    "UPDATE checks SET searched = lower(query_name), "
    "channel = coalesce((verdict::JSON->'context')->>'channel', '')",
    COPIED_SECONDS,
    with_states(),
)

DISPUTES = (
    # A dispute that nobody has answered by then releases the match.
    "ALTER TABLE reviews ADD COLUMN IF NOT EXISTS until VARCHAR DEFAULT ''",
)

LIMITS = (
    # The rule without which the probability would be higher.
    "ALTER TABLE matches ADD COLUMN IF NOT EXISTS held VARCHAR DEFAULT ''",
)

UPGRADES = (
    Upgrade(version=4, statements=FOUNDATION),
    Upgrade(version=5, statements=SPACES),
    Upgrade(version=6, statements=HOLDS),
    Upgrade(version=7, statements=ALIKE),
    Upgrade(version=8, statements=KEYS_OF_JOBS),
    Upgrade(version=9, statements=AUDIT),
    Upgrade(version=10, statements=QUEUE),
    Upgrade(version=11, statements=DISPUTES),
    Upgrade(version=12, statements=LIMITS),
)
SCHEMA_VERSION = UPGRADES[-1].version
