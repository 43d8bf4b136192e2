"""Which tables and files of a bundle speak to which of the Trust Services Criteria (2017, revised 2022). Pure.

Evidence, not compliance: whether a control is enough is the auditor's judgement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Criterion:
    """Criteria that go together: what they ask for in short, what the gateway shows, and in which files."""

    category: str
    ids: str
    asks: str
    shows: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A criterion with how many rows there are for it: files with their rows, in their order."""

    criterion: Criterion
    rows: tuple[tuple[str, int | None], ...]

    @property
    def total(self) -> int:
        """Return the rows of all its tables."""
        return sum(number or 0 for _, number in self.rows)


SECURITY, AVAILABILITY, INTEGRITY = "Security", "Availability", "Processing integrity"
CONFIDENTIALITY, PRIVACY = "Confidentiality", "Privacy"
CATEGORIES: Final = (SECURITY, AVAILABILITY, INTEGRITY, CONFIDENTIALITY, PRIVACY)

CRITERIA: Final = (
    Criterion(SECURITY, "CC6.1", "Access is limited; credentials are protected",
              "who is behind each account; which credentials the gateway holds for servers, by reference",
              ("access/people.csv", "population/sign_ins.csv", "population/credential_rotations.csv",
               "policy/timeline.csv")),
    Criterion(SECURITY, "CC6.2, CC6.3", "Access is given, changed and taken away by people who may; duties are apart",
              "who may use what at both ends of the period, access for a while, remembered decisions, reviews",
              ("access/matrix_from.csv", "access/matrix_to.csv", "access/reviews.csv", "population/approvals.csv",
               "population/grants.csv", "population/people_changes.csv",
               "population/access_reviews.csv")),
    Criterion(SECURITY, "CC6.6", "The boundary is protected",
              "requests that were turned away, calls that were not forwarded",
              ("population/refused_at_the_door.csv", "population/blocked.csv")),
    Criterion(SECURITY, "CC6.8, CC7.1", "Unauthorised changes are prevented or found",
              "pinned tools that changed, every publication of the rules, every start with its build",
              ("population/tool_changes.csv", "population/policy_changes.csv", "population/processes.csv")),
    Criterion(SECURITY, "CC7.2 to CC7.5", "Anomalies are noticed, judged and answered",
              "outcomes that are not known, emergencies with their reviews, who was told",
              ("population/incidents.csv", "population/break_glass.csv", "population/notifications.csv")),
    Criterion(SECURITY, "CC8.1", "Changes are authorised",
              "each risky call with who asked, who decided and what ran; each change of the rules with its author",
              ("population/approvals.csv", "population/votes.csv", "population/policy_changes.csv",
               "policy/timeline.csv")),
    Criterion(SECURITY, "CC2.1, CC4.1", "Information is complete, and is looked at",
              "the log with its proof, who read recordings and took evidence out",
              ("log/checkpoints.txt", "integrity/tie_out.csv", "samples/selection.csv",
               "population/record_access.csv")),
    Criterion(AVAILABILITY, "A1.1, A1.2", "Capacity and recovery",
              "by minute: calls, failures of servers, refusals, starts and stops; a database that was set back",
              ("availability/minutes.csv", "population/outages.csv", "population/processes.csv",
               "population/incidents.csv")),
    Criterion(INTEGRITY, "PI1.1 to PI1.5", "What is processed is complete, valid, accurate and authorised",
              "each call once with its end; whether exactly that ran which was approved",
              ("population/calls.csv", "population/executions.csv", "integrity/summary.json")),
    Criterion(CONFIDENTIALITY, "C1.1, C1.2", "Confidential information is identified, protected and disposed of",
              "what was masked in each call, by which rules; what was erased",
              ("population/calls.csv", "population/erasures.csv", "policy/timeline.csv")),
    Criterion(PRIVACY, "P4, P6", "Personal information is used, kept and disclosed as promised",
              "who was answered with which class of data, masked or not; erasures; who read recordings",
              ("population/calls.csv", "population/erasures.csv", "population/record_access.csv")),
)  # fmt: skip

OUT_OF_SCOPE: Final = (
    ("CC1, CC3, CC5", "how the company is led, how it judges risks and chooses controls"),
    ("CC6.4", "access to buildings and machines"),
    ("CC6.7 beyond masking", "how devices and removable media are handled"),
    ("CC9", "insurance and contracts with suppliers; the bundle only lists the servers that were called"),
    ("A1.3", "rehearsals of recovery, but for what starts and restored databases left in the record"),
    ("P1 to P3, P5, P7, P8", "notice, choice, collection, access and correction, quality, complaints"),
    ("everything", "what goes to a server around the gateway; whether a control is designed well or is enough"),
)


def mapped(rows: Mapping[str, int]) -> Iterator[Mapped]:
    """Yield every criterion with the rows of its tables; `rows` by table of `population/`; others have no number."""
    for one in CRITERIA:
        yield Mapped(one, tuple((path, _rows(path, rows)) for path in one.files))


def _rows(path: str, rows: Mapping[str, int]) -> int | None:
    folder, _, name = path.partition("/")
    return rows.get(name.removesuffix(".csv"), 0) if folder == "population" else None
