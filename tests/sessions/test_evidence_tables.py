"""What stands beside the populations of a bundle: access at both ends, timeline, tie-out, samples, criteria."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sessions.events import Event, Payload
from sessions.evidence.criteria import CRITERIA
from sessions.evidence.export import Wanted
from sessions.evidence.gwverify.populations import POPULATIONS
from sessions.evidence.sampling import SIZE
from sessions.journal import Journal
from tests import evidence
from tests.evidence import Files, about, exported, files_of, findings, signed_anew
from tests.record import Log

pytestmark = pytest.mark.promise("provable")


@pytest.fixture
def bundle(journal: Journal, log: Log, tmp_path: Path) -> Path:
    evidence.write(journal, log)
    return exported(log, tmp_path / "bundle.zip").path


def rows(files: Files, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files[name].decode().splitlines()))


def publish(journal: Journal, revision: int, *groups: str) -> None:
    access = [{"groups": list(groups), "kinds": None, "tools": ["read_*", "=cmd"]}]
    told = {
        "connections": {"orders-db": {"access": access, "mode": "enforce", "default": "hold"}},
        "groups": {"dba": {"members": ["alice"]}},
        "roles": {"admin": ["dba"], "auditor": [], "operator": []},
    }
    document = Payload(json.dumps(told).encode())
    journal.append_now(
        Event(
            kind="policy.published", policy_revision=revision, policy_digest=hashlib.sha256(document).hexdigest(),
            actor=evidence.VOTER, payloads={"document": document},
            facts={"changed": [f"connection/orders-db {revision}"], "loosens": ["=everything"]},
        )
    )  # fmt: skip


def test_who_could_use_what_stands_at_both_ends_of_the_period(journal: Journal, log: Log, tmp_path: Path) -> None:
    publish(journal, 1, "dba", "corp/all")
    middle = datetime.now(UTC)
    publish(journal, 2, "dba")
    log.sequencer.run_once()

    made = exported(log, tmp_path / "b.zip", Wanted(middle, datetime.now(UTC) + timedelta(hours=1)))

    files = files_of(made.path)
    before, after = (rows(files, f"access/matrix_{end}.csv") for end in ("from", "to"))
    assert [(one["group"], one["connection"], one["role"], one["policy_revision"]) for one in before] == [
        ("dba", "orders-db", "", "1"), ("corp/all", "orders-db", "", "1"), ("dba", "", "admin", "1"),
    ]  # fmt: skip
    assert [(one["group"], one["policy_revision"]) for one in after] == [("dba", "2"), ("dba", "2")]
    assert (before[0]["tools"], before[0]["default"], before[0]["members"]) == ("read_*; =cmd", "hold", "alice")
    timeline = rows(files, "policy/timeline.csv")
    assert [one["revision"] for one in timeline] == ["1", "2"]
    assert timeline[0]["effective_to"] == timeline[1]["effective_from"]
    assert timeline[1]["loosens"] == "'=everything", "no cell is a formula"
    assert findings(files, str(log.signer.verify_key)) == []


def test_the_rows_of_every_table_tie_out_to_the_log(bundle: Path) -> None:
    files = files_of(bundle)
    tied = {row["table"]: row for row in rows(files, "integrity/tie_out.csv")}

    assert tied.keys() == {*POPULATIONS, "calls", "approvals", "all tables of entries"}
    assert {row["ties"] for row in tied.values()} == {"yes"}
    assert tied["all tables of entries"]["entries"] == str(len(files["log/entries.jsonl"].splitlines()))
    for name in POPULATIONS:
        there = [row["log_index"] for row in rows(files, f"population/{name}.csv")]
        span = [tied[name]["first_log_index"], tied[name]["last_log_index"]]
        assert (tied[name]["rows"], span) == (str(len(there)), [there[0], there[-1]] if there else ["", ""])


def test_a_sample_can_be_drawn_again_by_its_recipe(journal: Journal, log: Log, tmp_path: Path) -> None:
    evidence.write(journal, log)
    journal.append_now(*(about("call.blocked", call_id=f"b{number}", facts={}) for number in range(2 * SIZE)))
    log.sequencer.run_once()
    files = files_of(exported(log, tmp_path / "b.zip").path)
    root = list(log.anchor.notes(log.anchor.length()))[-1].splitlines()[2]
    seed = hashlib.sha256(f"holdgate-sample-v1\n{base64.b64decode(root).hex()}\n".encode()).digest()

    def order(leaf_hash: str) -> str:
        return hashlib.sha256(seed + b"blocked\0" + bytes.fromhex(leaf_hash)).hexdigest()

    everything = [row["leaf_hash"] for row in rows(files, "population/blocked.csv")]
    drawn = [row for row in rows(files, "samples/selection.csv") if row["table"] == "blocked"]
    assert [row["leaf_hash"] for row in drawn] == sorted(everything, key=order)[:SIZE]
    assert [row["order"] for row in drawn] == sorted(map(order, everything))[:SIZE]
    assert {row["table"] for row in rows(files, "samples/selection.csv")} >= {"calls", "approvals", "votes"}


def test_every_file_that_the_criteria_name_is_in_the_bundle(bundle: Path) -> None:
    files = files_of(bundle)

    assert {path for one in CRITERIA for path in one.files} <= files.keys()
    mapped = rows(files, "controls/map.csv")
    assert {row["file"] for row in mapped if row["file"]} == {path for one in CRITERIA for path in one.files}
    assert "out of scope" in {row["category"] for row in mapped}
    page = files["README.html"].decode()
    assert all(one.ids in page for one in CRITERIA)


def test_a_closed_review_of_access_is_a_population_line_by_line(journal: Journal, log: Log, tmp_path: Path) -> None:
    line = {"number": 1, "group": "dba", "tools": ["*"], "decision": "keep", "comment": "=1+1"}
    told = Payload(json.dumps({"title": "Q4", "lines": [line]}).encode())
    facts: dict[str, str | int | bool | list[str] | None] = {"campaign": "c1", "lines": 1}
    payloads = {"about": told, "reviewer": evidence.dba("a", "b")}
    journal.append_now(Event(kind="review.closed", facts=facts, payloads=payloads))
    log.sequencer.run_once()
    day = evidence.day()

    files = files_of(exported(log, tmp_path / "b.zip", Wanted(day.since, day.until, payloads=False)).path)

    (row,) = rows(files, "access/reviews.csv")
    assert (row["campaign"], row["title"], row["group"], row["decision"]) == ("c1", "Q4", "dba", "keep")
    assert row["comment"] == "'=1+1"
    assert [one["campaign"] for one in rows(files, "population/access_reviews.csv")] == ["c1"]
    assert findings(files, str(log.signer.verify_key)) == []


@pytest.mark.parametrize(
    "name",
    ["access/matrix_to.csv", "policy/timeline.csv", "integrity/tie_out.csv", "samples/selection.csv",
     "controls/map.csv", "access/reviews.csv"],
)  # fmt: skip
def test_a_changed_table_is_found_whoever_signed_it(bundle: Path, log: Log, name: str) -> None:
    files = files_of(bundle)
    files[name] += b"one,row,more\r\n"

    (finding,) = findings(signed_anew(files, log.signer), str(log.signer.verify_key))

    assert finding.startswith(f"population: {name}: the row")
