"""A time-stamping authority of openssl's (`openssl ts`), over HTTP: its root, its certificate, and its signing."""

from __future__ import annotations

import http.server
import subprocess
from pathlib import Path

CONFIG = """
[ tsa ]
default_tsa = here
[ here ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ root ]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[ stamping ]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


def openssl(*arguments: str | Path) -> bytes:
    """Run the program and return what it wrote."""
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


def made(folder: Path) -> Path:
    """Make an authority in a folder and return the file of its root."""
    folder.mkdir()
    config, root = folder / "openssl.cnf", folder / "root.pem"
    config.write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", _empty(folder))
    openssl("req", "-x509", *new, "-keyout", folder / "root.key", "-out", root, "-subj", "/CN=A root", "-days", "2")
    openssl("req", "-new", *new, "-keyout", folder / "tsa.key", "-out", folder / "tsa.csr", "-subj", "/CN=A clock")
    signing = ("-CA", root, "-CAkey", folder / "root.key", "-CAcreateserial", "-days", "2")
    extensions = ("-extfile", config, "-extensions", "stamping")
    openssl("x509", "-req", "-in", folder / "tsa.csr", *signing, *extensions, "-out", folder / "tsa.pem")
    return root


def _empty(folder: Path) -> Path:
    path = folder / "req.cnf"
    sections = ("[req]", "distinguished_name = dn", "x509_extensions = v3", "[dn]", "[v3]")
    path.write_text("\n".join([*sections, "basicConstraints = critical, CA:TRUE", ""]))
    return path


class Clock(http.server.BaseHTTPRequestHandler):
    """Answers queries with stamps of the authority in `folder`; with `stale`, with the first one each time."""

    folder: Path
    stale = False
    status = 200
    first: bytes = b""

    def do_POST(self) -> None:
        query = self.folder / "query.tsq"
        query.write_bytes(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["content-type"] == "application/timestamp-query"
        answer = self.folder / "answer.tsr"
        openssl("ts", "-reply", "-config", self.folder / "openssl.cnf", "-queryfile", query, "-out", answer)
        handler = type(self)
        handler.first = handler.first or answer.read_bytes()
        body = handler.first if self.stale else answer.read_bytes()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
