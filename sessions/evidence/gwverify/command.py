"""Verify an evidence bundle of Holdgate offline.

    python3 gwverify.pyz BUNDLE.zip --key log.pub [--anchor checkpoints.txt] [--deep] [--receipts FILE]

`log.pub` is the gateway's public key (one vkey line); take it from whom you trust, never from the bundle. With
`--anchor` your own copy of anchored checkpoints is compared too; with `--deep` the signature of every checkpoint is
checked, not only that of the newest; with `--receipts` each receipt in a file (`holdgate/receipt` of answers) is looked
up. Exit 0: sound. 1: altered, each finding on a line. 2: nothing can be said.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from sessions.evidence.gwverify.notes import CannotCheck, Key
from sessions.evidence.gwverify.verification import Verification


def main(arguments: Iterable[str] | None = None) -> int:
    """Verify the bundle named on the command line, print findings and summary, and return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an evidence bundle: exit 0 sound, 1 altered, 2 cannot check.")
    parser.add_argument("bundle", help="the zip file")
    parser.add_argument("--key", required=True, metavar="FILE", help="public key of the log (a vkey line)")
    parser.add_argument("--anchor", metavar="FILE", help="your own copy of anchored checkpoints")
    parser.add_argument("--deep", action="store_true", help="check the signature of every checkpoint")
    parser.add_argument(
        "--receipts", metavar="FILE", help="what callers were given: JSON, or a log with JSON in its lines"
    )
    options = parser.parse_args(None if arguments is None else list(arguments))
    out = sys.stdout
    try:
        key = Key(Path(options.key).read_text())
        anchor = Path(options.anchor).read_text() if options.anchor else ""
        receipts = Path(options.receipts).read_text() if options.receipts else ""
        with zipfile.ZipFile(options.bundle) as bundle:
            verification = Verification(bundle, key, anchor, deep=options.deep, receipts=receipts)
            altered = False
            for finding in verification.findings():
                altered = True
                out.write(f"{finding}\n")
    # The last three are what zipfile raises for broken, encrypted and unknown compression.
    except (CannotCheck, OSError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        sys.stderr.write(f"cannot check: {error}\n")
        return 2
    out.writelines(f"{note}\n" for note in verification.promised.notes)
    done = f"{verification.entries} entries, {verification.checkpoints} checkpoints, head {verification.head}"
    out.write(f"verified {done}\n")
    return 1 if altered else 0


if __name__ == "__main__":
    sys.exit(main())
