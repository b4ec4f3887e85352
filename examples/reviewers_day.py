"""A rights team's day: take films in, check an upload, look, decide, and let rights change answers.

    python examples/reviewers_day.py http://localhost:8000 FILMS.zip FILM UPLOAD OTHER_UPLOAD

FILMS.zip holds films; FILM is one more. UPLOAD is a copy of FILM, OTHER_UPLOAD of one in the zip.
"""

import sys

from dubl import Check, Client, ExcludedSegment, LicenseWindow, Rights

REVIEWER = "Anna"


def main(address: str, films: str, film: str, upload: str, other: str) -> None:
    with Client(address) as dubl:
        batch = dubl.submit_batch(films, kind="reference", owner="Studio")
        job = dubl.wait_for_job(batch.job_id)
        reference = dubl.register(film, title="The film", owner="Studio")
        print(f"registered: {(job.children or {})['done']} by zip, and {reference.title}")

        check = dubl.check(upload)
        evidence = dubl.get_evidence(check.id, reference.id)
        segment = evidence.segments[0]
        print(f"{said(check)}, {len(evidence.pairs)} pairs of frames to look at")
        dubl.review(check.id, reference.id, decision="confirmed", reviewer=REVIEWER)

        doubted = dubl.check(other)
        wrong = doubted.matches[0].reference_id
        dubl.review(doubted.id, wrong, decision="rejected", reviewer=REVIEWER, note="same set")
        print(f"rejected, so checked again: {said(dubl.check(other))}")

        intro = ExcludedSegment(start_s=0, end_s=segment.reference_end_s, label="intro")
        dubl.update_reference(reference.id, rights=Rights(excluded_segments=(intro,)))
        print(f"all that is copied is intro: {said(dubl.check(upload))}")

        forever = LicenseWindow(territories=("DE",))
        dubl.update_reference(reference.id, rights=Rights(license_windows=(forever,)))
        print(f"licensed in DE: {said(dubl.check(upload, territory='DE'))}")
        dubl.update_reference(reference.id, rights=Rights())
        print(f"license revoked: {said(dubl.check(upload, territory='DE'))}")


def said(check: Check) -> str:
    return f"{check.query_name} is {check.outcome}"


if __name__ == "__main__":
    main(*sys.argv[1:6])
