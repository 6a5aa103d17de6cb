"""The process in which films are assessed for the service: it has limits, no say, and may be killed.

It loads the model, says so, and then answers requests on the standard input until that ends. Each message is
a head of JSON and a body of bytes, as in `bonexage.reading.messages`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bonexage.assessment import Failure
from bonexage.atlas.plates import read_plates
from bonexage.errors import BonexageError, UnreadableFile
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.reading.confined import Limits, limit_memory
from bonexage.reading.messages import read_message, write_message
from bonexage.reports.table import record
from bonexage.serving.forms import HEADER, header, made
from bonexage.serving.looking import Asked, in_parts, look_at
from bonexage.serving.problems import code_of, for_client
from bonexage.subject import Sex, Subject


def main() -> None:
    """Answer requests until there are none: MODEL THREADS MEMORY_BYTES DECODING_SECONDS SECONDS PIXELS."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # decoders written in C print what they like
    model, threads, memory_bytes, decoding, seconds, pixels = sys.argv[1:]
    limit_memory(int(memory_bytes))
    limits = Limits(seconds=int(decoding), waiting_seconds=float(seconds), pixels=int(pixels))
    try:
        assessor = Assessor(load_bundle(Path(model) if model else None), threads=int(threads))
    except BonexageError as error:
        write_message(answers, {"error": _told(error)})
        return
    write_message(answers, {"model": assessor.model, "seconds": _warmed(assessor, limits)})
    while (request := read_message(requests)) is not None:
        head, body = request
        write_message(answers, *_handled(head, body, assessor, limits))


def _warmed(assessor: Assessor, limits: Limits) -> float:
    """Look at a plate of the atlas, so that the first film does not wait for libraries.

    Returns:
        The seconds of a second look, by which the queue is judged before there was any film.
    """
    plate = read_plates()[0].path
    for _ in range(2):
        began = time.monotonic()
        look_at(plate.read_bytes(), Asked(plate.name), assessor, limits)
    return time.monotonic() - began


def _handled(
    head: Mapping[str, Any], body: bytes, assessor: Assessor, limits: Limits
) -> tuple[dict[str, Any], bytes]:
    """The answer to one request; whatever goes wrong is an answer too."""
    try:
        asked = Asked(
            name=head["name"],
            subject=Subject(Sex(head["sex"]), head["age_months"]),
            coverage=head["coverage"],
            page=head["page"],
            forms=tuple(head["forms"]),
        )
        if asked.forms == (HEADER,):
            parts, content = in_parts([(HEADER, header(body, asked, limits))])
            return {"row": {}, "parts": parts}, content
        look = look_at(body, asked, assessor, limits)
        said = {"row": record(look.outcome)}
        if isinstance(look.outcome, Failure):
            said["failed"] = _told(look.outcome.error)
        parts, content = in_parts(made(look))
        return {**said, "parts": parts}, content
    except BonexageError as error:
        return {"error": _told(for_client(error))}, b""
    except MemoryError:
        more = UnreadableFile("it takes more memory than one film may", remedy="Give a smaller copy of it")
        return {"error": _told(more), "shaken": True}, b""
    except Exception as error:  # of making a form; what it says may name someone
        return {"error": _told(_unforeseen(error)), "shaken": True}, b""


def _unforeseen(error: Exception) -> BonexageError:
    return BonexageError(
        f"making the answer failed in an unforeseen way ({type(error).__name__})",
        remedy="Ask for JSON, and please report it",
    )


def _told(error: BonexageError) -> dict[str, Any]:
    return {
        "code": code_of(error),
        "problem": error.problem,
        "remedy": error.remedy,
        "exit_code": error.exit_code,
    }


if __name__ == "__main__":
    main()
