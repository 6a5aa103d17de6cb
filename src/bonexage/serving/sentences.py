"""What is found, in plain sentences of any language of the page; in English they are those of the reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from bonexage.assessment import Assessment, Interval, Reading, StandardDeviationScore
from bonexage.clinic.growth import ADVANCED, DELAYED, WITHIN, also_possible, describe
from bonexage.serving.words import Words
from bonexage.subject import Sex

_KEYS = {ADVANCED: "advanced", DELAYED: "delayed", WITHIN: "within"}


def plain_sentence(said: Assessment, words: Words) -> str:
    """The bone age, how it stands to the chronological age, and how sure that is."""
    subject = said.subject
    age = words.age(said.bone_age_months)
    stated = words("sentence.bone_age", age=age, interval=_interval(said.interval, words))
    if subject.sex is Sex.UNKNOWN:
        return words("sentence.no_sex", stated=stated + _both(said.readings, words))
    sex = subject.sex.value
    if subject.age_months is None:
        return words(f"sentence.no_age_{sex}", stated=stated)
    compared = words(
        f"sentence.compared_{sex}",
        stated=stated,
        own=words.age(subject.age_months),
        difference=_difference(said.bone_age_months - subject.age_months, sex, words),
    )
    if said.sds is None:
        return words(f"sentence.no_reference_{sex}", compared=compared)
    return words(
        "sentence.scored",
        compared=compared,
        sds=score(said.sds, words),
        verdict=words(f"sentence.verdict_{_KEYS[describe(said.sds)]}"),
        also=_also(said.sds, words),
    )


def score(sds: StandardDeviationScore, words: Words) -> str:
    """'+2.8 (+1.2 to +4.4)', without brackets where it has no interval."""
    if sds.low is None or sds.high is None:
        return words.signed(sds.value)
    low, high = words.signed(sds.low), words.signed(sds.high)
    return words("sentence.sds_interval", value=words.signed(sds.value), low=low, high=high)


def verdict(sds: StandardDeviationScore, words: Words) -> str:
    """'advanced', 'delayed' or 'within 2 SD'."""
    return words(f"result.{_KEYS[describe(sds)]}")


def interval_name(interval: Interval, words: Words) -> str:
    """What an interval is called: '90% interval'."""
    return words("result.interval", share=words.share(interval.coverage))


def model_errors(figures: Mapping[str, Any], words: Words) -> Iterator[str]:
    """The mean absolute error on each group of films that was measured, with its interval."""
    for split, groups in figures.items():
        for name, group in groups.items():
            value, low, high = (group["mae_months"][key] for key in ("value", "low", "high"))
            error = words.months(value)
            if low is not None and not math.isnan(low):
                error = words("result.model_error_with", months=error, span=words.span(low, high))
            named = ", ".join(words.translated(each) or each for each in (split, name))
            yield words("result.model_error_of", error=error, films=group["films"], group=named)


def _interval(interval: Interval | None, words: Words) -> str:
    if interval is None:
        return ""
    low, high = words.age(interval.low_months), words.age(interval.high_months)
    return words("sentence.interval", share=words.share(interval.coverage), low=low, high=high)


def _difference(months: float, sex: str, words: Words) -> str:
    if round(months, 1) == 0:
        return words(f"sentence.level_{sex}")
    return words(f"sentence.{'ahead' if months > 0 else 'behind'}_{sex}", months=words.number(abs(months)))


def _both(readings: tuple[Reading, ...], words: Words) -> str:
    if len(readings) < 2:
        return ""
    ages = {reading.sex: words.age(reading.bone_age_months) for reading in readings}
    return words("sentence.both", girl=ages[Sex.FEMALE], boy=ages[Sex.MALE])


def _also(sds: StandardDeviationScore, words: Words) -> str:
    others = [words(f"sentence.also_{_KEYS[word]}") for word in also_possible(sds)]
    if not others:
        return ""
    joined = others[0] if len(others) == 1 else words("sentence.or", one=others[0], other=others[1])
    return words("sentence.also", others=joined)
