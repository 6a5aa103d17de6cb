"""A client of the service that is used as an Assessor is: films in, assessments out."""

from __future__ import annotations

import importlib.util
import math
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from bonexage.assessment import Assessment, Caution, Failure, Interval, Reading
from bonexage.errors import (
    BonexageError,
    MissingExtra,
    RefusedRadiograph,
    ServiceError,
    TooManyPixels,
    UnreadableFile,
    WrongUse,
)
from bonexage.futures import result_of
from bonexage.subject import Sex, Subject

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

PATH: Final = "/v1/assessments"
SHARE: Final = 0.9
_HOST: Final = re.compile(r"[\w:]")
_TRIES: Final = 3
_PAUSE: Final = 0.5
_TURNED_AWAY: Final = frozenset({409, 429, 503})
# Answered where a service has too much to do or no room left, whatever the film.
_OVERBURDENED: Final = frozenset({429, 503, 507})
_LONGEST_NAME: Final = 255
_ERRORS: Final[Mapping[str, type[BonexageError]]] = {
    "refused": RefusedRadiograph,
    "unreadable": UnreadableFile,
    "too-many-pixels": TooManyPixels,
    "too-slow": UnreadableFile,
    "too-large": UnreadableFile,
    "wrong-use": WrongUse,
    "not-acceptable": WrongUse,
}
_MEDIA_TYPES: Final = {"html": "text/html", "pdf": "application/pdf", "fhir": "application/fhir+json"}

Row: TypeAlias = Mapping[str, Any]


class _Overburdened(ServiceError):
    """A service that has too much to do, or no room."""


class Client:
    """A service that assesses films, asked over HTTP; its methods may be called from several threads."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        seconds: float = 120.0,
        patience_seconds: float = 120.0,
        http: httpx.Client | None = None,
    ) -> None:
        """Get ready to ask; nothing is sent yet.

        Args:
            address: where the service is, such as `http://127.0.0.1:8000`.
            token: what it asks for, if it asks for one.
            seconds: that one answer may take.
            patience_seconds: how long to ask again where the service has too much to do.
            http: what to ask through in place of a client of its own.

        Raises:
            MissingExtra: httpx is not installed.
            WrongUse: the address is none.
        """
        if importlib.util.find_spec("httpx") is None:
            raise MissingExtra("Asking a service", "serve")
        import httpx

        self._patience = patience_seconds
        self._headers = {} if token is None else {"Authorization": _bearer(token)}
        self._address = address
        try:
            self._http = http or httpx.Client(base_url=address, timeout=seconds, follow_redirects=False)
        except (httpx.InvalidURL, ValueError):
            raise _no_address(address) from None
        if self._http.base_url.scheme not in ("http", "https") or not _HOST.match(self._http.base_url.host):
            raise _no_address(address)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @property
    def model(self) -> str:
        """The service's model, `name@hash`.

        Raises:
            ServiceError: the service cannot be reached, or does not let one in.
        """
        return str(self.description()["model"])

    def description(self) -> dict[str, Any]:
        """What the service says of its model: name, hash, input, data, figures.

        Raises:
            ServiceError: as `model`.
        """
        said = self._asked("GET", "/v1/model")
        if said.status_code != 200:
            raise _error(said, None)
        described: dict[str, Any] = _json(said, dict)
        return described

    def assess(
        self,
        film: str | Path,
        sex: Sex | str = Sex.UNKNOWN,
        age_months: float | None = None,
        *,
        coverage: float = SHARE,
        page: int | None = None,
    ) -> Assessment:
        """Assess one film, as `Assessor.assess` does; months come back with one decimal.

        Raises:
            UnreadableFile, RefusedRadiograph, WrongUse: as there.
            ServiceError: the service cannot be reached, does not let one in, or has failed.
        """
        subject = Subject(sex if isinstance(sex, Sex) else Sex.parse(sex), age_months)
        answer = self._sent(str(film), subject, coverage, page, "application/json")
        try:
            outcome = outcome_of(_json(answer, list)[0], str(film))
        except (KeyError, TypeError, ValueError):
            raise _no_answer() from None
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def report(
        self,
        film: str | Path,
        sex: Sex | str = Sex.UNKNOWN,
        age_months: float | None = None,
        *,
        form: Literal["html", "pdf", "fhir"] = "pdf",
        coverage: float = SHARE,
        page: int | None = None,
    ) -> bytes:
        """The report of one film as a page or PDF, or its FHIR transaction; errors as `assess`."""
        subject = Subject(sex if isinstance(sex, Sex) else Sex.parse(sex), age_months)
        return self._sent(str(film), subject, coverage, page, _MEDIA_TYPES[form]).content

    def assess_many(
        self,
        films: Iterable[str],
        subject_for: Callable[[str], Subject],
        *,
        coverage: float = SHARE,
        page: int | None = None,
        at_once: int = 4,
    ) -> Iterator[Assessment | Failure]:
        """Assess a stream of films: one outcome a film, in the films' order.

        A film that cannot be read, sent or assessed becomes a `Failure`, also where the service fails on it
        and answers other questions all the same; the rest go on.

        Args:
            films: paths, taken from the stream as they are needed.
            subject_for: sex and age of a film by its path; may raise a BonexageError, which is that film's.
            coverage: share of children the intervals are to hold, above 0 and below 1.
            page: the page of files with several pages, counted from 1.
            at_once: films that are under way at the same time.

        Raises:
            ServiceError: the service cannot be reached, does not let one in, or has too much to do.
        """
        model = self.model
        stream = iter(films)
        waiting: deque[Future[Assessment | Failure]] = deque()
        threads = ThreadPoolExecutor(at_once, thread_name_prefix="bonexage-ask")
        try:
            while True:
                for film in islice(stream, 2 * at_once - len(waiting)):
                    waiting.append(threads.submit(self._outcome, film, subject_for, (coverage, page), model))
                if not waiting:
                    return
                yield result_of(waiting.popleft())
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _outcome(
        self,
        film: str,
        subject_for: Callable[[str], Subject],
        how: tuple[float, int | None],
        model: str,
    ) -> Assessment | Failure:
        subject = Subject()
        try:
            subject = subject_for(film)
            return self.assess(film, subject.sex, subject.age_months, coverage=how[0], page=how[1])
        except _Overburdened:
            raise
        except ServiceError as error:
            self.description()  # raises where the service is at fault, and not this film
            return Failure(film, subject, error.about(film), model)
        except BonexageError as error:
            return Failure(film, subject, error, model)
        except Exception as error:  # one film must not end the rest, whatever it is called or holds
            unforeseen = UnreadableFile(
                f"sending it failed in an unforeseen way ({type(error).__name__})",
                remedy="Save the film anew under another name, and please report what kind of file it is",
                subject=film,
            )
            unforeseen.__cause__ = error
            return Failure(film, subject, unforeseen, model)

    def _sent(
        self, film: str, subject: Subject, coverage: float, page: int | None, accept: str
    ) -> httpx.Response:
        """The answer to one film."""
        from bonexage.reading.files import film_bytes

        fields = {"sex": subject.sex.value, "coverage": f"{100 * coverage:.6g}"}
        if subject.age_months is not None:
            fields["age_months"] = f"{subject.age_months:.6f}".rstrip("0").rstrip(".")
        if page is not None:
            fields["page"] = str(page)
        said = self._asked(
            "POST",
            PATH,
            files={"file": (_name_to_send(film), film_bytes(film), "application/octet-stream")},
            data=fields,
            headers={"Accept": accept, "Idempotency-Key": str(uuid.uuid4())},
        )
        if said.status_code != 200:
            raise _error(said, film)
        return said

    def _asked(self, method: str, path: str, **what: Any) -> httpx.Response:
        """An answer; asked again where the line broke, and where the service has too much to do."""
        import httpx

        what["headers"] = {**what.get("headers", {}), **self._headers}
        end, broken = time.monotonic() + self._patience, 0
        while True:
            try:
                said = self._http.request(method, path, **what)
            except httpx.HTTPError as error:
                broken += 1
                if broken == _TRIES:
                    raise self._unreached(error) from None
                time.sleep(_PAUSE)
                continue
            pause = _pause_of(said) if said.status_code in _TURNED_AWAY else 0.0
            if not pause or time.monotonic() + pause > end:
                return said
            time.sleep(pause)

    def _unreached(self, error: Exception) -> ServiceError:
        return ServiceError(
            f"the service does not answer ({type(error).__name__})",
            remedy="Check its address, and that it runs",
            subject=self._address,
        )


def _bearer(token: str) -> bytes:
    """The header that shows a token, in UTF-8: HTTP libraries refuse what is not ASCII by itself."""
    return f"Bearer {token.strip()}".encode("utf-8", "surrogateescape")


def outcome_of(row: Row, file: str) -> Assessment | Failure:
    """The outcome that a row tells of, with the row's decimals.

    Args:
        row: as `bonexage.reports.table.record` gives it.
        file: what the film is called here.
    """
    subject = Subject(Sex(row["sex"]), row["age_months"])
    if row["status"] != "assessed":
        kind = RefusedRadiograph if row["status"] == "refused" else UnreadableFile
        problem, _, remedy = str(row["message"]).removesuffix(".").partition(". ")
        return Failure(file, subject, kind(problem, remedy=remedy, subject=file), row["model"])
    sentences = row.get("caution_sentences", ())
    codes = str(row["cautions"]).split(";") if row["cautions"] else []
    readings = row.get("readings") or [row]
    return Assessment(
        file=file,
        subject=subject,
        bone_age_months=row["bone_age_months"],
        interval=_interval(row, row["coverage"]),
        model=row["model"],
        cautions=tuple(Caution(code, said) for code, said in zip(codes, sentences, strict=True)),
        sds=_score(row, subject),
        readings=tuple(
            Reading(each["sex"], each["bone_age_months"], _interval(each, row["coverage"]))
            for each in readings
        ),
    )


def _interval(row: Row, coverage: float | None) -> Interval | None:
    if coverage is None or row["interval_low_months"] is None:
        return None
    return Interval(row["interval_low_months"], row["interval_high_months"], coverage)


def _score(row: Row, subject: Subject) -> Any:
    """The row's score; the norm it comes from is known here."""
    from bonexage.clinic.growth import score

    told = score(row["bone_age_months"], subject)
    if row["sds"] is None or told is None:
        return None
    return replace(told, value=row["sds"], low=row.get("sds_low"), high=row.get("sds_high"))


def _error(said: httpx.Response, film: str | None) -> BonexageError:
    """What an answer that is a problem means here."""
    problem = _json(said, dict) if said.headers.get("content-type", "").endswith("json") else {}
    remedy = str(problem.get("remedy", "Look into the service's log"))
    what = str(problem.get("detail", f"the service answers {said.status_code}"))
    otherwise = _Overburdened if said.status_code in _OVERBURDENED else ServiceError
    kind = _ERRORS.get(str(problem.get("code")), otherwise)
    return kind(what.removesuffix(f". {remedy}."), remedy=remedy, subject=film)


def _json(said: httpx.Response, kind: type[Any]) -> Any:
    try:
        found = said.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind) or not found:
        raise _no_answer()
    return found


def _no_answer() -> ServiceError:
    return ServiceError("the answer is none of this service's", remedy="Check the service's address")


def _name_to_send(film: str) -> str:
    """A film's name as any form can carry it: printable, at most 255 bytes of UTF-8, with the suffix."""
    name = PurePath(film).name.encode(errors="backslashreplace").decode()
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
    return shown.encode()[-_LONGEST_NAME:].decode(errors="ignore")


def _no_address(address: str) -> WrongUse:
    return WrongUse(
        "this is no address of a service",
        remedy="Give one such as http://127.0.0.1:8000",
        subject=address,
    )


def _pause_of(said: httpx.Response) -> float:
    """Seconds to wait, as Retry-After says; it may also be a date (RFC 9110), or what a proxy made up."""
    try:
        seconds = float(said.headers.get("Retry-After", ""))
    except ValueError:
        return _PAUSE
    return seconds if 0 <= seconds < math.inf else _PAUSE
