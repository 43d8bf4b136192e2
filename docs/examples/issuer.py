"""An issuer of tokens for trying Holdgate where no identity provider is at hand. Never for production.

`python docs/examples/issuer.py [FOLDER]` makes a key pair, keeps the public key and two tokens that are good for
a day in the folder (.holdgate/try by default), throws the private key away, and prints the entry for `issuers:`
in holdgate.yaml.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

ISSUER, KEY_ID = "https://try.invalid", "try"
DAY = 24 * 3600
# A caller in the group corp/engineering, and a person who decides, by the address that the issuer vouches for.
WHO: dict[str, dict[str, Any]] = {
    "pipeline": {"name": "A pipeline step", "groups": ["engineering"]},
    "alice": {"name": "Alice", "email": "alice@example.com", "email_verified": True},
}


def main(folder: Path) -> None:
    """Write `jwks.json`, `pipeline.token` and `alice.token`; print what belongs into holdgate.yaml."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = generate_private_key(SECP256R1())
    public: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwks = folder.resolve() / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**public, "kid": KEY_ID}]}), encoding="utf-8")
    now = int(time.time())
    for sub, claims in WHO.items():
        standard = {"iss": ISSUER, "sub": sub, "aud": "holdgate", "iat": now, "exp": now + DAY}
        token = jwt.encode({**standard, **claims}, key, algorithm="ES256", headers={"kid": KEY_ID})
        path = folder / f"{sub}.token"
        path.touch(mode=0o600)
        path.write_text(token, encoding="ascii")
    sys.stdout.write(
        f'  - {{name: corp, issuer: "{ISSUER}", audiences: [holdgate], jwks_uri: "file:{jwks}",\n'
        "     groups_claim: groups, login: true}\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".holdgate/try"))
