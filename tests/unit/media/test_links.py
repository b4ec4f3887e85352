"""Links reach public addresses only, and neither size nor slowness of a server does harm."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dubl.errors import (
    DublError,
    SourceForbidden,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreachable,
)
from dubl.media import addresses
from dubl.media.addresses import is_public
from dubl.media.links import fetch_link
from dubl.settings import MediaSettings

CLIP = bytes(range(256)) * 40
LIMIT_BYTES = 20_000


class Site(BaseHTTPRequestHandler):
    """A small site with a page for each way in which a link can go wrong."""

    halted = threading.Event()

    def do_GET(self) -> None:
        page = getattr(self, f"page_{self.path.strip('/').split('/')[0]}", None)
        if page is None:
            self._answer(404, {})
        else:
            page()

    def page_clip(self) -> None:
        self._answer(200, {"Content-Length": str(len(CLIP))})
        self.wfile.write(CLIP)

    def page_html(self) -> None:
        """What a server says of the type counts for nothing."""
        self._answer(200, {"Content-Length": str(len(CLIP)), "Content-Type": "text/html"})
        self.wfile.write(CLIP)

    def page_moved(self) -> None:
        self._answer(302, {"Location": "/clip"})

    def page_away(self) -> None:
        self._answer(302, {"Location": "http://169.254.169.254/latest/meta-data"})

    def page_file(self) -> None:
        self._answer(302, {"Location": "file:///etc/passwd"})

    def page_circle(self) -> None:
        self._answer(302, {"Location": "/circle"})

    def page_broken(self) -> None:
        self._answer(500, {})

    def page_announced(self) -> None:
        self._answer(200, {"Content-Length": str(LIMIT_BYTES + 1)})

    def page_endless(self) -> None:
        self._answer(200, {})
        try:
            while not self.halted.is_set():
                self.wfile.write(CLIP)
        except OSError:
            return

    def page_short(self) -> None:
        self._answer(200, {"Content-Length": str(len(CLIP) + 10)})
        self.wfile.write(CLIP)

    def page_packed(self) -> None:
        self._answer(200, {"Content-Encoding": "gzip"})

    def page_drip(self) -> None:
        """Sends a byte at a time, quicker than any timeout of a single read."""
        self._answer(200, {})
        try:
            while not self.halted.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            return

    def page_silent(self) -> None:
        self.halted.wait(30)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keeps the output of the tests clean."""
        del code, size


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Site.halted.set()
    server.shutdown()
    server.server_close()
    thread.join()


def _settings(*, private: bool = True, timeout_s: float = 20.0) -> MediaSettings:
    return MediaSettings(
        allow_private_addresses=private, max_size_bytes=LIMIT_BYTES, link_timeout_s=timeout_s
    )


def _fetch_error(url: str, spool_dir: Path, settings: MediaSettings) -> DublError:
    with pytest.raises(DublError) as caught:
        fetch_link(url, spool_dir=spool_dir, settings=settings)
    assert [path for path in spool_dir.glob("*") if path.is_file()] == []
    return caught.value


@pytest.mark.parametrize("page", ["clip", "moved", "html"])
def test_a_link_is_downloaded(site: str, tmp_path: Path, page: str) -> None:
    source = fetch_link(f"{site}/{page}", spool_dir=tmp_path, settings=_settings())
    assert Path(source.path).read_bytes() == CLIP
    assert (source.name, source.size_bytes) == (f"{site}/{page}", len(CLIP))


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("absent", SourceNotFound),
        ("broken", SourceUnreachable),
        ("circle", SourceUnreachable),
        ("short", SourceUnreachable),
        ("packed", SourceUnreachable),
        ("announced", SourceTooLarge),
        ("endless", SourceTooLarge),
        ("file", SourceForbidden),
    ],
)
def test_a_wrong_answer_is_named(
    site: str, tmp_path: Path, page: str, error: type[DublError]
) -> None:
    assert type(_fetch_error(f"{site}/{page}", tmp_path, _settings())) is error


@pytest.mark.parametrize("page", ["drip", "silent"])
def test_a_slow_server_is_left_when_the_time_is_over(site: str, tmp_path: Path, page: str) -> None:
    error = _fetch_error(f"{site}/{page}", tmp_path, _settings(timeout_s=0.3))
    assert type(error) is SourceUnreachable


def test_addresses_of_this_machine_are_refused(site: str, tmp_path: Path) -> None:
    error = _fetch_error(f"{site}/clip", tmp_path, _settings(private=False))
    assert type(error) is SourceForbidden


def test_a_redirect_into_a_private_network_is_refused(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    error = _fetch_error(f"{site}/away", tmp_path, _settings(private=False))
    assert type(error) is SourceForbidden


def test_a_name_is_checked_by_what_it_resolves_to_and_reached_there(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(site.rpartition(":")[2])
    answers = iter([["127.0.0.1"], ["127.0.0.1", "10.0.0.1"]])
    monkeypatch.setattr(addresses, "_look_up", lambda _host, _port: next(answers))
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    url = f"http://video.example:{port}/clip"
    source = fetch_link(url, spool_dir=tmp_path / "first", settings=_settings(private=False))
    assert source.size_bytes == len(CLIP)
    error = _fetch_error(url, tmp_path / "second", _settings(private=False))
    assert type(error) is SourceForbidden


@pytest.fixture
def inside() -> Iterator[ThreadingHTTPServer]:
    """A server that only this machine should reach; `asked` says whether anybody has."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inside)
    server.asked = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Inside(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.set()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CLIP)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


class Rebinding:
    """A resolver whose name leads to a public address at first and inside ever after."""

    def __init__(self, public: str, private: str) -> None:
        self.answers = [public]
        self.private = private
        self.questions = 0

    def __call__(self, host: str, port: int, *_: object, **__: object) -> list[object]:
        if not host.endswith(".example"):  # an address; sockets put them to the resolver too
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.questions += 1
        address = self.answers.pop() if self.answers else self.private
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


PUBLIC = "127.0.0.2"  # stands for an address of the internet; all of 127/8 is this machine


def test_a_name_that_is_bound_anew_after_the_check_leads_nowhere_else(
    inside: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Rebinding(PUBLIC, "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(addresses, "is_public", lambda address: address == PUBLIC)
    url = f"http://rebinding.example:{inside.server_port}/clip"
    # Nobody listens at the public address: who looked the name up again would come inside.
    assert type(_fetch_error(url, tmp_path, _settings(private=False))) is SourceUnreachable
    assert resolver.questions == 1
    assert type(_fetch_error(url, tmp_path, _settings(private=False))) is SourceForbidden
    assert not inside.asked.is_set()


def test_a_redirect_to_the_same_name_is_looked_up_and_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer((PUBLIC, 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    resolver = Rebinding(PUBLIC, "10.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(addresses, "is_public", lambda address: address == PUBLIC)
    url = f"http://rebinding.example:{server.server_port}/moved"
    try:
        assert type(_fetch_error(url, tmp_path, _settings(private=False))) is SourceForbidden
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert resolver.questions == 2


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0", "localhost", "①②⑦.⓪.⓪.①"),
        *("[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[::127.0.0.1]"),
    ],
)
def test_every_spelling_of_this_machine_is_refused(
    inside: ThreadingHTTPServer, tmp_path: Path, host: str
) -> None:
    url = f"http://{host}:{inside.server_port}/clip"
    error = _fetch_error(url, tmp_path, _settings(private=False))
    assert isinstance(error, SourceForbidden | SourceUnreachable)
    assert not inside.asked.is_set()


def test_credentials_of_the_machine_are_out_of_reach_even_where_private_networks_are_not(
    tmp_path: Path,
) -> None:
    for host in ("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "224.0.0.1"):
        error = _fetch_error(f"http://{host}/latest", tmp_path, _settings(private=True))
        assert type(error) is SourceForbidden, host


def test_proxies_and_credentials_of_the_environment_are_not_used(
    site: str, inside: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.server_port}")
    source = fetch_link(f"{site}/clip", spool_dir=tmp_path / "spool", settings=_settings())
    assert source.size_bytes == len(CLIP)
    assert not inside.asked.is_set()


def test_a_resolver_that_does_not_answer_is_left_when_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def silent(*_: object, **__: object) -> list[tuple[object, ...]]:
        over.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    error = _fetch_error("http://slow.example/a", tmp_path, _settings(timeout_s=0.2))
    over.set()
    assert type(error) is SourceUnreachable


@pytest.mark.parametrize(
    ("hosts", "allowed"),
    [
        ((), True),
        (("127.0.0.1",), True),
        (("media.example", "127.0.0.1"), True),
        ((".0.0.1",), True),
        (("media.example",), False),
        ((".127.0.0.1",), False),
    ],
)
def test_links_may_be_limited_to_hosts(
    site: str, tmp_path: Path, hosts: tuple[str, ...], allowed: bool
) -> None:
    settings = _settings().model_copy(update={"link_hosts": hosts})
    if allowed:
        assert fetch_link(f"{site}/moved", spool_dir=tmp_path, settings=settings).size_bytes
    else:
        error = _fetch_error(f"{site}/moved", tmp_path, settings)
        assert type(error) is SourceForbidden


def test_a_redirect_away_from_the_listed_hosts_is_refused(site: str, tmp_path: Path) -> None:
    settings = _settings().model_copy(update={"link_hosts": ("127.0.0.1",)})
    assert "media.link_hosts" in _fetch_error(f"{site}/away", tmp_path, settings).detail


def test_links_may_be_limited_to_https(site: str, tmp_path: Path) -> None:
    settings = _settings().model_copy(update={"link_schemes": ("https",)})
    assert type(_fetch_error(f"{site}/clip", tmp_path, settings)) is SourceForbidden


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://user:a@example.org/", "//", "gopher:/"]
)
def test_a_redirect_to_no_proper_link_is_refused(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setattr(
        Site, "page_odd", lambda page: page._answer(302, {"Location": location}), raising=False
    )
    error = _fetch_error(f"{site}/odd", tmp_path, _settings())
    assert isinstance(error, SourceForbidden | SourceUnreachable)


def test_a_packed_body_is_never_unpacked(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packed(page: Site) -> None:
        page._answer(200, {"Transfer-Encoding": "gzip, chunked"})
        page.wfile.write(b"5\r\n\x1f\x8b\x08\x00\x00\r\n0\r\n\r\n")

    monkeypatch.setattr(Site, "page_odd", packed, raising=False)
    assert type(_fetch_error(f"{site}/odd", tmp_path, _settings())) is SourceUnreachable


def test_a_port_where_nobody_listens_is_unreachable(tmp_path: Path) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    closed.server_close()
    error = _fetch_error(f"http://127.0.0.1:{closed.server_port}/", tmp_path, _settings())
    assert type(error) is SourceUnreachable


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.mp4",
        "http://",
        "/tmp/a.mp4",
        "http://user:secret@example.org/a.mp4",
        "http://[::1/",
        "http://example.org:99999999/",
    ],
)
def test_other_schemes_and_malformed_links_are_forbidden(tmp_path: Path, url: str) -> None:
    assert type(_fetch_error(url, tmp_path, _settings())) is SourceForbidden


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "2001:0:7f00:1::",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
    ],
)
def test_no_special_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)
