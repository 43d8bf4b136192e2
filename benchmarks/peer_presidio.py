"""Presidio's pattern recognisers over texts on stdin; run in an environment of its own, in which it is installed.

Reads a JSON array of `[kind, near, text, planted]`; writes for each whether it was found, at any score. A value is
found when one span of an entity of its kind covers it, a near miss when a span touches it. No model is loaded: every
recogniser that works by pattern and check alone takes part, whatever its language.
"""

import inspect
import json
import sys
import time

from presidio_analyzer import EntityRecognizer, PatternRecognizer, predefined_recognizers

ENTITIES = {
    "credit_card": {"CREDIT_CARD"},
    "date_of_birth": {"DATE_TIME", "DATE_OF_BIRTH"},
    "email": {"EMAIL_ADDRESS"},
    "iban": {"IBAN_CODE"},
    "ip_address": {"IP_ADDRESS"},
    "phone": {"PHONE_NUMBER"},
    "us_ssn": {"US_SSN"},
}
OF_NOBODY = {"CRYPTO", "URL", "MEDICAL_LICENSE", "MAC_ADDRESS", "US_BANK_NUMBER", "UUID"}


def recognisers() -> list[EntityRecognizer]:
    """Return one of each that can be made without a model."""
    found = []
    for _, kind in inspect.getmembers(predefined_recognizers, inspect.isclass):
        if kind.__name__ == "PhoneRecognizer" or (
            issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer
        ):
            found.append(kind())
    return found


def main() -> None:
    """Answer for each item, and say with how many recognisers, for which kinds, in how many seconds of CPU."""
    every = recognisers()
    persons = {entity for one in every for entity in one.supported_entities} - OF_NOBODY
    entities = {**ENTITIES, "national_id": persons.difference(*ENTITIES.values())}
    items = json.load(sys.stdin)
    answers, started = [], time.process_time()
    for kind, near, text, planted in items:
        wanted, found = entities.get(kind, set()), False
        first = text.find(planted)
        last = first + len(planted)
        for one in every:
            asked = sorted(wanted.intersection(one.supported_entities))
            for span in one.analyze(text, asked, None) if asked else ():
                whole = span.start <= first and span.end >= last
                touched = near and span.start < last and span.end > first
                found = found or (span.score > 0 and (whole or touched))
        answers.append(found)
    took = time.process_time() - started
    json.dump({"answers": answers, "kinds": sorted(entities), "recognisers": len(every), "seconds": took}, sys.stdout)


if __name__ == "__main__":
    main()
