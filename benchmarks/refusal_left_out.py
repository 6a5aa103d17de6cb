"""What is refused of kinds of pictures that the locator never learned from, leaving out one group at a time.

    BONEXAGE_DATA=folder python benchmarks/refusal_left_out.py [--each] [--steps N] [--hands CSV] [--bundle B]

For each group of the kinds of not-a-hand a locator is trained without its pictures and put in the bundle's
place; then the pictures of the group are shown, and the validation films of rsna-640px, which are to pass.
`--each` leaves out one kind at a time. Locators are kept in `runs/left-out`, so that what was stopped goes
on; `--hands` names the table of hands (`hands.csv`) that `bonexage train-locator` kept, without which they
are sought first. A training takes about ten minutes of one core. Writes `evaluation/left-out/left-out.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from at_hand import films_folder
from bonexage.disk import write_atomically
from bonexage.learning.dataset import Part, TrainingFilm, gather_films
from bonexage.learning.hands import find_hands
from bonexage.learning.locator import locator_to_onnx, train_locator
from bonexage.learning.recipe import Parts
from bonexage.learning.views import Hands, gather_hands, gather_others
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.reading.files import list_films, read_radiograph
from refusal import Row, row

ROOT = Path(__file__).parents[1]
OUT = ROOT / "evaluation" / "left-out"
KEPT = ROOT / "runs" / "left-out"
STEPS = 1500

# Kinds that look alike are left out together, so that none teaches how another is refused.
GROUPS: dict[str, tuple[str, ...]] = {
    "limbs": ("elbow", "knee"),
    "trunk": ("chest", "spine"),
    "head and slices": ("ct", "teeth"),
    "no radiographs of bodies": ("luggage", "photo", "textpage"),
}


def kind_of(picture: Path) -> str:
    """The kind that a picture of not-a-hand is of, by its name."""
    return picture.name.split("-")[0]


def groups_of(pictures: Sequence[Path], *, each: bool) -> dict[str, tuple[str, ...]]:
    """The groups that are left out in turn: every kind there is in one of them.

    Raises:
        ValueError: a kind is in no group.
    """
    kinds = sorted({kind_of(picture) for picture in pictures})
    if each:
        return {kind: (kind,) for kind in kinds}
    if unknown := set(kinds) - {kind for group in GROUPS.values() for kind in group}:
        raise ValueError(f"in no group: {', '.join(sorted(unknown))}")
    return GROUPS


def locator_without(
    group: str, kinds: Sequence[str], pictures: Sequence[Path], hands: Hands, steps: int
) -> bytes:
    """A locator that learned from the pictures of all other kinds; kept, and read where it is there."""
    kept = KEPT / f"{group.replace(' ', '-')}-{steps}.onnx"
    if not kept.is_file():
        others = gather_others([picture for picture in pictures if kind_of(picture) not in kinds])
        network = train_locator(
            hands, others, steps=steps, progress=lambda text: print(f"  {text}", flush=True)
        )
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, locator_to_onnx(network))
    return kept.read_bytes()


def rows_of(
    assessor: Assessor, kinds: Sequence[str], pictures: Sequence[Path], films: Sequence[TrainingFilm]
) -> tuple[list[Row], Row]:
    """What is refused of each kind that was left out, and what passes of hands."""
    refused = [
        row(kind, map(read_radiograph, shown), assessor, hands=False)
        for kind in kinds
        if (shown := [picture for picture in pictures if kind_of(picture) == kind])
    ]
    hands = (read_radiograph(film.film.path) for film in films)
    return refused, row("rsna-640px, validation part", hands, assessor, hands=True)


def hands_learned(films: Sequence[TrainingFilm], table: Path | None) -> Hands:
    """The hands of the films that locators learn from, as `bonexage train-locator` finds them."""
    place = KEPT / "hands.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    if table is not None and not place.is_file():
        shutil.copyfile(table, place)
    found = find_hands(
        [film.film for film in films],
        place,
        progress=lambda done, total: print(f"hands of {done} of {total} films sought", flush=True),
    )
    part_of = {film.film.path: film.part for film in films}
    return gather_hands({path: hand for path, hand in found.items() if part_of[path] is not Part.VALIDATION})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--each", action="store_true", help="leave out one kind at a time")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--hands", type=Path, help="the table of hands that train-locator kept")
    parser.add_argument("--bundle", type=Path, help="a bundle; by default the carried one")
    given = parser.parse_args()
    data = films_folder("rsna-640px and not-a-hand")
    if data is None:
        return
    pictures = [Path(name) for name in list_films([str(data / "not-a-hand")])]
    films, _ = gather_films([data / "rsna-640px"], Parts())
    validation = [film for film in films if film.part is Part.VALIDATION]
    hands = hands_learned(films, given.hands)
    bundle = load_bundle(given.bundle)
    found: dict[str, Any] = {}
    for group, kinds in groups_of(pictures, each=given.each).items():
        print(f"without {group}", flush=True)
        locator = locator_without(group, kinds, pictures, hands, given.steps)
        assessor = Assessor(replace(bundle, locator=locator))
        refused, passed = rows_of(assessor, kinds, pictures, validation)
        for one in refused:
            print(
                f"  {one.kind:12}{one.pictures:4}  {one.share:6.1%} refused ({one.low:.1%} to {one.high:.1%})"
            )
        print(f"  of {passed.pictures} hands {passed.share:.1%} pass", flush=True)
        found[group] = {"refused": [asdict(one) for one in refused], "hands": asdict(passed)}
    content = {"model": bundle.model, "steps": given.steps, "groups": found}
    write_atomically(OUT / "left-out.json", (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
