"""The files are tidy, and the check would notice if they were not."""

from __future__ import annotations

import pytest

from tests.house import hygiene, sources


def test_the_files_of_the_repository_are_tidy() -> None:
    assert hygiene.problems(sources.tracked()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"a\r\n",
        b"a",
        b"a \n",
        b"a\n\n",
        b"<" * 7 + b" HEAD\n",
        b"\0" * (hygiene.LARGEST + 1),
    ],
)
def test_an_untidy_file_is_found(content: bytes) -> None:
    assert len(list(hygiene.findings("docs/a.md", content))) == 1


@pytest.mark.parametrize("content", [b"", b"a\n", b"Title\n=====\n", b"\x89PNG\r\n\0"])
def test_a_tidy_file_is_not(content: bytes) -> None:
    assert list(hygiene.findings("docs/a.md", content)) == []
