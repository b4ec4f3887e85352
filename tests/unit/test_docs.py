"""The documentation tells the truth: its examples run, and the things that it names are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

import dubl
from dubl import Client, errors
from dubl.settings import Settings
from pipelines.cli.main import app
from serve_app.api.problems import status_of
from tests.support.settings_page import PAGE, settings_page

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
ADD_YOUR_OWN = (DOCS / "extend" / "add-your-own.md").read_text(encoding="utf-8")
TREES = ("benchmarks", "configs", "deploy", "docs", "dubl", "examples", "pipelines", "serve_app")
# The diary tells of files of its time.
PRESENT = [page for page in PAGES if page.parent.name != "lab"]


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _python(text: str) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


def _page_id(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("section", _sections(ADD_YOUR_OWN))
def test_the_examples_of_add_your_own_run(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _python(_sections(ADD_YOUR_OWN)[section])
    assert "\nassert " in program
    monkeypatch.chdir(tmp_path)
    exec(compile(program, f"add-your-own.md, {section}", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", PRESENT, ids=_page_id)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(TREES)}|tests)/[\w./-]+)`", page.read_text("utf-8"))
    assert [name for name in named if not (PROJECT / name).exists()] == []


@pytest.mark.parametrize("page", PRESENT, ids=_page_id)
def test_every_module_and_target_that_a_page_calls_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    modules = re.findall(r"python -m ((?:pipelines|benchmarks|serve_app|tests)[\w.]*)", text)
    lost = [name for name in modules if not _module(name)]
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)
    known = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert (lost, sorted(set(targets) - set(known))) == ([], [])


def _module(name: str) -> bool:
    path = PROJECT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists() or "NAME" in name


@pytest.mark.parametrize("page", PRESENT, ids=_page_id)
def test_every_setting_that_a_page_names_is_there(page: Path) -> None:
    sections = {name: getattr(Settings(), name) for name in Settings.model_fields}
    named = re.findall(rf"`({'|'.join(sections)})\.([a-z_]+)[=:` ]", page.read_text("utf-8"))
    ends = {"duckdb", "json", "pt"}  # of files
    lost = [f"{section}.{key}" for section, key in named if not hasattr(sections[section], key)]
    assert [name for name in lost if name.split(".")[1] not in ends] == []


@pytest.mark.parametrize("page", PRESENT, ids=_page_id)
def test_every_command_that_a_page_calls_is_there(page: Path) -> None:
    calls = re.findall(
        r"(?:^|\$ |`|bin/)dubl ([a-z]+)(?: ([a-z]+)\b)?", page.read_text("utf-8"), re.MULTILINE
    )
    commands = _subcommands(typer.main.get_command(app))
    lost = [name for name, _ in calls if name not in commands]
    for name, sub in calls:
        known = _subcommands(commands[name]) if name in commands else {}
        lost += [f"{name} {sub}"] if known and sub and sub not in known else []
    assert lost == []


def _subcommands(command: object) -> dict[str, object]:
    """By name; empty for a command without any."""
    if not isinstance(command, TyperGroup):
        return {}
    context = command.make_context("dubl", [], resilient_parsing=True)
    return {name: command.get_command(context, name) for name in command.list_commands(context)}


def test_codes_stand_beside_their_status() -> None:
    rows = re.findall(
        r"^\| ([\d, ]+) \| (`.*?`) \|", (DOCS / "use" / "http.md").read_text("utf-8"), re.MULTILINE
    )
    told = {code: row[0] for row in rows for code in re.findall(r"`(\w+)`", row[1])}
    statuses = {kind.code: str(int(status_of(kind))) for kind in _kinds(errors.DublError)}
    assert len(told) > 20
    assert [code for code, told_as in told.items() if statuses[code] not in told_as] == []


def _kinds(kind: type[errors.DublError]) -> list[type[errors.DublError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _kinds(child))]


def test_every_extra_stands_in_the_table() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    table = _sections((DOCS / "operate" / "deploy.md").read_text("utf-8"))["Packages"]
    told = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(told) == sorted(project["optional-dependencies"])


def test_the_page_of_settings_is_that_of_their_model() -> None:
    current = PAGE.read_text(encoding="utf-8") == settings_page()
    assert current, "run `python -m tests.support.settings_page`"


def test_every_name_that_pages_import_from_dubl_is_there() -> None:
    programs = "".join(_python(page.read_text("utf-8")) for page in PRESENT)
    lines = re.findall(r"^from dubl import (.+)$", programs, flags=re.MULTILINE)
    named = {name for line in lines for name in line.split(", ")}
    assert {"Client", "LocalClient"} <= named
    assert named - set(dir(dubl)) == set()


def test_every_method_in_the_clients_table_is_there() -> None:
    page = (DOCS / "use" / "python.md").read_text(encoding="utf-8")
    table = _sections(page)["Methods"].split("\n\n")[1]
    named = re.findall(r"`(\w+)`", table)
    assert len(named) > 20
    assert [name for name in named if not hasattr(Client, name)] == []
    public = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert public - set(named) == set()
