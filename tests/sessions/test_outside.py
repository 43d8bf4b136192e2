"""Anchors beside the file: what reaches syslog, Git and an object store, and what a place that fails or hangs does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sessions.anchors import AnchorBroken, FileAnchor
from sessions.events import Event
from sessions.journal import Journal
from sessions.models import AnchorState
from sessions.outside import feeding, s3
from sessions.outside.feeding import Feeder
from sessions.outside.places import NotAnAnchor, Place, parse
from tests.record import Log

pytestmark = pytest.mark.promise("provable")

KEYS = s3.Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOTE = "example.com/log\n7\n" + base64.b64encode(bytes(32)).decode() + "\n\n— example.com/log c2lnbmF0dXJl\n"


def place(word: str) -> Place:
    (made,) = parse([word], KEYS)
    return made


def note_in(message: bytes) -> str:
    """Return the note that a syslog message carries, after a look at its form."""
    form = rb'<109>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ holdgate - checkpoint \[holdgate@32473 [^\]]*note="([^"]+)"\] check'
    found = re.match(form, message)
    assert found, message
    return base64.b64decode(found[1]).decode()


def test_a_checkpoint_is_one_datagram_of_syslog() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        place(f"syslog://127.0.0.1:{receiver.getsockname()[1]}").put(NOTE, 7)
        assert note_in(receiver.recv(65_536)) == NOTE


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = tmp_path / "receiver.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + secret)
    return path


@pytest.mark.parametrize("scheme", ["syslog+tcp", "syslog+tls"])
def test_over_a_stream_its_octets_are_counted(scheme: str, certificate: Path) -> None:
    heard: list[bytes] = []

    def receive() -> None:
        connection, _ = listener.accept()
        if scheme == "syslog+tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            while data := connection.recv(65_536):
                heard.append(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=receive)
        thread.start()
        place(f"{scheme}://localhost:{listener.getsockname()[1]}?ca={certificate}").put(NOTE, 7)
        thread.join(10)
    count, _, message = b"".join(heard).partition(b" ")
    assert (int(count), note_in(message)) == (len(message), NOTE)


def test_a_receiver_that_nobody_vouches_for_or_that_is_not_there_is_told(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for scheme in ("syslog+tcp", "syslog+tls"):
        with pytest.raises(AnchorBroken, match=f"{port}: "):
            place(f"{scheme}://127.0.0.1:{port}").put(NOTE, 7)


def test_checkpoints_are_commits_and_go_on_to_a_remote(journal: Journal, log: Log, tmp_path: Path) -> None:
    def git(*arguments: str, where: Path) -> str:
        return subprocess.run(["git", "-C", where, *arguments], check=True, capture_output=True, text=True).stdout

    remote, working = tmp_path / "remote.git", tmp_path / "working"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", remote], check=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main", working], check=True)
    git("remote", "add", "origin", str(remote), where=working)
    repository = place(f"git://{working}?push=origin")
    for _ in range(2):
        journal.append_now(Event(kind="call.message"))
        log.sequencer.run_once()
        for _ in range(2):  # twice the same does no harm
            note = list(log.anchor.notes(log.anchor.length()))[-1]
            repository.put(note, log.signer.verify_key.open(note).size)

    assert git("log", "--format=%s", "main", where=remote).split("\n")[:2] == [
        "checkpoint of 3 entries", "checkpoint of 2 entries",
    ]  # fmt: skip
    kept = FileAnchor(working / "checkpoints.txt")
    assert [log.signer.verify_key.open(one).size for one in kept.notes(kept.length())] == [2, 3]
    with pytest.raises(AnchorBroken, match="git"):
        place(f"git://{tmp_path}").put(NOTE, 7)


class Store(http.server.BaseHTTPRequestHandler):
    """An object store that checks signatures as the specification says, by code of its own."""

    objects: dict[str, tuple[bytes, dict[str, str]]]
    status = 200

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        fields = {name.lower(): value for name, value in self.headers.items()}
        sound = self._signature(fields, body) == fields["authorization"].rsplit("Signature=", 1)[1]
        status = self.status if sound else 403
        if status == 200:
            self.objects[self.path] = (body, fields)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _signature(self, fields: dict[str, str], body: bytes) -> str:
        names = fields["authorization"].split("SignedHeaders=")[1].split(",")[0]
        request = f"PUT\n{self.path}\n\n"
        request += "".join(f"{name}:{fields[name]}\n" for name in names.split(";"))
        request += f"\n{names}\n{hashlib.sha256(body).hexdigest()}"
        moment, scope = fields["x-amz-date"], f"{fields['x-amz-date'][:8]}/eu-west-3/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = b"AWS4" + KEYS.secret.encode()
        for part in (moment[:8], "eu-west-3", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[tuple[str, type[Store]]]:
    handler = type("Handler", (Store,), {"objects": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"endpoint=http://127.0.0.1:{server.server_address[1]}&region=eu-west-3", handler
        server.shutdown()


def test_a_checkpoint_is_a_locked_object_and_its_request_is_signed(store: tuple[str, type[Store]]) -> None:
    options, handler = store
    place(f"s3://evidence/a/b%20c?{options}&days=30").put(NOTE, 7)

    ((path, (body, fields)),) = handler.objects.items()
    assert path == "/evidence/a/b%2520c/example.com%2Flog/00000000000000000007.checkpoint"
    assert body.decode() == NOTE
    until = datetime.fromisoformat(fields["x-amz-object-lock-retain-until-date"])
    assert fields["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert timedelta(days=29) < until - datetime.now(UTC) <= timedelta(days=30)
    assert base64.b64decode(fields["content-md5"]) == hashlib.md5(body).digest()  # noqa: S324 - as S3 wants it

    (wrong,) = parse([f"s3://evidence/a?{options}"], s3.Keys("AKIDEXAMPLE", "another secret"))
    with pytest.raises(AnchorBroken, match="answered 403"):
        wrong.put(NOTE, 7)


@pytest.mark.parametrize(
    "word",
    ["ftp://x/y", "nothing", "git://", "s3://b?mode=NONE", "s3://b?color=red", "syslog://", "git:///x?push=--all"],
)
def test_what_names_no_anchor_is_refused(word: str) -> None:
    with pytest.raises(NotAnAnchor, match="HOLDGATE_ANCHORS"):
        parse([word], KEYS)


def test_a_place_that_fails_is_told_is_tried_again_and_loses_nothing(
    journal: Journal, log: Log, store: tuple[str, type[Store]]
) -> None:
    options, handler = store
    feeder = Feeder(bucket := place(f"s3://evidence?{options}"), lambda: True)
    now = datetime.now(UTC)
    assert not feeder.feed(now), "nothing is signed yet"
    journal.append_now(Event(kind="call.message"))
    log.sequencer.run_once()
    handler.status = 503

    assert feeder.feed(now)
    assert feeding.problems([bucket], now) == ["the anchor s3://evidence: answered 503 Service Unavailable"]
    assert not feeder.feed(now + timedelta(seconds=1)), "not at once again"
    handler.status = 200
    journal.append_now(Event(kind="call.message"))
    log.sequencer.run_once()
    assert feeder.feed(now + timedelta(minutes=2))

    state = AnchorState.objects.get()
    assert (state.size, state.error, feeding.problems([bucket], now)) == (3, "", [])
    ((body, _),) = handler.objects.values()
    assert log.signer.verify_key.open(body.decode()).size == 3, "it covers what did not get there before"
    assert feeding.problems([place(f"s3://never?{options}")], now) == [
        "the anchor s3://never holds 0 of 3 signed entries"
    ]
    assert not feeder.feed(now + timedelta(hours=1)), "nothing is new"


def test_a_place_that_hangs_holds_nobody_up(journal: Journal, log: Log) -> None:
    reached, release = threading.Event(), threading.Event()

    class Hanging:
        name, every = "hanging", timedelta(seconds=1)

        def put(self, note: str, size: int) -> None:
            reached.set()
            release.wait(30)

    log.sequencer.run_once()
    feeder = Feeder(Hanging(), lambda: log.sequencer.leads, look=0.01)
    feeder.start()
    assert reached.wait(10)
    journal.append_now(Event(kind="call.message"))

    assert log.sequencer.run_once() == 1
    assert log.verify() == []
    release.set()
    feeder.stop()
