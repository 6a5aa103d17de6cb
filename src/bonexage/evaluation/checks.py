"""A data folder is checked before anyone trains on it: every fault of its labels and films is listed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from bonexage.errors import UnusableData
from bonexage.evaluation.duplicates import SAME, exact_duplicates, near_duplicates
from bonexage.evaluation.findings import KINDS, DataState, Finding, SplitState
from bonexage.evaluation.scan import FilmFile, ScannedFilm, UnreadFilm, scan
from bonexage.evaluation.turned import carried_upright, quarter_turns
from bonexage.model.assessor import Assessor
from bonexage.reading.folder import Split, films_by_id, split_name, split_place
from bonexage.reading.labels import Label, LabelReview, review_labels
from bonexage.spreadsheet import TableWriter
from bonexage.subject import Sex

SPLITS: Final[tuple[Split, ...]] = ("training", "test")
FAR_MONTHS: Final = 48.0

_TURNS: Final = {1: "a quarter turn to the left", 2: "upside down", 3: "a quarter turn to the right"}


@dataclass(frozen=True)
class _Listed:
    """One split before its films are read: its labels, and the files of each id."""

    split: Split
    review: LabelReview
    labels: Mapping[str, Label]
    labelled: frozenset[str]
    paths: Mapping[str, Sequence[Path]]


def check_folder(
    folder: Path,
    assessor: Assessor,
    *,
    made: date | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> DataState:
    """Check a data folder in the RSNA layout; go on past every fault and list them all.

    Each film is decoded once. The model reads the films whose labels give a sex.

    Args:
        folder: the data folder; one of its two splits may be missing.
        assessor: the model that reads the films.
        made: the day to write down; None for today.
        progress: called with films read and films in all.
        say: told what comes after the films are read.

    Raises:
        UnusableData: the folder holds neither labels nor films of either split.
    """
    if not any(part for split in SPLITS for part in split_place(folder, split)):
        raise UnusableData(
            "there are neither labels nor films",
            remedy=f"Name the folder that holds {split_name('training')}.csv and {split_name('training')}/",
            subject=str(folder),
        )
    findings: list[Finding] = []
    listed = [made_of for split in SPLITS if (made_of := _list_split(folder, split, findings))]
    files = [file for one in listed for file in _files(one)]
    results = list(scan(files, assessor, progress))
    scanned = [one for one in results if isinstance(one, ScannedFilm)]
    unread = {(one.film.split, one.film.path): one for one in results if isinstance(one, UnreadFilm)}
    for one in listed:
        findings += _labels_and_films(one, unread)
    known = {one.split: one for one in listed}
    if say is not None:
        say("Comparing the films with one another.")
    findings += _films(scanned, turned_by_model=assessor.finds_hands)
    findings += _far_off(scanned, known)
    findings += _same_ids(known)
    findings += _exact(scanned, known)
    findings += _near(scanned, known)
    order = list(KINDS)
    return DataState(
        folder=folder.resolve().name,
        made=made or date.today(),
        model=assessor.model,
        splits=tuple(_state(one, scanned) for one in listed),
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.code))),
    )


def clean_csv(labels: Sequence[Label]) -> str:
    """Labels under the header of the training set, `id,boneage,male`."""
    text = io.StringIO(newline="")
    table = TableWriter(text, ("id", "boneage", "male"))
    for label in labels:
        months = label.bone_age_months
        age = int(months) if months.is_integer() else months
        table.write({"id": label.id, "boneage": age, "male": label.sex is Sex.MALE})
    return text.getvalue()


def _list_split(folder: Path, split: Split, findings: list[Finding]) -> _Listed | None:
    """What a split holds by its names, or None where there is no such split; faults are added."""
    labels_file, films = split_place(folder, split)
    name = split_name(split)
    if labels_file is None and films is None:
        findings.append(Finding("split-missing", split, (), f"there is neither {name}.csv nor {name}/"))
        return None
    review = LabelReview((), ())
    if labels_file is None:
        findings.append(Finding("labels-missing", split, (), f"there is no {name}.csv"))
    else:
        review = review_labels(labels_file)
        for fault in review.faults:
            findings.append(Finding("wrong-header", split, (), f"{labels_file.name}: {fault.problem}"))
    paths: Mapping[str, Sequence[Path]] = {}
    if films is None:
        findings.append(Finding("films-missing", split, (), f"there is no folder {name}"))
    else:
        try:
            paths = films_by_id(films)
        except UnusableData as error:
            findings.append(Finding("folder-unreadable", split, (), f"{name}: {error.problem}"))
        else:
            if not paths:
                findings.append(Finding("films-missing", split, (), f"there is no picture in {name}"))
    labels: dict[str, Label] = {}
    for row in review.rows:
        if row.id and row.bone_age_months is not None and row.sex is not None:
            labels.setdefault(row.id, Label(row.id, row.bone_age_months, row.sex))
    return _Listed(split, review, labels, frozenset(row.id for row in review.rows if row.id), paths)


def _files(listed: _Listed) -> Iterator[FilmFile]:
    for name, paths in listed.paths.items():
        label = listed.labels.get(name)
        for path in paths:
            yield FilmFile(listed.split, name, path, label.sex if label else None)


def _labels_and_films(listed: _Listed, unread: Mapping[tuple[Split, Path], UnreadFilm]) -> Iterator[Finding]:
    """What is wrong with the labels, and between labels and films."""
    split = listed.split
    for row in listed.review.rows:
        for fault in row.faults:
            about = (row.id,) if row.id else ()
            yield Finding(fault.code, split, about, fault.sentence, about)
    for name, times in Counter(row.id for row in listed.review.rows if row.id).items():
        if times > 1:
            told = {(row.bone_age_months, row.sex) for row in listed.review.rows if row.id == name}
            agree = "with one label" if len(told) == 1 else "and the labels differ"
            drop = () if len(told) == 1 else (name,)
            yield Finding("duplicated-id", split, (name,), f"{name}: {times} rows, {agree}", drop)
    # Where nothing at all is there, that is said once.
    for name in sorted(listed.labelled - set(listed.paths)) if listed.paths else ():
        yield Finding("label-without-film", split, (name,), f"{name}: there is no such film", (name,))
    for name, paths in listed.paths.items():
        errors = [unread[split, path].error for path in paths if (split, path) in unread]
        why = "; ".join(error.problem for error in errors)
        if not listed.labelled:
            continue
        if name not in listed.labelled:
            said = f"{paths[0].name}: no label names it" + (f", and it cannot be read: {why}" if why else "")
            yield Finding("film-without-label", split, (name,), said)
            continue
        if why:
            yield Finding("unreadable", split, (name,), f"{paths[0].name}: {why}", (name,))
        if len(paths) > 1:
            files = ", ".join(str(Path(*path.parts[-2:])) for path in paths)
            yield Finding("two-files", split, (name,), f"{name}: {files}", (name,))


def _films(scanned: Sequence[ScannedFilm], *, turned_by_model: bool) -> Iterator[Finding]:
    """What is to be known of single films: cautions, turned hands, films that the model refuses.

    A model that finds hands says itself which are turned.
    """
    turns: Sequence[int] = [0] * len(scanned)
    if scanned and not turned_by_model:
        turns = quarter_turns(np.stack([one.small for one in scanned]), carried_upright()).tolist()
    for one, turn in zip(scanned, turns, strict=True):
        film = one.film
        for caution in one.cautions:
            code = caution.code if caution.code in KINDS else "read-with-care"
            yield Finding(code, film.split, (film.id,), f"{film.path.name}: {caution.sentence}")
        if one.refused:
            yield Finding("refused", film.split, (film.id,), f"{film.path.name}: {one.refused}")
        if turn:
            said = f"{film.path.name}: the hand seems to lie {_TURNS[turn]}"
            yield Finding("rotated", film.split, (film.id,), said)


def _far_off(scanned: Sequence[ScannedFilm], known: Mapping[Split, _Listed]) -> Iterator[Finding]:
    """Films that the model reads far off their labels, the furthest first."""
    far = []
    for one in scanned:
        label = known[one.film.split].labels.get(one.film.id)
        if label is not None and one.bone_age_months is not None:
            off = one.bone_age_months - label.bone_age_months
            if abs(off) > FAR_MONTHS:
                far.append((off, one.film, label.bone_age_months, one.bone_age_months))
    for off, film, labelled, read in sorted(far, key=lambda each: -abs(each[0])):
        said = f"{film.path.name}: labelled {labelled:.1f} months, read as {read:.1f} ({off:+.1f})"
        yield Finding("far-from-label", film.split, (film.id,), said)


def _same_ids(known: Mapping[Split, _Listed]) -> Iterator[Finding]:
    if len(known) == len(SPLITS):
        in_test = known["test"].labelled | set(known["test"].paths)
        for name in sorted(known["training"].labelled & in_test):
            said = f"{name}: the same id in training and test"
            yield Finding("leakage", None, (name,), said, (name,))


def _exact(scanned: Sequence[ScannedFilm], known: Mapping[Split, _Listed]) -> Iterator[Finding]:
    """The same bytes under several ids."""
    for group in exact_duplicates([one.sha256 for one in scanned]):
        used = {
            split: sorted({one.id for place in group if (one := scanned[place].film).split == split})
            for split in SPLITS
        }
        for split, listed in known.items():
            names = [name for name in used[split] if name in listed.labelled]
            if len(names) > 1:
                agree = _labels_agree(names, listed.labels)
                said = f"{', '.join(names)}: the same file, {'one label' if agree else 'the labels differ'}"
                drop = [name for name in names if name in listed.labels][1 if agree else 0 :]
                yield Finding("exact-duplicate", split, tuple(names), said, tuple(drop))
        learned = [name for name in used["training"] if name in known["training"].labelled]
        tested = used["test"]
        if learned and tested and learned != tested:
            said = f"training {', '.join(learned)} and test {', '.join(tested)}: the same file"
            yield Finding("leakage", None, tuple(dict.fromkeys(learned + tested)), said, tuple(learned))


def _near(scanned: Sequence[ScannedFilm], known: Mapping[Split, _Listed]) -> Iterator[Finding]:
    """Other files of what is nearly the same picture; each content is compared once in a split."""
    once: dict[tuple[Split, str], ScannedFilm] = {}
    for scan_of in scanned:
        film = scan_of.film
        if film.split == "test" or film.id in known["training"].labelled:
            once.setdefault((film.split, scan_of.sha256), scan_of)
    used = list(once.values())
    for pair in near_duplicates([one.small for one in used]):
        first, second = used[pair.first], used[pair.second]
        one, other = first.film, second.film
        if one.id == other.id or first.sha256 == second.sha256:
            continue
        like = f"correlation {pair.correlation:.3f}"
        if one.split == other.split:
            agree = _labels_agree((one.id, other.id), known[one.split].labels)
            said = f"{one.id} and {other.id}: {like}, {'one label' if agree else 'the labels differ'}"
            yield Finding("near-duplicate", one.split, (one.id, other.id), said)
        else:  # the training split is read first
            said = f"training {one.id} and test {other.id}: {like}"
            code = "leakage" if pair.correlation >= SAME else "near-duplicate"
            yield Finding(code, None, (one.id, other.id), said, (one.id,))


def _labels_agree(names: Sequence[str], labels: Mapping[str, Label]) -> bool:
    told = {(label.bone_age_months, label.sex) for name in names if (label := labels.get(name))}
    return len(told) <= 1


def _state(listed: _Listed, scanned: Sequence[ScannedFilm]) -> SplitState:
    here = [one for one in scanned if one.film.split == listed.split]
    return SplitState(
        split=listed.split,
        rows=len(listed.review.rows),
        labels=tuple(listed.labels.values()),
        films=sum(len(paths) for paths in listed.paths.values()),
        read=len(here),
        sizes=Counter(one.size for one in here),
        depths=Counter(f"{one.kind}, {one.bits} bits" if one.bits else one.kind for one in here),
    )
