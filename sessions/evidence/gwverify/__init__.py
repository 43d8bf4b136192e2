"""The verifier that goes with a bundle: Python's standard library and nothing else, no network."""
