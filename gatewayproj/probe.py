"""`python -m gatewayproj.probe URL`: ends with 0 when the address answers 200 within some seconds, for health checks.

The image has neither curl nor wget. No proxy of the environment is asked.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

SECONDS = 4.0


def answers(url: str) -> bool:
    """Say whether a GET of the address is answered with 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return False


if __name__ == "__main__":
    sys.exit(0 if len(sys.argv) == 2 and answers(sys.argv[1]) else 1)
