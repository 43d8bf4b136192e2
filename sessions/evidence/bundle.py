"""A zip whose bytes depend on its files alone: sorted names, one date, a manifest that the log's key signs."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import sessions
from sessions.checkpoint import Signer
from sessions.evidence.gwverify.verification import FORMAT, MANIFEST, NOTE, manifest_lines

VERIFIER: Final = "gwverify.pyz"
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_BLOCK: Final = 1 << 20
_MAIN: Final = """\
import sys

from sessions.evidence.gwverify.command import main

if __name__ == "__main__":
    sys.exit(main())
"""
_PARTS: Final = (
    "__init__.py", "content.py", "tree.py", "evidence/__init__.py", "evidence/derived.py", "evidence/grouped.py",
    "evidence/tables.py", "evidence/criteria.py", "evidence/matrix.py", "evidence/sampling.py",
)  # fmt: skip


def pack(folder: Path, target: Path, told: Mapping[str, Any], signer: Signer) -> str:
    """Write what lies in a folder as a signed bundle, and return the hex SHA-256 of its manifest.

    `told` is what the manifest says beside the list of files. The target appears whole or not at all. Raises OSError.
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    manifest = _json({"format": FORMAT, **told, "files": [_listed(folder, path) for path in paths]})
    note = signer.note("".join(f"{line}\n" for line in manifest_lines(signer.name, manifest)))
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_info(MANIFEST), manifest)
            archive.writestr(_info(NOTE), note)
            for path in paths:
                with (folder / path).open("rb") as source, archive.open(_info(path), "w", force_zip64=True) as member:
                    while block := source.read(_BLOCK):
                        member.write(block)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return hashlib.sha256(manifest).hexdigest()


def write_verifier(target: Path) -> None:
    """Write the verifier as one file that Python runs: our own modules, which need the standard library alone."""
    root = Path(sessions.__file__).parent
    parts = [*_PARTS, *(f"evidence/gwverify/{path.name}" for path in (root / "evidence/gwverify").glob("*.py"))]
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_info("__main__.py"), _MAIN)
            for part in sorted(parts):
                archive.writestr(_info(f"sessions/{part}"), (root / part).read_bytes())


def _listed(folder: Path, path: str) -> dict[str, Any]:
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path, "sha256": digest, "bytes": (folder / path).stat().st_size}


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
