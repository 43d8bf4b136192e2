"""The record: journal, Merkle log, checkpoints, replay, evidence, verifier."""
