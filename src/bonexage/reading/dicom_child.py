"""The process in which DICOM bytes from outside are decoded: it has limits, no say, and may be killed.

It takes requests on the standard input and answers on the standard output until the input ends. Each message
is a head of JSON and a body of bytes, their lengths before them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.reading.confined import limit_memory
from bonexage.reading.messages import read_message, write_message

MAX_TEXT = 1000
_SMALLER = "Give a smaller copy of it"
_AGAIN = "Export the film again, or convert it to PNG"


def main() -> None:
    """Answer requests until there are none."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # decoders written in C print what they like
    limit_memory(int(sys.argv[1]))
    while (request := read_message(requests)) is not None:
        head, body = request
        _limit_time(int(head["seconds"]))
        write_message(answers, *_handled(head, body))


def _handled(head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    """The answer to one request; whatever goes wrong is an answer too."""
    try:
        return _answers(head, body)
    except (UnreadableFile, RefusedRadiograph) as error:
        return _failure(type(error).__name__, error.problem, error.remedy), b""
    except MemoryError:
        return _shaken("it takes more memory than one film may", _SMALLER), b""
    except BaseException as error:  # a decoder's panic is no Exception
        return _shaken(f"reading it failed in an unforeseen way ({type(error).__name__})", _AGAIN), b""


def _answers(head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    match head["want"]:
        case "disc":
            return _disc(body), b""
        case "identity":
            return _identity(body), b""
        case "study":
            from bonexage.reading.dicomweb_child import study

            return {"films": study(head)}, b""
        case "fetch":
            from bonexage.reading.dicomweb_child import fetch

            return {}, fetch(head)
        case _:
            return _film(body, head["page"], head["pixels"])


def _film(body: bytes, page: int | None, pixels: int) -> tuple[dict[str, Any], memoryview]:
    import numpy as np

    from bonexage.reading.dicom_film import decode_film

    film = decode_film(body, page=page, most_pixels=pixels)
    stated = film.stated
    return {
        "size": film.grey.shape,
        "bits": film.bits,
        "lossy": film.lossy,
        "spacing_mm": film.spacing_mm,
        "cautions": [[caution.code, caution.sentence] for caution in film.cautions],
        "stated": {
            "sex": stated.subject.sex.value,
            "age_months": stated.subject.age_months,
            "age_slack_months": stated.age_slack_months,
            "laterality": stated.laterality,
            "view": stated.view,
            "body_part": stated.body_part,
        },
    }, np.ascontiguousarray(film.grey, dtype="<f4").data.cast("B")


def _disc(body: bytes) -> dict[str, Any]:
    from bonexage.reading.dicom_film import files_of_disc

    return {"files": files_of_disc(body)}


def _identity(body: bytes) -> dict[str, Any]:
    from bonexage.reading.dicom_film import read_dataset
    from bonexage.reading.dicom_header import text
    from bonexage.reading.identity import KEYWORDS

    dataset = read_dataset(body)
    return {keyword: text(dataset, keyword)[:MAX_TEXT] for keyword in KEYWORDS}


def _failure(kind: str, problem: str, remedy: str) -> dict[str, Any]:
    return {"error": kind, "problem": problem, "remedy": remedy}


def _shaken(problem: str, remedy: str) -> dict[str, Any]:
    """A failure after which this process is not to be trusted with another film."""
    return {**_failure("UnreadableFile", problem, remedy), "shaken": True}


def _limit_time(seconds: int) -> None:
    """So many seconds of computing from now on; then the system ends this process."""
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


if __name__ == "__main__":
    main()
