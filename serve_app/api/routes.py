"""The scopes of requests. Requests that are not listed need the scope admin."""

from __future__ import annotations

from dataclasses import dataclass

from dubl.types import Scope

LEGACY_PATH = "/check-video-duplicate"
# The contract is public and holds no data; the probes say nothing but whether requests are taken.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
CONSOLE = "/console/"  # its files hold no data either
READ = ("GET", "HEAD")
WRITE = ("POST", "PUT", "PATCH", "DELETE")
_USERS = frozenset({Scope.CHECK, Scope.REGISTER, Scope.REVIEW})
_SUBMITTERS = frozenset({Scope.CHECK, Scope.REGISTER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Requests under `path` with one of `methods` need one of `scopes`."""

    path: str
    methods: tuple[str, ...]
    scopes: frozenset[Scope]

    def covers(self, method: str, path: str) -> bool:
        return method in self.methods and (path == self.path or path.startswith(f"{self.path}/"))


RULES = (
    Rule(path=LEGACY_PATH, methods=WRITE, scopes=frozenset({Scope.CHECK})),
    Rule(path="/v1/checks", methods=("POST",), scopes=frozenset({Scope.CHECK})),
    Rule(path="/v1/checks", methods=READ, scopes=frozenset({Scope.CHECK, Scope.REVIEW})),
    # Evidence, and legal holds. To delete a check, or to release it, takes the scope admin.
    Rule(path="/v1/checks", methods=("PUT", "DELETE"), scopes=frozenset({Scope.REVIEW})),
    Rule(path="/v1/holds", methods=READ, scopes=frozenset({Scope.REVIEW})),
    Rule(path="/v1/references", methods=WRITE, scopes=frozenset({Scope.REGISTER})),
    Rule(path="/v1/references", methods=READ, scopes=_USERS),
    Rule(path="/v1/libraries", methods=READ, scopes=_USERS),
    Rule(path="/v1/reviews", methods=READ + WRITE, scopes=frozenset({Scope.REVIEW})),
    Rule(path="/v1/search", methods=("POST",), scopes=frozenset({Scope.CHECK, Scope.REVIEW})),
    Rule(path="/v1/batches", methods=("POST",), scopes=_SUBMITTERS),
    Rule(path="/v1/jobs", methods=READ, scopes=_USERS),
    Rule(path="/v1/jobs", methods=WRITE, scopes=_SUBMITTERS),
    Rule(path="/v1/session", methods=READ + WRITE, scopes=frozenset(Scope)),
    Rule(path="/metrics", methods=READ, scopes=_USERS),
)
# What is of all libraries at once is not for a key of some.
WHOLE_PATHS = ("/metrics", "/v1/audit", "/v1/deliveries", "/v1/keys", "/v1/ledger", "/v1/spaces")
# What counts against a key's jobs of the day.
JOB_PATHS = frozenset({LEGACY_PATH, "/v1/checks", "/v1/references", "/v1/batches"})


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(CONSOLE)


def is_whole(path: str) -> bool:
    return any(path == whole or path.startswith(f"{whole}/") for whole in WHOLE_PATHS)


def is_audited(method: str, path: str) -> bool:
    """Whether it decides, changes, exports or deletes something; submissions and searches do not.

    A submission is a job, with the key that sent it.
    """
    if method in WRITE:
        return path not in JOB_PATHS and not path.startswith("/v1/search")
    return path == "/v1/ledger"


def starts_job(method: str, path: str) -> bool:
    return method == "POST" and path.rstrip("/") in JOB_PATHS


def scopes_for(method: str, path: str) -> frozenset[Scope]:
    """The scopes of which any is enough."""
    found = next((rule.scopes for rule in RULES if rule.covers(method, path)), frozenset())
    return found | {Scope.ADMIN}
