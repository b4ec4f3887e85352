"""States of matches, by the decisions of reviewers: the rule as SQL."""

from __future__ import annotations


def decided(where: str = "") -> str:
    """CTEs. `decisions`: with their checks, those of `where`. `decided`: the latest of each match.

    `settled`: the latest of each pair of bytes and reference, unless the reference was deleted
    since: then its id may be that of another video.
    """
    return f"""
WITH decisions AS (
    SELECT r.*, c.query_sha256, c.created_at AS checked_at
    FROM reviews r JOIN checks c ON c.id = r.check_id
    WHERE r.decision <> 'comment' {where}
), decided AS (
    SELECT check_id, reference_id, (array_agg(decision ORDER BY created_at DESC))[1] AS decision,
        (array_agg(reviewer ORDER BY created_at DESC))[1] AS reviewer
    FROM decisions GROUP BY check_id, reference_id
), settled AS (
    SELECT query_sha256, reference_id, (array_agg(decision ORDER BY created_at DESC))[1] AS decision
    FROM decisions LEFT JOIN deleted_references USING (reference_id)
    WHERE deleted_at IS NULL OR checked_at > deleted_at
    GROUP BY query_sha256, reference_id
)
"""


def with_states(which: str = "", of_decisions: str = "") -> str:
    """The statement that sets the states of matches m of checks c, of all or as `which` says."""
    return f"""
UPDATE matches SET state = rule.state, reviewer = rule.reviewer
FROM ({decided(of_decisions)}
    SELECT m.check_id, m.reference_id, coalesce(d.reviewer, '') AS reviewer, CASE
        WHEN s.decision = 'rejected' THEN 'rejected'
        WHEN d.decision IN ('confirmed', 'rejected', 'licensed', 'disputed', 'upheld',
            'released') THEN d.decision
        WHEN m.licensed THEN 'licensed'
        WHEN x.deleted_at >= c.created_at THEN 'closed'
        ELSE 'open' END AS state
    FROM matches m JOIN checks c ON c.id = m.check_id
    LEFT JOIN decided d ON d.check_id = m.check_id AND d.reference_id = m.reference_id
    LEFT JOIN settled s ON s.query_sha256 = c.query_sha256 AND s.reference_id = m.reference_id
    LEFT JOIN deleted_references x ON x.reference_id = m.reference_id
    {which}) AS rule
WHERE rule.check_id = matches.check_id AND rule.reference_id = matches.reference_id
"""
