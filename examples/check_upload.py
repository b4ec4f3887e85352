"""Asks about one file before it is published, and says where the copied seconds are.

    python examples/check_upload.py http://localhost:8000 upload.mp4

Exits with 10 for a duplicate, 11 when a person should look, 0 otherwise.
"""

import sys

from dubl import Client, JobFailed

EXITS = {"unique": 0, "duplicate": 10, "review": 11}


def main(address: str, path: str) -> int:
    with Client(address) as dubl:
        try:
            check = dubl.check(path)
        except JobFailed as problem:
            print(f"{path}: {problem.detail} {problem.hint}")
            return 2
    print(f"{path}: {check.outcome} ({check.probability:.0%})")
    for match in check.matches:
        for part in match.segments:
            print(
                f"  {part.query_start_s:.1f}-{part.query_end_s:.1f} s is {match.reference_id} "
                f"{part.reference_start_s:.1f}-{part.reference_end_s:.1f} s"
            )
    return EXITS[check.outcome]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
