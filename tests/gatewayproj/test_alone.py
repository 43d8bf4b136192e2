"""Two gateways that each take themselves for the only one must not run on one state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayproj.alone import Alone, AnotherGateway


def test_a_second_gateway_on_the_same_state_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first, second = Alone(tmp_path), Alone(tmp_path)
    first.take()

    with pytest.raises(AnotherGateway, match="HOLDGATE_STATE_DIR"):
        second.take()

    first.release()
    second.take()
    second.release()
