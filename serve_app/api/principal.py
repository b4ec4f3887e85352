"""The caller, and its permissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from dubl.errors import Forbidden, InvalidRequest
from dubl.types import ApiKey, Job, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The owner of a key, or anybody if no keys are required. `libraries` empty: all."""

    key_id: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    libraries: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: ApiKey) -> Principal:
        return cls(key_id=key.id, scopes=frozenset(key.scopes), libraries=key.libraries)

    def sees(self, libraries: Sequence[str]) -> bool:
        """Whether the caller may see something about these libraries (empty: about all)."""
        if not self.libraries:
            return True
        return bool(libraries) and set(libraries) <= set(self.libraries)

    def require(self, library: str) -> None:
        """Raises Forbidden unless the caller may use the libraries."""
        if not self.sees([library]):
            raise Forbidden(f"the key is not for library '{library}'")

    def require_scope(self, scope: Scope) -> None:
        """Raises Forbidden unless the key has the scope."""
        if not self.scopes & {scope, Scope.ADMIN}:
            raise Forbidden(f"the key does not have the scope {scope}")

    def limited(self, libraries: Sequence[str]) -> tuple[str, ...]:
        """The libraries to search: the named ones, or all of the key's. Raises Forbidden."""
        for library in libraries:
            self.require(library)
        return tuple(libraries) or self.libraries

    def one_library(self, library: str) -> str:
        """The library of a listing; a key with several must name one. Raises Forbidden,
        InvalidRequest."""
        if library:
            self.require(library)
            return library
        if len(self.libraries) > 1:
            raise InvalidRequest(f"name one `library` of {', '.join(self.libraries)}")
        return self.libraries[0] if self.libraries else ""


ANYBODY = Principal()


def principal_of(request: Request) -> Principal:
    """The caller that AccessControl has found."""
    principal = request.scope["state"]["principal"]
    assert isinstance(principal, Principal)
    return principal


def libraries_of(job: Job) -> tuple[str, ...]:
    """The libraries of a job; empty: all."""
    draft, libraries = job.request.get("draft"), job.request.get("libraries")
    if isinstance(draft, dict):
        return (str(draft.get("library", "")),)
    return tuple(str(name) for name in libraries) if isinstance(libraries, list | tuple) else ()
