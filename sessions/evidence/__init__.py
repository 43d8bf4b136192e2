"""Evidence for an auditor: a bundle of a period of the record, and the verifier that goes with it."""
