"""Lists what waits for a person, with the edits that were seen; rejects what is named.

python examples/review_queue.py http://localhost:8000 [CHECK REFERENCE]
"""

import sys

from dubl import Client


def main(address: str, *pair: str) -> None:
    with Client(address) as dubl:
        if len(pair) == 2:
            entry = dubl.review(*pair, decision="rejected", reviewer="script")
            print(f"{entry.check_id} and {entry.reference_id}: {entry.decision}")
        for item in dubl.review_queue().items:
            evidence = dubl.get_evidence(item.check_id, item.reference_id)
            edits = ", ".join(hint.kind for hint in evidence.hints) or "no edit seen"
            print(f"{item.query_name} and {item.reference_id}: {item.probability:.0%}, {edits}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
