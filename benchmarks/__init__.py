"""What a governed call costs, measured beside a bare pass-through on the same stack. `python -m benchmarks --help`."""
