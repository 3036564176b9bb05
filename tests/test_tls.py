"""https at the door itself, and certificates that are renewed."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from support import TOKEN, RunningService, body_of, hooklab, pair, read_to_end
from test_reload import following

from hooklab.config import Settings
from hooklab.doorkeeper import Doorkeeper
from hooklab.files import Folder, FolderError
from hooklab.tls import Certificate


class Files:
    """A certificate authority and the files of a certificate that it gave."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate = folder / "fullchain.pem"
        self.key = folder / "privkey.pem"
        self.issue()

    def issue(self) -> None:
        """A new certificate takes the old one's place, as a renewing program does it."""
        made = self.authority.issue_cert("hooks.example.com")
        for path, content in (
            (self.certificate, b"".join(one.bytes() for one in made.cert_chain_pems)),
            (self.key, made.private_key_pem.bytes()),
        ):
            aside = path.with_suffix(".new")
            aside.write_bytes(content)
            aside.replace(path)

    def settings(self) -> dict[str, str]:
        return {"HOOKLAB_TLS_CERTIFICATE": str(self.certificate), "HOOKLAB_TLS_KEY": str(self.key)}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Tls(RunningService):
    """A service that speaks https."""

    def start(self) -> None:
        super().start()
        self.port = int(self.url.removeprefix("https://").partition("/")[0].rpartition(":")[2])

    def exchange(self, files: Files, request: bytes) -> tuple[bytes, bytes]:
        """The answer to a request, and the certificate with which it came."""
        context = ssl.create_default_context()
        files.authority.configure_trust(context)
        with (
            self.connect() as plain,
            context.wrap_socket(plain, server_hostname="hooks.example.com") as secured,
        ):
            secured.sendall(request)
            return read_to_end(secured), secured.getpeercert(binary_form=True) or b""


def posted(body: bytes) -> bytes:
    return b"POST /hooks/%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        TOKEN.encode(),
        len(body),
        body,
    )


def test_reports_come_by_https(files: Files, tmp_path: Path) -> None:
    """Whoever trusts the authority posts; hooklab's own commands find their way; http is not spoken."""
    folder = tmp_path / "data"
    with Tls(folder, environment=files.settings()) as service:
        assert service.url.startswith("https://127.0.0.1:")
        answer, _ = service.exchange(files, posted(body_of(pair())))
        assert answer.startswith(b"HTTP/1.1 200 ")
        sample = tmp_path / "body.json"
        sample.write_bytes(body_of(pair()))
        sent = hooklab("send", sample, data_dir=folder)
        assert sent.stdout.endswith(b": 200\n"), sent.stderr
        made = hooklab("simulate", "--messages", "20", data_dir=folder)
        assert made.returncode == 0, made.stderr
        told = hooklab("doctor", data_dir=folder).stdout.decode()
        assert "takes batches" in told
        assert "exposure" not in told
        with service.connect() as plain:
            plain.sendall(posted(b"[]"))
            assert not read_to_end(plain).startswith(b"HTTP/1.1 200")
        assert service.settled()["messages"] >= 22


def test_a_stranger_to_the_authority_is_refused_by_itself(files: Files, tmp_path: Path) -> None:
    """`send --url https://…` judges the certificate: only a service of one's own folder is believed as it is."""
    sample = tmp_path / "body.json"
    sample.write_text("[]")
    with Tls(tmp_path / "data", environment=files.settings()) as service:
        ended = hooklab("send", sample, "--url", service.url, data_dir=tmp_path / "data")
        assert ended.returncode == 1
        assert b"no answer" in ended.stderr
        assert TOKEN.encode() not in ended.stderr


def test_a_renewed_certificate_is_taken_by_itself(files: Files, tmp_path: Path) -> None:
    """Connections from then on get the new one; one that cannot be used changes nothing and is said once."""

    async def story() -> list[str]:
        keeper = Doorkeeper(
            Settings(tls_certificate=files.certificate, tls_key=files.key, token=TOKEN),
            Folder(tmp_path),
            lambda: time.time_ns() // 1000,
            1024,
        )
        assert keeper.certificate is not None
        listening = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", ssl=keeper.certificate.context
        )
        port = listening.sockets[0].getsockname()[1]
        looked: asyncio.Queue[asyncio.Event] = asyncio.Queue()

        async def sleep(_: float) -> None:
            wake = asyncio.Event()
            await looked.put(wake)
            await wake.wait()

        watching = asyncio.create_task(keeper.watch(sleep))

        def half_renewed() -> None:
            files.issue()
            files.key.write_text("junk")

        seen = []
        try:
            changes: list[Callable[[], None]] = [lambda: None, files.issue, half_renewed, files.issue]
            for change in changes:
                wake = await looked.get()
                change()
                wake.set()
                wake = await looked.get()
                seen.append(await asyncio.to_thread(presented, port))
                looked.put_nowait(wake)
        finally:
            watching.cancel()
            listening.close()
        return seen

    first, renewed, kept, again = asyncio.run(story())
    assert len({first, renewed, again}) == 3
    assert kept == renewed


def presented(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as secured:
        return (secured.getpeercert(binary_form=True) or b"").hex()


def test_sighup_has_the_certificate_read_again(files: Files, tmp_path: Path) -> None:
    """New connections get the new one, before the next look is due; half a renewal is said and changes nothing."""
    settings = tmp_path / "hooklab.toml"
    settings.write_text("")
    with Tls(tmp_path / "data", "--config", str(settings), environment=files.settings()) as service:
        first = presented(service.port)
        files.issue()
        following(service, settings, "", "the certificate was read again")
        renewed = presented(service.port)
        files.issue()
        files.key.write_text("junk")
        following(service, settings, "", "the certificate stays as it was")
        assert first != renewed == presented(service.port)


def test_what_is_no_certificate_ends_the_start_in_a_line(files: Files, tmp_path: Path) -> None:
    """Missing, junk, of another key, with a password: each is named with what to do, and nothing listens."""
    other = trustme.CA().issue_cert("other.example.com").private_key_pem
    cases = {
        "missing": (tmp_path / "nowhere.pem", files.key, b"cannot be read"),
        "junk": (tmp_path / "junk.pem", files.key, b"cannot be used"),
        "mismatch": (files.certificate, tmp_path / "other.pem", b"belong together"),
        "no key": (files.certificate, None, b"cannot be used"),
    }
    (tmp_path / "junk.pem").write_text("junk")
    other.write_to_path(tmp_path / "other.pem")
    for certificate, key, says in cases.values():
        environment = {**os.environ, "HOOKLAB_TLS_CERTIFICATE": str(certificate)}
        if key is not None:
            environment["HOOKLAB_TLS_KEY"] = str(key)
        ended = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=tmp_path / "data", env=environment)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert says in ended.stderr
        assert ended.stderr.count(b"\n") == 1


def test_a_key_needs_its_certificate(files: Files, tmp_path: Path) -> None:
    """Or somebody would believe that https is spoken."""
    environment = {**os.environ, "HOOKLAB_TLS_KEY": str(files.key)}
    ended = hooklab("serve", "--bind", "127.0.0.1:0", data_dir=tmp_path / "data", env=environment)
    assert ended.returncode == 1
    assert b"tls_key is of no use" in ended.stderr


def test_a_certificate_and_key_may_be_one_file(files: Files, tmp_path: Path) -> None:
    """As HAProxy and others keep them; a key with a password is refused without a question."""
    both = tmp_path / "both.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    Certificate(both, None)
    locked = tmp_path / "locked.pem"
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(FolderError, match="the key have no password"):
        Certificate(files.certificate, locked)


def test_plain_text_at_the_tls_port_and_tls_at_the_plain_one(files: Files, tmp_path: Path) -> None:
    """Neither is answered 200, neither disturbs the next."""
    with RunningService(tmp_path / "plain") as service:
        with service.connect() as plain:
            plain.sendall(bytes.fromhex("16030100c8010000c40303") + bytes(200))
            answer = read_to_end(plain)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert service.post(b"[]")[0] == 200
