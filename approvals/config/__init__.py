"""holdgate.yaml: the schema, the loader that names every problem, and the way back to text."""
