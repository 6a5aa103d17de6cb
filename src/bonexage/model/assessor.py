"""The assessor: a radiograph and a subject become an assessment, one at a time or as a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import (
    MAX_BONE_AGE_MONTHS,
    Assessment,
    Caution,
    Failure,
    Interval,
    NearestPlate,
    Reading,
)
from bonexage.clinic.growth import score
from bonexage.errors import BonexageError, BundleError, UnreadableFile, WrongUse
from bonexage.futures import result_of
from bonexage.model.bundle import Bundle
from bonexage.model.calibration import opened
from bonexage.model.cautions import (
    age_cautions,
    mature_cautions,
    norm_cautions,
    reading_cautions,
    seen_cautions,
    size_cautions,
    view_cautions,
)
from bonexage.model.examination import Examination, Source
from bonexage.model.frame import HandFrame, views_of
from bonexage.model.hand import HandSeeker
from bonexage.model.nearest import PlateEmbeddings
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.model.relevance import Explanation, lay_on_film
from bonexage.model.runtime import Device, Outputs, Runtime, usable_cores
from bonexage.model.stated import hand_cautions, settle
from bonexage.radiograph import Radiograph
from bonexage.reading.files import film_bytes, read_radiograph
from bonexage.subject import Sex, Subject

DEFAULT_COVERAGE: Final = 0.9

Outcome: TypeAlias = Assessment | Failure


@dataclass(frozen=True, eq=False)
class PlacedFilm:
    """A film ready for the network.

    Attributes:
        file: the path or name as given.
        pixels: uint8 `[views, height, width]` of the network's input.
        cautions: what reading the film and finding its hand gave cause for.
        frames: where the hand lies in each view, where the model finds it: first as it was found.
    """

    file: str
    pixels: NDArray[np.uint8]
    cautions: tuple[Caution, ...]
    frames: tuple[HandFrame | None, ...] = (None,)

    @property
    def frame(self) -> HandFrame | None:
        """Where its hand was found, where the model wants that."""
        return self.frames[0]


class Assessor:
    """A model ready to assess radiographs; its methods may be called from several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        size: tuple[int, int] | None = None,
        views: int | None = None,
        device: Device = "cpu",
    ) -> None:
        """Load the bundle's network.

        Args:
            bundle: the model.
            threads: CPU threads of the network; None for all this process may use.
            size: height and width in pixels to read films at, not the bundle's. Obeyed where the model
                squashes films and its network takes any size; `preprocessing` tells what is used.
            views: answer with the mean of so many views of the hand, the first as it was found and the others
                a little turned, shifted, larger or smaller, in as many times the time; None for as many as
                the bundle says, for which its intervals were made.
            device: what the network runs on; hands are found on the CPU.

        Raises:
            BundleError: the network cannot be loaded, or its input and answers are not as the bundle says.
            WrongUse: the size is too small, several views are asked of a model that finds no hand, or ONNX
                Runtime has no such device.
        """
        views = bundle.description.default_views if views is None else views
        if views < 1 or (views > 1 and bundle.locator is None):
            raise WrongUse(
                f"this model cannot read {views} views of a film",
                remedy="Ask for one, or for more of a model that finds the hand, as the carried one does",
            )
        self._views = views
        self._bundle = bundle
        self._runtime = Runtime(bundle.onnx, threads=threads, device=device)
        if lacking := sorted(set(bundle.description.outputs) - set(self._runtime.outputs)):
            raise BundleError(
                f"the network gives no {' and no '.join(lacking)}, which its description names",
                remedy="Export the model again",
                subject=bundle.model,
            )
        self._preprocessing = _preprocessing(bundle, self._runtime.input_size, size)
        self._seeker = HandSeeker(bundle.locator, bundle.hands) if bundle.locator else None
        self._plates = PlateEmbeddings(bundle.plates) if bundle.plates else None

    @property
    def bundle(self) -> Bundle:
        """The model it assesses with."""
        return self._bundle

    @property
    def model(self) -> str:
        """The model's name and hash, `name@hash`, and its views where the bundle has another number."""
        return name_of(self._bundle, self._views)

    @property
    def preprocessing(self) -> Preprocessing:
        """How films are brought to the network's input."""
        return self._preprocessing

    @property
    def finds_hands(self) -> bool:
        """Whether it finds the hand in a film first, and refuses a film without one."""
        return self._seeker is not None

    @property
    def explains(self) -> bool:
        """Whether it can say what in a film moved its answer."""
        return "activation_map" in self._bundle.description.outputs

    def assess(
        self,
        film: str | Path | Radiograph,
        sex: Sex | str = Sex.UNKNOWN,
        age_months: float | None = None,
        *,
        coverage: float = DEFAULT_COVERAGE,
        page: int | None = None,
    ) -> Assessment:
        """Assess one radiograph of a left hand.

        Args:
            film: a file, or a radiograph already read.
            sex: FEMALE, MALE or UNKNOWN (then as a DICOM header says, else it is assessed as both), or a text
                such as 'F'.
            age_months: chronological age, 0 to 1440, for the standard deviation score; None for what a DICOM
                header says, if anything.
            coverage: share of children the interval is to hold, above 0 and below 1.
            page: the page of a file with several pages, counted from 1.

        Raises:
            UnreadableFile: the file holds no radiograph that can be read.
            RefusedRadiograph: it shows no single hand for certain.
            WrongUse: sex, age or coverage is out of range.
        """
        _, placed, subject = self._made_ready(film, sex, age_months, page)
        return self.assess_placed([(placed, subject)], coverage=coverage)[0]

    def explain(
        self,
        film: str | Path | Radiograph,
        sex: Sex | str = Sex.UNKNOWN,
        age_months: float | None = None,
        *,
        coverage: float = DEFAULT_COVERAGE,
        page: int | None = None,
    ) -> Explanation:
        """Assess one radiograph and say what in it moved the answer: the mean over all views and sexes read.

        Arguments and errors are those of `assess`.

        Raises:
            BundleError: the model gives no map.
        """
        radiograph, placed, subject = self._made_ready(film, sex, age_months, page)
        films = [(placed, subject)]
        _check_coverage(coverage)
        given = self._run(films)
        (assessment,) = self._assessments(films, given.over_views(self._views), coverage)
        if given.activation_map is None:
            raise BundleError(
                "this model gives no map of what moved its answer", remedy="Export it again with this version"
            )
        height, width = radiograph.pixels.shape
        maps = given.activation_map.reshape(-1, self._views, *given.activation_map.shape[1:]).mean(axis=0)
        laid = [
            lay_on_film(cells, (height, width), self._preprocessing, frame)
            for cells, frame in zip(maps, placed.frames, strict=True)
        ]
        months, cells = (np.asarray(np.mean(each, axis=0, dtype=np.float32)) for each in (laid, maps))
        return Explanation(assessment, radiograph.pixels, months, cells)

    def _made_ready(
        self, film: str | Path | Radiograph, sex: Sex | str, age_months: float | None, page: int | None
    ) -> tuple[Radiograph, PlacedFilm, Subject]:
        """A film read and placed, and whom it shows as far as the caller or its header says."""
        subject = Subject(sex if isinstance(sex, Sex) else Sex.parse(sex), age_months)
        radiograph = film if isinstance(film, Radiograph) else read_radiograph(film, page=page)
        subject, cautions = settle(subject, radiograph.stated)
        return radiograph, self.place(radiograph, cautions), subject

    def place(self, radiograph: Radiograph, further: Iterable[Caution] = ()) -> PlacedFilm:
        """Bring a radiograph to the network's input, its hand found first where the model wants that.

        Args:
            radiograph: the film.
            further: cautions that come after those of the film and its hand.

        Raises:
            RefusedRadiograph: no single hand was found for certain.
        """
        hand = self._seeker.seek(radiograph) if self._seeker else None
        frame = hand.finding.frame if hand else None
        frames = views_of(frame, self._views) if frame else (None,)
        return PlacedFilm(
            radiograph.provenance.name,
            np.stack([place(radiograph.pixels, self._preprocessing, each) for each in frames]),
            (
                *radiograph.cautions,
                *(seen_cautions(hand) if hand else ()),
                *hand_cautions(radiograph.stated, mirrored=frame.mirrored if frame else None),
                *further,
            ),
            frames,
        )

    def assess_placed(
        self, films: Sequence[tuple[PlacedFilm, Subject]], *, coverage: float = DEFAULT_COVERAGE
    ) -> list[Assessment]:
        """Assess several films that `place` made ready, in one run of the network.

        Raises:
            WrongUse: the coverage is out of range.
        """
        _check_coverage(coverage)
        if not films:
            return []
        return self._assessments(films, self._run(films).over_views(self._views), coverage)

    def _run(self, films: Sequence[tuple[PlacedFilm, Subject]]) -> Outputs:
        """What the network says of each view of films, of each as a girl's or a boy's, or as both."""
        rows = _rows(films)
        pixels = np.concatenate([films[at][0].pixels for at, _ in rows])
        male = np.repeat(
            np.array([[sex is Sex.MALE] for _, sex in rows], dtype=np.float32), self._views, axis=0
        )
        return self._runtime.run(normalise(pixels, self._preprocessing), male)

    def _assessments(
        self, films: Sequence[tuple[PlacedFilm, Subject]], given: Outputs, coverage: float
    ) -> list[Assessment]:
        """What `_run` gave, over the views of each film, as its assessment."""
        readings: list[list[Reading]] = [[] for _ in films]
        unlike: list[NearestPlate | None] = [None for _ in films]
        for row, ((at, sex), answer, apart) in enumerate(
            zip(_rows(films), given.months.tolist(), given.disagreement_months, strict=True)
        ):
            readings[at].append(self._reading(sex, answer, apart, coverage))
            if self._plates is not None and given.embedding is not None:
                unlike[at] = self._plates.disagreeing(given.embedding[row], films[at][1].sex, answer)
        return [
            self._assessment(film, subject, tuple(of_film), plate)
            for (film, subject), of_film, plate in zip(films, readings, unlike, strict=True)
        ]

    def _reading(self, sex: Sex, answer: float, apart: float | None, coverage: float) -> Reading:
        months = min(max(answer, 0.0), MAX_BONE_AGE_MONTHS)
        calibration = self._bundle.description.calibration
        if calibration is None:
            return Reading(sex, months, None, apart)
        interval = calibration.interval(months, sex, coverage, disagreement_months=apart)
        return Reading(sex, months, opened(interval, months, self._learned_months), apart)

    def _assessment(
        self,
        film: PlacedFilm,
        subject: Subject,
        readings: tuple[Reading, ...],
        unlike: NearestPlate | None,
    ) -> Assessment:
        months = sum(reading.bone_age_months for reading in readings) / len(readings)
        said = self._bundle.description
        cautions = (
            *film.cautions,
            *reading_cautions(subject, said.calibration),
            *size_cautions(self._preprocessing, said.preprocessing),
            *view_cautions(self._views, said.default_views),
            *age_cautions(months, readings, self._learned_months, said.calibration),
            *mature_cautions(subject, readings, said.calibration),
            *norm_cautions(subject),
        )
        interval = _union([reading.interval for reading in readings])
        return Assessment(
            file=film.file,
            subject=subject,
            bone_age_months=months,
            interval=interval,
            model=self.model,
            cautions=cautions,
            sds=score(months, subject, interval),
            readings=readings,
            nearest=unlike,
        )

    @property
    def _learned_months(self) -> tuple[float, float] | None:
        """The least and the most bone age that the network learned from, where the bundle tells."""
        ages = self._bundle.description.data.get("ages_months")
        return None if ages is None else (ages[0], ages[1])


def name_of(bundle: Bundle, views: int | None) -> str:
    """What an assessor of a bundle calls itself, by how many views it reads; None for the bundle's own."""
    own = views in (None, bundle.description.default_views)
    return bundle.model if own else f"{bundle.model}+{views}views"


def assess_many(
    assessor: Assessor,
    films: Iterable[str],
    subject_for: Callable[[str], Subject],
    *,
    coverage: float = DEFAULT_COVERAGE,
    page: int | None = None,
    batch: int = 4,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Assess a stream of films: one outcome a film, in the films' order; arguments as of `examine_many`.

    Raises:
        WrongUse, BundleError: as `examine_many`.
    """
    examined = examine_many(
        assessor, films, subject_for, coverage=coverage, page=page, batch=batch, workers=workers
    )
    return (each.outcome for each in examined)


def examine_many(
    assessor: Assessor,
    films: Iterable[str],
    subject_for: Callable[[str], Subject],
    *,
    coverage: float = DEFAULT_COVERAGE,
    page: int | None = None,
    batch: int = 4,
    workers: int | None = None,
    keep_sources: bool = False,
) -> Iterator[Examination]:
    """Examine a stream of films: one examination a film, in the films' order.

    Worker threads read films while the network runs on those before; only so many are read ahead as keep both
    busy, so memory does not grow with the number of films. A film that cannot be assessed becomes a `Failure`
    and the rest go on.

    Args:
        assessor: the model.
        films: paths, taken from the stream as they are needed.
        subject_for: sex and age of a film by its path; may raise a BonexageError, which is that film's.
        coverage: share of children the intervals are to hold, above 0 and below 1.
        page: the page of files with several pages, counted from 1.
        batch: films a run of the network, at least 1.
        workers: threads that read films; None for one a core this process may use.
        keep_sources: give each film's bytes with its outcome, for what else is made of the film; so many are
            held as films are read ahead.

    Raises:
        WrongUse: the coverage or the batch is out of range.
        BundleError: the network cannot run.
    """
    if batch < 1:
        raise WrongUse(f"a batch of {batch} films is none", remedy="Give 1 or more")
    workers = workers or usable_cores()
    stream = iter(films)
    waiting: deque[Future[_Read]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bonexage-read")
    try:
        while True:
            room = 2 * batch + workers - len(waiting)
            for film in islice(stream, room):
                waiting.append(pool.submit(_read, assessor, film, subject_for, page, keep_sources))
            if not waiting:
                return
            ready = [result_of(waiting.popleft()) for _ in range(min(batch, len(waiting)))]
            yield from _assess_read(assessor, ready, coverage)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Read:
    """A film as a worker leaves it: placed, or the error that kept it from being so; its bytes if kept."""

    file: str
    subject: Subject
    film: PlacedFilm | BonexageError
    source: Source | None = None


def _read(
    assessor: Assessor, file: str, subject_for: Callable[[str], Subject], page: int | None, keep: bool
) -> _Read:
    subject, kept = Subject(), None
    try:
        subject = subject_for(file)
        source = Source(file, film_bytes(file), page)
        kept = source if keep else None
        radiograph = source.radiograph()
        subject, cautions = settle(subject, radiograph.stated)
        return _Read(file, subject, assessor.place(radiograph, cautions), kept)
    except BonexageError as error:
        return _Read(file, subject, error, kept)
    except Exception as error:  # one film must not end the rest, whatever a decoder does
        unforeseen = UnreadableFile(
            f"reading it failed in an unforeseen way ({type(error).__name__}: {error})",
            remedy="Save it anew as PNG, and please report what kind of file it is",
            subject=file,
        )
        unforeseen.__cause__ = error
        return _Read(file, subject, unforeseen, kept)


def _assess_read(assessor: Assessor, ready: Sequence[_Read], coverage: float) -> Iterator[Examination]:
    films = [(read.film, read.subject) for read in ready if isinstance(read.film, PlacedFilm)]
    assessed = iter(assessor.assess_placed(films, coverage=coverage))
    for read in ready:
        if isinstance(read.film, BonexageError):
            failure = Failure(read.file, read.subject, read.film, assessor.model)
            yield Examination(failure, read.source)
        else:
            yield Examination(next(assessed), read.source)


def _preprocessing(
    bundle: Bundle, insisted: tuple[int, int] | None, wished: tuple[int, int] | None
) -> Preprocessing:
    described = bundle.description.preprocessing
    if insisted not in (None, (described.height, described.width)):
        raise BundleError(
            f"the network insists on films of {insisted} pixels and the description names "
            f"{(described.height, described.width)}",
            remedy="Export the model again",
        )
    if wished is None or insisted is not None or described.geometry != "squash":
        return described
    try:
        return replace(described, height=wished[0], width=wished[1])
    except ValueError as error:
        raise WrongUse(str(error), remedy="Give an input size of 32 pixels or more") from None


def _check_coverage(coverage: float) -> None:
    if not 0 < coverage < 1:
        raise WrongUse(
            f"an interval cannot cover a share of {coverage:g}",
            remedy="Give a coverage above 0 and below 1, such as 0.9",
        )


def _rows(films: Sequence[tuple[PlacedFilm, Subject]]) -> list[tuple[int, Sex]]:
    """The place of a film, and a sex that it is read as; both where its own is unknown."""
    return [(at, sex) for at, (_, subject) in enumerate(films) for sex in _sexes(subject)]


def _sexes(subject: Subject) -> tuple[Sex, ...]:
    return (Sex.FEMALE, Sex.MALE) if subject.sex is Sex.UNKNOWN else (subject.sex,)


def _union(intervals: Sequence[Interval | None]) -> Interval | None:
    known = [interval for interval in intervals if interval is not None]
    if not known:
        return None
    low, high = min(each.low_months for each in known), max(each.high_months for each in known)
    return Interval(low, high, known[0].coverage)
