"""Publishing: the only door by which a policy comes into force, once, recorded, and for the very next call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from approvals.config.document import document_digest
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from approvals.keys import actor
from approvals.models import ConfigItem, PolicyRevision
from approvals.publication import Policies, Published, RevisionConflict, publish
from approvals.runtime import Runtime
from gatewayproj import metrics
from sessions import leaf as leaves
from sessions.events import Event
from sessions.journal import RecordUnavailable, RevisionMoved
from sessions.models import Entry, Payload
from tests.engine import (
    GUARD,
    RULES,
    Later,
    another_process,
    engine,
    holds,
    one_of,
    refusing,
    rule_on,
    together,
    wait_until_one_is_blocked,
)
from tests.held import policy_text

__all__ = ["engine"]

REVISIONS = "approvals_policyrevision"


def config(**blocks: Any) -> Config:
    """Return the policy of the cast; without blocks it is the one that is in force at first."""
    return load(policy_text(**{"rules": RULES, **blocks}))


def changed(count: int = 2) -> Config:
    """Return the policy with another quorum in the rule `one`."""
    return config(rules=rule_on(holds("one", one_of("dba", count))))


def put(house: Runtime, wanted: Config | Callable[[], Config], **more: Any) -> Published:
    return publish(house.journal, house.policies, wanted, **{"author": "tests", **more})


def publications() -> list[leaves.Leaf]:
    rows = Entry.objects.filter(kind="policy.published").order_by("id").values_list("leaf", flat=True)
    return [leaves.decode(bytes(row)) for row in rows]


def test_a_publication_is_a_revision_and_an_entry_that_says_what_changed(engine: Runtime) -> None:
    wanted = changed()
    published = put(engine, wanted, author="https://id|dave")
    row = PolicyRevision.objects.get(number=2)
    assert published.revision == engine.policies.current.revision == 2
    assert [str(change) for change in published.changes] == ["rule one changed"]
    assert (row.digest, row.author) == (document_digest(wanted), "https://id|dave")
    entry = publications()[-1]
    assert (entry.revision, entry.digest, entry.actor) == (2, row.digest, actor("https://id|dave"))
    assert entry.facts["changed"] == ["rule/one changed"]
    assert entry.facts["loosens"] == []
    assert Payload.objects.filter(name="document").count() == 2


def test_an_equal_configuration_makes_no_revision_however_it_is_written(engine: Runtime) -> None:
    for same in (config(), config(rules=RULES[::-1])):
        assert put(engine, same) == Published(1, ())
    assert PolicyRevision.objects.count() == len(publications()) == 1


def test_an_equal_configuration_from_a_new_file_notes_the_file(engine: Runtime) -> None:
    assert put(engine, config(), source_digest="f" * 64) == Published(2, ())
    assert put(engine, config(), source_digest="f" * 64) == Published(2, ())
    assert publications()[-1].facts["source"] == "f" * 64
    put(engine, changed())
    assert PolicyRevision.objects.get(number=3).source_digest == "f" * 64


def test_who_read_an_older_revision_is_refused_and_nothing_changes(engine: Runtime) -> None:
    put(engine, changed(2), expected=1)
    with pytest.raises(RevisionConflict) as refused:
        put(engine, changed(3), expected=1)
    assert refused.value.current == 2
    assert PolicyRevision.objects.count() == len(publications()) == 2
    assert put(engine, changed(3), expected=2).revision == 3


def test_of_two_that_publish_over_the_same_revision_one_is_refused(engine: Runtime) -> None:
    with another_process() as other:
        for number in range(6):
            seen = PolicyRevision.objects.count()
            works = [
                partial(put, engine, changed(3 + 2 * number), expected=seen),
                partial(put, other, changed(4 + 2 * number), expected=seen),
            ]
            outcomes = together(works)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Published", "RevisionConflict"]
            assert PolicyRevision.objects.count() == seen + 1


def test_numbers_have_no_gaps_and_no_twins_when_many_publish_at_once(engine: Runtime) -> None:
    with another_process() as other:
        works = [partial(put, (engine, other)[number % 2], changed(number + 2)) for number in range(8)]
        outcomes = together(works)
    assert all(isinstance(outcome, Published) for outcome in outcomes), outcomes
    numbers = list(PolicyRevision.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, 10))
    assert [entry.revision for entry in publications()] == numbers


@pytest.mark.parametrize("broken", ["mcp_sessions_entry", REVISIONS, "mcp_sessions_payload"])
def test_a_policy_that_cannot_be_stored_and_recorded_is_not_in_force(broken: str, engine: Runtime) -> None:
    before = engine.policies.current
    with refusing(broken, "INSERT"), pytest.raises(Exception, match=r"refused|could not be written"):
        put(engine, changed())
    assert engine.policies.reload() is before
    assert PolicyRevision.objects.count() == len(publications()) == 1
    assert put(engine, changed()).revision == 2


def test_drafts_that_change_with_a_publication_stand_or_fall_with_it(engine: Runtime) -> None:
    def prepare(name: str, *, then: Exception | None = None) -> Config:
        ConfigItem.objects.create(kind="rules", name=name, body={})
        if then is not None:
            raise then
        return changed()

    with pytest.raises(ConfigError):
        put(engine, partial(prepare, "lost", then=ConfigError(())))
    with refusing("mcp_sessions_entry", "INSERT"), pytest.raises(RecordUnavailable):
        put(engine, partial(prepare, "lost too"))
    put(engine, partial(prepare, "kept"))
    assert list(ConfigItem.objects.values_list("name", flat=True)) == ["kept"]
    assert PolicyRevision.objects.count() == 2


# --- the very next call ---


@pytest.mark.promise("rule-at-once")
def test_what_was_judged_before_a_publication_is_not_written_after_it(engine: Runtime) -> None:
    judged_by = engine.policies.current.revision
    with another_process() as other:
        put(other, changed())
    assert engine.policies.current.revision == judged_by, "this process has not heard of it"
    with pytest.raises(RevisionMoved) as moved:
        engine.journal.append_now(Event(kind="call.intent", call_id="late"), revision=judged_by)
    assert moved.value.current == 2
    assert not Entry.objects.filter(call_id="late").exists()
    assert engine.policies.reload().revision == 2
    engine.journal.append_now(Event(kind="call.intent", call_id="again"), revision=2)


@pytest.mark.promise("rule-at-once")
def test_a_publication_waits_for_what_is_being_written_under_the_policy_before(engine: Runtime) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def intent() -> tuple[None, Sequence[Event]]:
        begun.set()
        go_on.wait(GUARD)
        return None, [Event(kind="call.intent", call_id="first")]

    with another_process() as other:
        writing = Later(partial(engine.journal.transact_now, intent, revision=1))
        assert begun.wait(GUARD)
        publishing = Later(partial(put, other, changed()))
        wait_until_one_is_blocked("advisory")
        go_on.set()
        writing.result()
        assert publishing.result().revision == 2
    kinds = list(Entry.objects.order_by("id").values_list("kind", flat=True))
    assert kinds.index("call.intent") < len(kinds) - 1 - kinds[::-1].index("policy.published")


def test_a_process_never_goes_back_to_an_older_policy(engine: Runtime) -> None:
    put(engine, changed())
    now = engine.policies.current
    PolicyRevision.objects.filter(number=2).delete()
    assert engine.policies.reload() is now


def test_a_snapshot_is_compiled_once_and_shared(engine: Runtime) -> None:
    policies = Policies()
    first = policies.current
    assert policies.reload() is first is policies.current
    assert asyncio.run(policies.refreshed()) is first
    assert (first.revision, first.digest) == (1, PolicyRevision.objects.get().digest)


def test_nothing_published_lets_nobody_through(transactional_db: None) -> None:
    policies = Policies()
    assert policies.current.revision == 0
    assert not policies.current.policy.config.connections


@pytest.mark.promise("masked-everywhere")
def test_a_secret_that_somebody_wrote_into_a_rule_is_not_readable_in_the_record(engine: Runtime) -> None:
    loud = {"name": "loud", "action": "deny", "match": {"tools": ["x"]}, "message": "password: hunter2-hunter2"}
    put(engine, config(rules=[*RULES, loud]))
    assert not any(b"hunter2" in bytes(body) for body in Payload.objects.values_list("body", flat=True))


def test_what_a_publication_loosens_is_in_its_entry_in_the_log_and_counted(
    engine: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    def counted() -> float:
        return metrics.registry.get_sample_value("holdgate_policy_loosened_total", {"certain": "yes"}) or 0

    said, before = "rules.one: fewer people must approve (require)", counted()
    metrics.watch_record(engine.journal)

    put(engine, changed(2))
    published = put(engine, changed(1))

    assert [str(one) for one in published.loosened] == [said]
    assert publications()[-1].facts["loosens"] == [said]
    assert publications()[0].facts["loosens"] == []
    assert f"revision 3 is looser than the one before: {said}" in caplog.text
    assert counted() == before + 1
