"""The page of a bundle that people read first: what is in it, how to check it, and what it does not show."""

from __future__ import annotations

from typing import Any, Final

from django.template.loader import render_to_string

from sessions.evidence.criteria import CATEGORIES, OUT_OF_SCOPE, mapped
from sessions.evidence.sampling import SIZE

_FILES: Final = (
    ("population/calls.csv", "each call once: who, what, verdict, outcome, commitments to request and answer"),
    ("population/approvals.csv", "each request once: who asked, who decided, when, and whether exactly that ran"),
    ("population/votes.csv", "each vote, and each that was refused"),
    ("population/decisions.csv", "everything else in the life of a request"),
    ("population/break_glass.csv", "approvals by one person in an emergency, and their reviews"),
    ("population/blocked.csv", "calls that were not forwarded, and why"),
    ("population/executions.csv", "what was forwarded, and how it ended"),
    ("population/incidents.csv", "outcomes that are not known, late ones, and a database that was set back"),
    ("population/policy_changes.csv", "publications of the configuration: by whom, what changed, what became looser"),
    ("population/tool_changes.csv", "tools that appeared or changed, and who accepted them"),
    ("population/grants.csv", "remembered decisions: made, used, revoked, expired"),
    (
        "population/sign_ins.csv",
        "who signed in to the dashboard, at which issuer, and out of it; who did not get in",
    ),
    ("population/credential_rotations.csv", "which version of a server's credential a process began to use, and when"),
    ("population/outages.csv", "servers that could not be reached, as a process met it, and could again"),
    ("population/people_changes.csv", "accounts linked, stand-ins, people shut out"),
    ("population/erasures.csv", "payloads that were erased, and why"),
    ("population/access_reviews.csv", "reviews of who may use what: each line with its decision and what was done"),
    ("population/record_access.csv", "who read recordings, and exports of evidence"),
    ("population/processes.csv", "starts and stops of the gateway's processes, with their build and settings"),
    ("population/refused_at_the_door.csv", "requests without a token or access, counted per minute"),
    ("population/notifications.csv", "who was told of what, and by which way"),
    ("population/other.csv", "entries of all other kinds"),
    ("access/earlier.jsonl", "entries from before with which its sessions began, with their proofs"),
    ("access/matrix_from.csv, access/matrix_to.csv", "which groups could use what, and had which roles, at both ends"),
    ("access/reviews.csv", "reviews of access that were closed in the period, line by line"),
    ("access/people.csv", "who is behind each pseudonym, as entries say it; the group memberships are those of then"),
    ("availability/minutes.csv", "each minute in which something happened: calls, failures, refusals, restarts"),
    ("policy/<revision>.json", "each published configuration, secrets masked"),
    ("policy/publications.jsonl", "the proof that each of them was published"),
    ("policy/timeline.csv", "when each configuration came into force, by whom, and what it changed"),
    ("controls/map.csv", "which files speak to which criterion, and what is out of scope"),
    ("samples/selection.csv", "a sample of each table, drawn by the root of the last checkpoint"),
    ("integrity/tie_out.csv", "rows of each table beside the entries of the log that they come from"),
    ("integrity/summary.json", "the counts of this page"),
    ("log/entries.jsonl", "the log itself, entry by entry, as it was hashed"),
    ("log/payloads.jsonl", "the masked arguments, answers and comments behind the entries' commitments"),
    (
        "log/erasures.jsonl, log/later.txt",
        "erasures behind this stretch of the log, if any, with their proofs",
    ),
    ("log/keys.jsonl", "entries that signed a further key of the log in, or retired one, with their proofs"),
    ("log/start.json, log/checkpoints.txt, log/key.txt", "where the stretch begins, what was signed, and by which key"),
    ("gwverify.pyz", "the verifier; the standard library of Python is all it needs"),
    ("MANIFEST.json, MANIFEST.note", "every file with its hash, signed by the log's key"),
)


def report(told: dict[str, Any]) -> str:
    """Return the page, HTML, for what `export` tells of a bundle."""
    rows: dict[str, int] = told["rows"]
    names = {path: path.removeprefix("population/").removesuffix(".csv") for path, _ in _FILES}
    files = [{"path": path, "what": what, "rows": rows.get(names[path])} for path, what in _FILES]
    lines = list(mapped(rows))
    categories = [(name, [one for one in lines if one.criterion.category == name]) for name in CATEGORIES]
    context = {**told, "since": told["from"], "until": told["to"], "files": files, "categories": categories}
    return render_to_string("evidence/report.html", {**context, "out_of_scope": OUT_OF_SCOPE, "sample": SIZE})
