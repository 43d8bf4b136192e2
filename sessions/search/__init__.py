"""Finding calls in the record: a derived index of one row per call, and the questions that it answers."""
