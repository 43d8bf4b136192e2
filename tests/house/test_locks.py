"""No index addresses in the locks and no machine's paths anywhere, and the check would notice them."""

from __future__ import annotations

import pytest

from tests.house import locks


def test_the_repository_names_no_index_and_no_machine() -> None:
    assert locks.problems() == []


@pytest.mark.parametrize(
    "line",
    [
        "celery @ https" + "://packages.example/celery.whl",
        "--index-url packages.example",
        "--extra-index-url=packages.example",
        "-i packages.example",
        "django==5.2.19",
    ],
)
def test_a_lock_with_an_address_or_without_a_hash_is_refused(line: str) -> None:
    assert len(list(locks.lock_problems("requirements/base.txt", line))) == 1


def test_a_hashed_pin_is_accepted() -> None:
    assert list(locks.lock_problems("requirements/base.txt", "django==5.2.19 \\\n    --hash=sha256:00ff")) == []


@pytest.mark.parametrize("folder", ["home", "Users", "root", "work"])
def test_a_path_of_one_machine_is_found(folder: str) -> None:
    assert list(locks.path_problems("docs/a.md", f"see /{folder}/somebody/notes.txt")) == [
        f"docs/a.md:1: a path of one machine: /{folder}/somebody"
    ]


@pytest.mark.parametrize("text", ["$HOME/work/x", "https://a.example/work/x", "frameworks/work/x", "/srv/repo"])
def test_other_paths_are_not_taken_for_one(text: str) -> None:
    assert list(locks.path_problems("docs/a.md", text)) == []
