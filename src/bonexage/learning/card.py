"""The model card of a bundle, in the form Hugging Face reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bonexage.assessment import DISCLAIMER
from bonexage.model.bundle import OUT_OF_FOLD, Description
from bonexage.numbers import two_decimals, with_interval
from bonexage.reports.text import calibrated

CITATION = (
    "Halabi SS, Prevedello LM, Kalpathy-Cramer J, et al. The RSNA Pediatric Bone Age Machine Learning "
    "Challenge. Radiology 2019;290(2):498-503"
)
SHOWN = {
    "mae_months": "mean absolute deviation, months",
    "bias_months": "bias, months",
    "within_12_months": "share within 12 months",
}
ALONE = ", each read by the members alone that never saw its child"


def write_card(
    description: Description, *, strata: Mapping[str, Any] | None = None, costs: Sequence[str] = ()
) -> str:
    """The card, Markdown with a YAML head.

    Args:
        description: what the bundle says of its model.
        strata: figures by sex and by band of ages, of the same films as the description's.
        costs: what the training of each network took, a sentence each.
    """
    return "\n".join([*_head(description), *_body(description, strata or {}, costs)]) + "\n"


def _head(description: Description) -> list[str]:
    return [
        "---",
        "library_name: bonexage",
        "license: other",
        "license_name: rsna-non-commercial",
        "pipeline_tag: image-classification",
        "tags: [medical, radiology, bone-age, onnx]",
        "---",
        f"# {description.name}",
        "",
        f"Bone age in months (0 to {description.max_months:g}) from a radiograph of the left hand. "
        f"{DISCLAIMER}",
    ]


def _body(description: Description, strata: Mapping[str, Any], costs: Sequence[str]) -> list[str]:
    how = description.preprocessing
    lines = [
        "",
        "## Model",
        "",
        f"- Backbone {description.backbone}, {_layers(description)}.",
        f"- Input {how.height} x {how.width} pixels, {how.geometry}, mean {_numbers(how.mean)}, "
        f"std {_numbers(how.std)}.",
        f"- Started from {description.started_from}. Made {description.created}.",
    ]
    if description.members:
        number = len(description.members)
        lines.append(
            f"- {number} networks in one graph, which gives their mean in {number} times the time of one:"
        )
        lines += [f"  - {_member(member)}" for member in description.members]
    if description.views > 1:
        lines.append("- The answer is the mean of that for the film and that for its mirror image.")
    if description.default_views > 1:
        lines.append(f"- The answer is the mean of {description.default_views} views of the hand.")
    if description.onnx_difference_months is not None:
        lines.append(
            f"- The ONNX graph differs from the trained network by at most "
            f"{description.onnx_difference_months:.4f} months on the films compared."
        )
    lines += [f"- {cost}" for cost in costs]
    lines += ["", "## Data and terms", ""]
    if description.data:
        lines += [f"- {folder['name']}: {folder['films']} films" for folder in description.data["folders"]]
        low, high = description.data["ages_months"]
        lines.append(f"- Labelled bone ages from {low:g} to {high:g} months.")
    lines += [
        "- RSNA's films may be used for academic research, education and other non-commercial purposes; "
        "a model trained on them carries the same restriction.",
        f"- {CITATION}.",
        "",
        "## Figures",
        "",
    ]
    lines += _figures(description.figures, strata) or ["None were measured when this bundle was made."]
    lines += [
        "",
        "## Limits",
        "",
        "- Labels are readings by the atlas of Greulich and Pyle; the error is measured against those.",
        "- Few films of children under two years were learned from; films from other scanners, or with a "
        "small hand, may be misread.",
        "- "
        + (
            "A film in which no single hand is found is refused; a picture of another kind may still pass."
            if how.geometry == "hand"
            else "It does not know a hand from another picture."
        ),
        f"- Intervals: {calibrated(description.calibration)}.{_bound(description)}",
    ]
    return lines


def _layers(description: Description) -> str:
    """What follows the backbone, by the recipe; where there is none, as published."""
    network = description.recipe.get("network", {})
    ends = {
        "sigmoid": f"sigmoid * {description.max_months:g}",
        "linear": f"a line through {description.max_months / 2:g} months, without bounds",
    }
    return ", ".join(
        [
            {"gem": "GeM", "average": "average"}[network.get("pooling", "gem")] + " pooling",
            "sex encoder" if network.get("sex", True) else "no sex",
            "head with Mish",
            ends[network.get("output", "sigmoid")],
        ]
    )


def _member(member: Mapping[str, Any]) -> str:
    """One network of an ensemble, and what its recipe has otherwise than the first's."""
    changes = "".join(f", {place} {value}" for place, value in member["recipe_changes"].items())
    return f"{member['run']}: weights {member['weights_sha256'][:12]}{changes}"


def _bound(description: Description) -> str:
    """What is to be known of intervals from out-of-fold scores."""
    if description.calibration is None or not description.calibration.out_of_fold:
        return ""
    return (
        " The mean of all members lies on average at least as close to the labels as they do alone: these "
        "intervals are more likely too wide than too narrow, but no bound is proved for them (compare CV+: "
        "Barber RF, et al. Annals of Statistics 2021;49(1):486-507)."
    )


def _figures(figures: Mapping[str, Any], strata: Mapping[str, Any]) -> list[str]:
    """A table of the figures of each group of films, with their 95% bootstrap intervals."""
    lines = []
    for split, groups in figures.items():
        lines += [
            f"On the {split} films{ALONE if split == OUT_OF_FOLD else ''}, with 95% bootstrap intervals "
            "(children resampled):",
            "",
            "| films | number | " + " | ".join(SHOWN.values()) + " |",
            "|---|---|" + "---|" * len(SHOWN),
        ]
        for name, group in {**groups, **strata}.items():
            cells = " | ".join(with_interval(group[figure], two_decimals, name="") for figure in SHOWN)
            lines.append(f"| {name} | {group['films']} | {cells} |")
    return lines


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
