"""What kind of thing a SQL text does: a read is what is provably a read, everything else is risky. Pure."""
