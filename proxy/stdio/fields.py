"""The header fields by which a gateway tells a runner or an agent for whom it asks. Pure."""

from __future__ import annotations

from typing import Final

OWNER: Final = "holdgate-owner"  # a caller, by pseudonym
RUN: Final = "holdgate-run"  # one of that caller's runs, by pseudonym
REVISION: Final = "holdgate-revision"  # of the policy that the request was judged by
