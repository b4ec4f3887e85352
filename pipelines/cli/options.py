"""Options that commands share, and the output of errors."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer
from pydantic import BaseModel

from dubl.client.errors import ClientError, JobFailed
from dubl.contract.forms import read_form
from dubl.contract.names import plain_text
from dubl.errors import ConfigurationError, DublError, InputError, ResourceError, StoreHeld
from dubl.media.kinds import videos_in
from dubl.settings import Settings, load_settings

if TYPE_CHECKING:
    from dubl.client.client import Client
    from dubl.ledger.ledger import Ledger

KEY_VARIABLE = "DUBL_API_KEY"
FAILED, WRONG_USAGE = 1, 2
ABOUT_THE_VIDEO = (JobFailed, InputError, ResourceError)  # others may still succeed
TRIES, PAUSE_S = 3, 0.3

Data = Annotated[Path, typer.Option(help="data folder, while no service uses it")]
Config = Annotated[Path | None, typer.Option(help="the service's settings file")]
Url = Annotated[
    str, typer.Option(envvar="DUBL_URL", help="address of the running service, http://host:port")
]
# From the environment alone: what stands on a command line is seen by others on the machine.
Key = Annotated[str, typer.Option(envvar=KEY_VARIABLE, hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object for each line")]
DATA = Path("data")
BACKEND_OPTIONS: Mapping[str, tuple[object, object]] = {
    "url": (Url, ""),
    "data": (Data, DATA),
    "config": (Config, None),
    "key": (Key, ""),
    "context": (typer.Context, Parameter.empty),
}
# Of jobs, which take the settings of an installation.
JobConfig = Annotated[Path, typer.Option(help="settings file")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, may be repeated")
]
ClusterAddress = Annotated[str, typer.Option(help="Ray cluster; default: RAY_ADDRESS or local")]
CONFIG = Path("configs/local.yaml")


def command_settings(data: Path, config: Path | None) -> Settings:
    """Settings from the service's file, or the defaults with its data folder."""
    return load_settings(config, [] if config else [f"data_dir={data}"])


def connected(url: str, key: str) -> Client:
    """A client with few retries, as a person waits at a terminal."""
    from dubl.client.client import Client
    from dubl.client.exchange import Retries

    return Client(url, api_key=key, retries=Retries(tries=TRIES, pause_s=PAUSE_S))


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger's file. Raises StoreHeld while the service uses it."""
    from dubl.assembly import make_ledger

    with _told_holder(settings), closing(make_ledger(settings)) as ledger:
        yield ledger


@contextmanager
def _told_holder(settings: Settings) -> Iterator[None]:
    """Names the service that holds the data folder."""
    try:
        yield
    except StoreHeld as exc:
        from dubl.ledger.service_lock import service_address

        address = service_address(settings.data_dir)
        if not address:
            raise
        raise StoreHeld(
            f"a service uses {settings.data_dir}. Ask it: add --url {address}."
        ) from exc


@contextmanager
def printed_errors(*, failed: int = FAILED) -> Iterator[None]:
    """Prints an error as one line and exits with `failed`; with 2 for a wrong configuration."""
    try:
        yield
    except (DublError, ClientError) as exc:
        print_error(exc)
        wrong = isinstance(exc, ConfigurationError)
        raise typer.Exit(WRONG_USAGE if wrong else failed) from exc


@contextmanager
def job(message_format: str = "%(message)s") -> Iterator[None]:
    """A job that logs to standard error; exits with 2 after an error, as 1 is a bad result."""
    logging.basicConfig(level=logging.INFO, format=message_format)
    with printed_errors(failed=WRONG_USAGE):
        yield


def print_error(error: DublError | ClientError, *, about: str = "") -> None:
    line = f"{error.code}: {sentences(error.detail, error.hint)}"
    typer.echo(f"{about}: {line}" if about else line, err=True)


@contextmanager
def one_of_many(video: str) -> Iterator[None]:
    """Prints an error of this video, as others may still succeed. Raises all other errors."""
    try:
        yield
    except ABOUT_THE_VIDEO as exc:
        print_error(exc, about=plain_text(video))


def with_folders(videos: Sequence[str]) -> list[str]:
    """The videos, with folders replaced by the videos in them. Raises BadParameter for none."""
    found: list[str] = []
    for video in videos:
        found += map(str, videos_in(Path(video))) if Path(video).is_dir() else [video]
    if not found:
        raise typer.BadParameter("the folder contains no video")
    return found


def print_warning(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def sentences(*texts: str) -> str:
    """Texts in one line, each ended by a mark."""
    told = (text.strip() for text in texts)
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in told if text)


if TYPE_CHECKING:
    from dubl.client.client import Client
    from dubl.contract.bodies import Page
    from dubl.local.client import LocalClient

Backend: TypeAlias = "Client | LocalClient"
Command = Callable[..., None]
Item = TypeVar("Item")

LOCAL = "http://127.0.0.1:8000"


@contextmanager
def opened_backend(
    url: str,
    key: str,
    data: Path,
    config: Path | None,
    *,
    context: typer.Context,
    creates: bool = False,
) -> Iterator[Backend]:
    """The service at `url`; without one, the data folder. Methods raise DublError or ClientError.

    An explicit --data wins over DUBL_URL. Raises ConfigurationError if the folder is missing,
    StoreHeld while a service holds it.
    """
    if url and not _only_folder_named(context):
        with connected(url, key) as client:
            yield client
        return
    from dubl import LocalClient

    settings = command_settings(data, config)
    if not (creates or settings.data_dir.is_dir()):
        raise ConfigurationError(
            f"there is no data folder '{settings.data_dir}'. Name it with --data, or fill it first "
            "with `dubl references add`."
        )
    with _told_holder(settings), LocalClient(settings=settings) as local:
        yield local


def _only_folder_named(context: typer.Context) -> bool:
    """Whether the command line names a data folder; the address is from the environment.

    Raises BadParameter if it names both.
    """
    explicit = {}
    for name in ("data", "url"):
        source = context.get_parameter_source(name)
        explicit[name] = source is not None and source.name == "COMMANDLINE"
    if all(explicit.values()):
        raise typer.BadParameter("name either --url or --data")
    return explicit["data"]


def on_backend(command: Command) -> Command:
    """Opens a backend for a command, by its further options --url, --data and --config.

    The command's first parameter is the Backend; its errors are printed.
    """
    return _opening(command, opened_backend, BACKEND_OPTIONS)


def on_new_backend(command: Command) -> Command:
    """As on_backend, for a command that creates a missing data folder."""
    return _opening(command, partial(opened_backend, creates=True), BACKEND_OPTIONS)


def on_chosen_backend(command: Command) -> Command:
    """As on_backend, but the command's first parameter is its Backends: it opens what it needs."""
    return _opening(command, _unopened, BACKEND_OPTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """`named`: opens what the options name. `alone`: opens a new folder, with their settings."""

    named: Callable[[], AbstractContextManager[Backend]]
    alone: Callable[[Path], AbstractContextManager[Backend]]


@contextmanager
def _unopened(
    url: str, key: str, data: Path, config: Path | None, *, context: typer.Context
) -> Iterator[Backends]:
    def alone(folder: Path) -> LocalClient:
        from dubl.local.client import LocalClient

        return LocalClient(settings=load_settings(config, [f"data_dir={folder}"]))

    named = partial(opened_backend, url, key, data, config, context=context)
    yield Backends(named=named, alone=alone)


def on_service(command: Command) -> Command:
    """As on_backend, for a command that needs a service: its first parameter is the Client."""
    return _opening(command, connected, {"url": (Url, LOCAL), "key": (Key, "")})


def on_settings(command: Command) -> Command:
    """Reads an installation's settings for a job, which gets them first; errors exit with 2."""
    data = Annotated[Path | None, typer.Option(help="overrides data_dir")]
    options = {"config": (JobConfig, CONFIG), "data": (data, None), "overrides": (Overrides, None)}
    return _opening(command, _job_settings, options)


@contextmanager
def _job_settings(
    config: Path, data: Path | None, overrides: list[str] | None
) -> Iterator[Settings]:
    with job("%(asctime)s %(message)s"):
        chosen = [f"data_dir={data}"] if data is not None else []
        yield load_settings(config, [*chosen, *(overrides or [])])


def with_model(
    command: Command, name: str, kind: type[BaseModel], options: Mapping[str, tuple[str, str]]
) -> Command:
    """Fills a parameter of a command from options of their own: by name, each with the model's
    field and a help text."""
    given = inspect.signature(command, eval_str=True).parameters.values()
    added = {
        field: Parameter(
            f"of_{field}",
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, typer.Option(f"--{option}", help=about)],
        )
        for option, (field, about) in options.items()
    }

    @wraps(command)
    def run(*args: object, **values: object) -> None:
        wanted = {field: values.pop(one.name) for field, one in added.items()}
        filled = read_form(kind, {k: v for k, v in wanted.items() if v is not None})
        command(*args, **values, **{name: filled})

    own = [one for one in given if one.name != name]
    run.__signature__ = inspect.Signature([*own, *added.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (*own, *added.values())}
    return run


def every(page_of: Callable[[str], Page[Item]]) -> Iterator[Item]:
    """The items of all pages; `page_of` takes a cursor."""
    cursor: str | None = ""
    while cursor is not None:
        page = page_of(cursor)
        yield from page.items
        cursor = page.next_cursor


def _opening(
    command: Command,
    opened: Callable[..., AbstractContextManager[object]],
    options: Mapping[str, tuple[object, object]],
) -> Command:
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]

    @wraps(command)
    def run(**given: object) -> None:
        chosen = {name: given.pop(name) for name in options}
        with printed_errors(), opened(**chosen) as first:
            command(first, **given)

    # typer reads both.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
    return run
