"""The figures of an evaluation: predicted against labelled, Bland-Altman, error by age and sex."""

from __future__ import annotations

from typing import Final

from bonexage.evaluation.metrics import Figure
from bonexage.evaluation.result import Evaluation
from bonexage.reports.figures import Band, Level, bland_altman, error_by_age, predicted_against_labelled
from bonexage.subject import Sex

SCATTER: Final = "predicted-against-labelled.png"
BLAND_ALTMAN: Final = "bland-altman.png"
BY_AGE: Final = "error-by-age.png"


def draw(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG by file name, in the order of the page."""
    predicted = [said.bone_age_months for _, said in evaluation.assessed]
    labelled = [film.bone_age_months for film, _ in evaluation.assessed]
    sexes = [film.sex for film, _ in evaluation.assessed]
    overall = evaluation.overall
    note = f"Mean absolute difference\n{overall.mae_months.value:.1f} months, {overall.films:,} films"
    return {
        SCATTER: predicted_against_labelled(predicted, labelled, sexes, note=note),
        BLAND_ALTMAN: bland_altman(
            predicted,
            labelled,
            sexes,
            bias=_level(overall.bias_months),
            low=_level(overall.limit_low_months),
            high=_level(overall.limit_high_months),
        ),
        BY_AGE: error_by_age(
            [
                Band(
                    group.low_months or 0.0,
                    group.high_months or 0.0,
                    group.sex or Sex.UNKNOWN,
                    group.agreement.films,
                    _level(group.agreement.mae_months),
                    _level(group.agreement.bias_months),
                )
                for group in evaluation.select(by_sex=True, by_age=True)
            ]
        ),
    }


def _level(figure: Figure) -> Level:
    return Level(figure.value, figure.low, figure.high)
