"""The process in which films from outside are decoded: it has limits, no say, and may be killed.

It takes requests on the standard input and answers on the standard output until the input ends. Each message
is a head of JSON and a body of bytes, their lengths before them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.reading.confined import end_with_reader, limit_memory, limit_time
from bonexage.reading.messages import read_message, write_message

if TYPE_CHECKING:
    from bonexage.assessment import Caution
    from bonexage.radiograph import Stated

MAX_TEXT = 1000
_SMALLER = "Give a smaller copy of it"
_AGAIN = "Export the film again, or convert it to PNG"


def main() -> None:
    """Answer requests until there are none."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # decoders written in C print what they like
    limit_memory(int(sys.argv[1]))
    end_with_reader(requests.fileno())
    import_module("bonexage.reading.image_film")  # what every picture needs, before there is one
    while (request := read_message(requests)) is not None:
        head, body = request
        limit_time(int(head["seconds"]))
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
        case "disc" | "identity" | "stated" as facts:
            return {"disc": _disc, "identity": _identity, "stated": _header}[facts](body), b""
        case "picture":
            return _picture(body, head["page"], head["pixels"])
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
    return {
        "size": film.grey.shape,
        "bits": film.bits,
        "lossy": film.lossy,
        "spacing_mm": film.spacing_mm,
        "aspect": film.aspect,
        **_as_message(film.stated, film.cautions),
    }, np.ascontiguousarray(film.grey, dtype="<f4").data.cast("B")


def _header(body: bytes) -> dict[str, Any]:
    from bonexage.reading.dicom_film import read_dataset
    from bonexage.reading.dicom_header import stated_by

    return _as_message(*stated_by(read_dataset(body)))


def _as_message(stated: Stated, cautions: Iterable[Caution]) -> dict[str, Any]:
    return {
        "cautions": [[caution.code, caution.sentence] for caution in cautions],
        "stated": {
            "sex": stated.subject.sex.value,
            "age_months": stated.subject.age_months,
            "age_slack_months": stated.age_slack_months,
            "laterality": stated.laterality,
            "view": stated.view,
            "body_part": stated.body_part,
        },
    }


def _picture(body: bytes, page: int | None, pixels: int) -> tuple[dict[str, Any], bytes]:
    from bonexage.reading.image_film import decode_picture

    film = decode_picture(body, page=page, most_pixels=pixels)
    return {
        "size": film.size,
        "type": film.type,
        "stored_size": film.stored_size,
        "kind": film.kind,
        "bits": film.bits,
        "aspect": film.aspect,
        "cautions": [[caution.code, caution.sentence] for caution in film.cautions],
    }, film.levels


def _disc(body: bytes) -> dict[str, Any]:
    from bonexage.reading.dicom_film import files_of_disc

    return {"files": files_of_disc(body)}


def _identity(body: bytes) -> dict[str, Any]:
    from bonexage.reading.dicom_film import read_dataset
    from bonexage.reading.dicom_values import text
    from bonexage.reading.identity import KEYWORDS

    dataset = read_dataset(body)
    return {keyword: text(dataset, keyword)[:MAX_TEXT] for keyword in KEYWORDS}


def _failure(kind: str, problem: str, remedy: str) -> dict[str, Any]:
    return {"error": kind, "problem": problem, "remedy": remedy}


def _shaken(problem: str, remedy: str) -> dict[str, Any]:
    """A failure after which this process is not to be trusted with another film."""
    return {**_failure("UnreadableFile", problem, remedy), "shaken": True}


if __name__ == "__main__":
    main()
