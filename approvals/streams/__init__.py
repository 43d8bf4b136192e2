"""The record as it goes out to other systems, in the order of the log: identifiers and facts, no payloads."""
