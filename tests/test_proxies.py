"""The README's snippets for Caddy and nginx, in the real programs in front of a real hooklab."""

import base64
import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import trustme
from support import TOKEN, RunningService, json_lines_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
FORGED = {"X-Forwarded-For": "203.0.113.9"}
SETTINGS = {"HOOKLAB_TRUSTED_PROXIES": "127.0.0.1"}


def block(kind: str) -> str:
    """The one code block of that kind in the README."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)
    return str(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Proxy:
    """A proxy's process, its address, and all that it ever wrote."""

    def __init__(self, folder: Path, authority: trustme.CA, hooklab_port: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.upstream = hooklab_port
        made = authority.issue_cert("hooks.example.com")
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.chain.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(self.key)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)

    def command(self) -> list[str]:
        raise NotImplementedError

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "output.log").open("wb") as output:
            process = subprocess.Popen(self.command(), stdout=output, stderr=output, cwd=self.folder)
            try:
                ends = time.monotonic() + 30
                while not self.answers():
                    assert process.poll() is None, (self.folder / "output.log").read_text()
                    assert time.monotonic() < ends
                yield
            finally:
                process.terminate()
                process.wait(20)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def post(self, path: str, body: bytes = b"[]", headers: Mapping[str, str] = MappingProxyType({})) -> int:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            self.context.wrap_socket(plain, server_hostname="hooks.example.com") as secured,
        ):
            connection = http.client.HTTPConnection("hooks.example.com")
            connection.sock = secured
            connection.request("POST", path, body, dict(headers))
            return connection.getresponse().status

    def written(self) -> bytes:
        """Everything in its folder but keys and configuration."""
        kept = {self.chain, self.key, self.folder / "Caddyfile", self.folder / "nginx.conf"}
        return b"".join(one.read_bytes() for one in self.folder.rglob("*") if one.is_file() and one not in kept)


class Caddy(Proxy):
    def command(self) -> list[str]:
        text = block("caddyfile").replace("127.0.0.1:8080", f"127.0.0.1:{self.upstream}")
        text = text.replace("{\n\tlog default", "{\n\tadmin off\n\tauto_https disable_redirects\n\tlog default", 1)
        site = f"https://hooks.example.com:{self.port} {{\n\tbind 127.0.0.1\n\ttls {self.chain} {self.key}\n\tlog\n"
        text = text.replace("hooks.example.com {\n", site, 1)
        (self.folder / "Caddyfile").write_text(text)
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile")]


class Nginx(Proxy):
    def command(self) -> list[str]:
        text = block("nginx").replace("127.0.0.1:8080", f"127.0.0.1:{self.upstream}")
        text = text.replace("listen 443", f"listen 127.0.0.1:{self.port}")
        text = re.sub(r"/etc/\S+fullchain.pem", str(self.chain), text)
        text = re.sub(r"/etc/\S+privkey.pem", str(self.key), text)
        text = text.replace("/var/log/nginx", str(self.folder))
        paths = "".join(
            f"{name}_temp_path {self.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {self.folder}/pid;\nerror_log {self.folder}/main.log;\n"
            f"events {{}}\nhttp {{\naccess_log {self.folder}/access.log;\n{paths}{text}}}\n"
        )
        return ["nginx", "-p", str(self.folder), "-e", f"{self.folder}/main.log", "-c", f"{self.folder}/nginx.conf"]


@pytest.fixture(params=[Caddy, Nginx], ids=["caddy", "nginx"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Proxy]:
    """Makes the proxy in front of a port; skipped by name where the program is missing."""
    kind: type[Proxy] = request.param
    program = kind.__name__.lower()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here (apt install {program})")
    folder = tmp_path / program
    folder.mkdir()
    return lambda port: kind(folder, trustme.CA(), port)


def test_the_snippet_brings_reports_and_keeps_the_token_to_itself(
    make: Callable[[int], Proxy], tmp_path: Path
) -> None:
    """200 through the proxy with the client's own address; refusals, and an upstream that is gone, leave no token
    in any log; what a client says of its address is not believed.
    """
    service = RunningService(tmp_path / "data", environment=SETTINGS)
    with service:
        proxy = make(service.port)
        with proxy.running():
            assert proxy.post(f"/hooks/{TOKEN}") == 200
            assert proxy.post(f"/hooks/{TOKEN}/pending", json.dumps(["x" * 3_000_000]).encode()) == 200
            assert proxy.post("/hooks", headers=basic(TOKEN)) == 200
            assert proxy.post(f"/hooks/{TOKEN}", headers=FORGED) == 200
            assert proxy.post(f"/hooks/{TOKEN}", b"{") == 400
            assert proxy.post(f"/hooks/{TOKEN}/BIG") == 404
            assert proxy.post(f"/hooks/{TOKEN}", b"[" + b" " * 5_000_000 + b"]") == 413
            service.settled()
            peers = {row["peer"] for row in json_lines_of("batches", data_dir=tmp_path / "data")}
            assert peers == {"127.0.0.1"}
            service.terminate()
            assert proxy.post(f"/hooks/{TOKEN}") == 502
    assert TOKEN.encode() not in proxy.written()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"hooklab:{password}".encode()).decode()}


def test_the_allow_list_judges_who_is_behind_the_proxy(make: Callable[[int], Proxy], tmp_path: Path) -> None:
    """The address that the proxy saw, not the one that its client wrote."""
    settings = {**SETTINGS, "HOOKLAB_ALLOW": "203.0.113.0/24"}
    with RunningService(tmp_path / "data", environment=settings) as service:
        proxy = make(service.port)
        with proxy.running():
            assert proxy.post(f"/hooks/{TOKEN}", headers=FORGED) == 404
    settings["HOOKLAB_ALLOW"] = "127.0.0.0/8"
    with RunningService(tmp_path / "data", environment=settings) as service:
        proxy = make(service.port)
        with proxy.running():
            assert proxy.post(f"/hooks/{TOKEN}", headers=FORGED) == 200
