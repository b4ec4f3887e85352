"""The engine: the steps, the work over them, and the ledger, in one object.

It is used by HTTP (serve_app/api), and in one process (dubl/engine/in_process.py) by the command
line on a data folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dubl.assembly import still_sampling
from dubl.contract import bodies
from dubl.contract.orders import FrameSearch
from dubl.engine.evidence import Evidence
from dubl.engine.flow import Flow, Steps
from dubl.engine.handles import Response
from dubl.engine.jobs import Jobs
from dubl.engine.ledger import LedgerClient
from dubl.engine.runner import JobRunner, Schedule
from dubl.engine.shell import NO_SHELL, Shell
from dubl.engine.spaces import FeatureSpaces
from dubl.engine.work import Work
from dubl.errors import DublError, NotFound, ReferenceNotFound, no_library
from dubl.ledger.ledger import Ledger
from dubl.ledger.policies import Policies
from dubl.ledger.retention import Retention
from dubl.matching.decision import outcome_of, policy_of
from dubl.matching.thresholds import fit_thresholds
from dubl.rights.terms import ExcludedSegment
from dubl.settings import Settings
from dubl.types import Check, FrameFound, Match, Outcome, PriorDecisions, ThresholdReport

# Seconds. A lost ledger is back sooner; its jobs are kept meanwhile.
PATIENCE_S = 120.0
RELEASED = "released"  # label of seconds that a reviewer has excluded
READY_TIMEOUT_S = 5.0
NO_ANSWER = f"does not answer within {READY_TIMEOUT_S:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One for each process that accepts requests. `runner` is None where consumers run the jobs."""

    settings: Settings
    steps: Steps
    ledger: LedgerClient
    jobs: Jobs
    spaces: FeatureSpaces
    evidence: Evidence
    shell: Shell
    runner: JobRunner | None = None

    async def require_libraries(
        self, named: Sequence[str], *, visible: Callable[[str], bool] = bool
    ) -> None:
        """Raises LibraryNotFound for a library without a reference; tells of visible ones."""
        unknown = await self.steps.librarian.unknown.remote(list(named)) if named else None
        if unknown is None:
            return
        known = await self.steps.librarian.told_libraries.remote()
        raise no_library(unknown, [name for name in known if visible(name)])

    async def search_frame(self, search: FrameSearch) -> Sequence[FrameFound]:
        """References that show the picture, best first."""
        lane = await self.spaces.answering()
        clip = self.steps.decoder.decode.remote(
            search.source, still_sampling(lane.space, search.at_s)
        )
        features = lane.embedder.embed.remote(clip)
        asked = lane.retriever.find_frame.remote(features, list(search.libraries), search.limit)
        found: Sequence[FrameFound] = await asked
        return found

    async def delete_check(self, check_id: str) -> None:
        """Deletes a check with all that is stored of it.

        Raises CheckNotFound, and StateConflict if it is under a hold.
        """
        await self.ledger.ask(Retention.require_free, check_id)
        # The row last: what is cut off here can be done again as long as it is there.
        await self.evidence.forget(check_id)
        await self.ledger.ask(Retention.delete_check, check_id)

    async def delete_reference(self, reference_id: str) -> None:
        """Deletes a reference, and ends a registration that would make it.

        What was decided about it ends too: its id may be used again. Raises ReferenceNotFound.
        """
        ended = await self.jobs.end_registration(reference_id)
        try:
            await self.steps.librarian.delete.remote(reference_id)
        except ReferenceNotFound:
            if not ended:
                raise
        await self.ledger.ask(Ledger.forget_reference, reference_id)

    async def match_of(self, check: Check, reference_id: str) -> Match:
        """The match of a check with a reference. Raises NotFound; EvidenceNotKept if the reference
        was deleted since."""
        for match in (*check.verdict.matches, *check.verdict.audio_matches):
            if match.reference_id == reference_id:
                await self.ledger.ask(Ledger.require_current, check, reference_id)
                return match
        raise NotFound(f"check '{check.id}' has no match with reference '{reference_id}'")

    async def explain(self, check: Check, reference_id: str) -> bodies.Evidence:
        """Why a match was found, or is none. Raises NotFound, EvidenceNotKept."""
        match = await self.match_of(check, reference_id)
        explanation = await self.evidence.explain(check.id, match)
        own = PriorDecisions(policies=await self.ledger.ask(Policies.current))
        used = policy_of(match.library, self.settings.policy, own)
        said = match.outcome or outcome_of(match.probability, used)
        outcome = Outcome.UNIQUE if match.rejected else said
        return bodies.Evidence.of(check, match, explanation, policy=used, outcome=outcome)

    async def exclude_copied(self, check_id: str, reference_id: str) -> None:
        """Excludes what a match copies of its reference: later uploads of these seconds do not
        count for it.

        Raises CheckNotFound, NotFound, ReferenceNotFound; EvidenceNotKept if it was deleted since.
        """
        check = await self.ledger.ask(Ledger.get_check, check_id)
        match = await self.match_of(check, reference_id)
        segments = [
            ExcludedSegment(
                start_s=one.reference_start_s, end_s=one.reference_end_s, label=RELEASED
            )
            for one in match.segments
        ]
        await self.steps.librarian.exclude.remote(reference_id, segments)

    async def calibrate(
        self, library: str, *, least_decisions: int, adopt: bool
    ) -> ThresholdReport:
        """Fits a library's thresholds to review decisions; with `adopt` they take effect.

        Raises InvalidRequest for too few decisions.
        """
        decided = await self.ledger.ask(Policies.decided_matches, library)
        report = fit_thresholds(decided, self.settings.policy, least_decisions=least_decisions)
        if adopt:
            await self.ledger.ask(
                Policies.adopt,
                library,
                duplicate=report.duplicate_probability,
                review=report.review_probability,
                decisions=report.decisions,
            )
        return report

    async def waits_for(self) -> dict[str, str]:
        """Steps that are not ready, each with the reason."""
        calls = {name: handle.ready.remote() for name, handle in self.steps.by_name.items()}
        told = await asyncio.gather(*(_reason(call) for call in calls.values()))
        reasons = {name: reason for name, reason in zip(calls, told, strict=True) if reason}
        if NO_ANSWER not in reasons.values():
            return reasons
        messages = await asyncio.to_thread(self.shell.messages)
        return {
            name: messages.get(name, reason) if reason == NO_ANSWER else reason
            for name, reason in reasons.items()
        }


def make_runner(
    steps: Steps,
    settings: Settings,
    *,
    schedule: Schedule | None = None,
    shell: Shell = NO_SHELL,
    at_once: int = 0,
) -> JobRunner:
    """A runner of jobs over the steps. `schedule` is called for jobs to be tried again."""
    ledger = LedgerClient(steps.ledger, patience_s=PATIENCE_S)
    flow = Flow(steps, settings, at_once=at_once)
    work = Work(steps=steps, flow=flow, ledger=ledger, settings=settings, shell=shell)
    return JobRunner(
        ledger=ledger, work=work, settings=settings.serve, schedule=schedule, shell=shell
    )


def make_engine(
    steps: Steps,
    settings: Settings,
    *,
    send: Schedule | None = None,
    shell: Shell = NO_SHELL,
    at_once: int = 0,
) -> Engine:
    """An engine whose jobs run in this process, or in the consumers that `send` notifies.

    `at_once`: checks and registrations that decode, embed and compare at the same time; 0: all.
    """
    ledger = LedgerClient(steps.ledger)
    runner = make_runner(steps, settings, shell=shell, at_once=at_once) if send is None else None
    return Engine(
        settings=settings,
        steps=steps,
        ledger=ledger,
        jobs=Jobs(ledger=ledger, settings=settings, runner=runner, send=send, shell=shell),
        spaces=FeatureSpaces(steps, ledger, settings),
        evidence=Evidence(steps, settings),
        shell=shell,
        runner=runner,
    )


async def _reason(call: Response) -> str:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            return "" if await call else "is starting"
    except DublError as exc:
        return f"{exc.code}: {exc.detail}"
    except TimeoutError:
        return NO_ANSWER
