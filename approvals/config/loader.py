"""holdgate.yaml (or the same document as JSON) to a Config, or to the list of all that is wrong with it."""

from __future__ import annotations

from pydantic import ValidationError

from approvals.config.problems import ConfigError, Problem, schema_problems
from approvals.config.reading import Document, read
from approvals.config.references import findings
from approvals.config.schema import Config
from masking.detectors import DETECTORS

__all__ = ["ConfigError", "Problem", "load"]


def load(text: str, *, detectors: frozenset[str] = DETECTORS) -> Config:
    """Return the configuration that the text says.

    `detectors` are the names that masking rules may use. Raises ConfigError with all problems.
    """
    document = read(text)
    if document.problems and document.data is None:
        raise ConfigError(document.problems)
    if not isinstance(document.data, dict):
        raise ConfigError([Problem(document.line(()), "", "must be a mapping of keys such as connections and rules")])
    return validated(document, detectors)


def validated(document: Document, detectors: frozenset[str]) -> Config:
    """Return the configuration of data that was read. Raises ConfigError with all problems."""
    config, problems = None, list(document.problems)
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        problems += [document.problem(*found) for found in schema_problems(error)]
    problems += [document.problem(location, reason) for location, reason in findings(document.data, detectors)]
    if problems or config is None:
        raise ConfigError(problems)
    return config
