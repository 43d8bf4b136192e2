"""A finished record with a bundle of it, and a forger who packs another bundle out of changed files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sessions.checkpoint import Signer
from sessions.events import Event, Payload
from sessions.evidence.export import Exported, Wanted, export
from sessions.evidence.gwverify.notes import Key
from sessions.evidence.gwverify.verification import MANIFEST, NOTE, Verification, manifest_lines
from sessions.evidence.report import report
from sessions.journal import Journal
from tests.record import Log

DOCUMENT = Payload(b'{"rules":[]}')
DIGEST = hashlib.sha256(DOCUMENT).hexdigest()
CALLER, VOTER = "ca" * 16, "b0" * 16
Files = dict[str, bytes]


def dba(actor: str, name: str) -> Payload:
    """Return an account as entries tell it."""
    return Payload(json.dumps({"iss": "https://idp", "sub": name, "display": name, "groups": ["dba"]}).encode())


def about(kind: str, **more: Any) -> Event:
    """Return an event of one caller on one connection."""
    told = {"connection": "orders-db", "method": "tools/call", "tool": "query", "actor": CALLER, "session": "s1"}
    return Event(kind=kind, **{**told, "policy_revision": 1, "policy_digest": DIGEST, **more})


def write(journal: Journal, log: Log) -> None:
    """Write a policy, a session with an allowed, a blocked and a held call, and one that never ended."""
    published = Event(
        kind="policy.published", policy_revision=1, policy_digest=DIGEST, payloads={"document": DOCUMENT},
        facts={"changed": ["rule/hold added"], "loosens": []},
    )  # fmt: skip
    journal.append_now(published, about("session.started", payloads={"caller": dba(CALLER, "=dave")}))
    log.sequencer.run_once()
    request, answer = Payload(b'{"sql":"select"}'), Payload(b"\xff\x00 no text")
    journal.append_now(
        about("call.intent", call_id="allowed", payloads={"request": request}, facts={"verdict": "allow"}),
        about("call.result", call_id="allowed", payloads={"answer": answer}, facts={"executed": "true"}),
        about("call.blocked", call_id="blocked", facts={"rules": ["never"], "executed": "false"}),
    )
    log.sequencer.run_once()
    held = {"approval": "a1", "call": "d1", "rule": "hold"}
    voted = about("approval.voted", call_id="held", actor=VOTER, facts={**held, "decision": "approve"},
                  payloads={"voter": dba(VOTER, "alice")})  # fmt: skip
    journal.append_now(about("approval.requested", call_id="held", facts=held), voted)
    journal.append_now(
        about("approval.approved", call_id="held", actor=VOTER, facts=held),
        about("call.intent", call_id="held", facts={**held, "verdict": "hold"}),
        about("call.unknown", call_id="held", facts={"executed": "unknown"}),
        about("call.intent", call_id="open", facts={"verdict": "allow"}),
    )
    log.sequencer.run_once()


def day() -> Wanted:
    """Return the period around now."""
    now = datetime.now(UTC)
    return Wanted(now - timedelta(days=1), now + timedelta(days=1))


def exported(log: Log, target: Path, wanted: Wanted | None = None) -> Exported:
    """Export a period, by default the day around now."""
    return export(wanted or day(), target, log.signer, report, lambda _done, _total: None)


def files_of(bundle: Path) -> Files:
    """Return the files of a bundle by name."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def findings(files: Mapping[str, bytes], key: str, anchor: str = "", *, deep: bool = False) -> list[str]:
    """Return what the verifier finds in a bundle of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with zipfile.ZipFile(packed) as archive:
        return list(Verification(archive, Key(key), anchor, deep=deep).findings())


def signed_anew(files: Files, signer: Signer) -> Files:
    """Return the files with a manifest that fits them, as only who holds the log's key can make it."""
    manifest = json.loads(files[MANIFEST])
    inner = {name: content for name, content in files.items() if name not in {MANIFEST, NOTE}}
    manifest["files"] = [
        {"path": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(inner.items())
    ]
    told = json.dumps(manifest).encode()
    note = signer.note("".join(f"{line}\n" for line in manifest_lines(signer.name, told)))
    return {**inner, MANIFEST: told, NOTE: note.encode()}


def lines(content: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """Return a JSON Lines file after a change of its rows."""
    rows = [json.loads(line) for line in content.splitlines()]
    change(rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
