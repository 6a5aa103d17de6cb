"""The command that runs the service: serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from bonexage.cli.asking import TOKEN_VARIABLE
from bonexage.cli.front import A_DAY, Model, a_number, app
from bonexage.cli.outcomes import note
from bonexage.errors import MissingExtra, WrongUse

_LEAST_TOKEN: Final = 16
_MOST_TOKEN: Final = 4096
_MAKE_TOKEN: Final = "Make one, for example with: openssl rand -hex 32"


@app.command(
    epilog="Examples:\n\nbonexage serve\n\n"
    "bonexage serve --host 0.0.0.0 --token-file token.txt --name bones.example.org"
)
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token that clients show; else ${TOKEN_VARIABLE}, else none."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everyone in who reaches an address beyond this machine.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name under which it may be asked; may be given several times."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for films and answers; without it nothing is stored.")
    ] = None,
    model: Model = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Films assessed at the same time.", show_default="one a core"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="CPU threads of the network a worker.")] = 1,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, max=1000, callback=a_number, help="Size of a request.")
    ] = 32,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=1000, callback=a_number, help="Size of a film.")
    ] = 40,
    max_files: Annotated[int, typer.Option(min=1, max=10_000, help="Films of a request.")] = 16,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, max=A_DAY, callback=a_number, help="Time for a film, by the clock.")
    ] = 60,
    max_decoding_seconds: Annotated[
        int, typer.Option(min=1, max=A_DAY, help="Computing time to decode a film.")
    ] = 5,
    stall_seconds: Annotated[
        float,
        typer.Option(min=0.1, max=A_DAY, callback=a_number, help="Time in which an upload may send nothing."),
    ] = 10,
    queue: Annotated[int, typer.Option(min=1, max=100_000, help="Films that may wait.")] = 64,
    drain_seconds: Annotated[
        int, typer.Option(min=1, max=A_DAY, help="Time to answer what is under way when it is to end.")
    ] = 30,
) -> None:
    """Serve assessments over HTTP, by default to this machine alone."""
    from importlib.util import find_spec

    if not all(find_spec(module) for module in ("fastapi", "uvicorn", "python_multipart")):
        raise MissingExtra("The service", "serve")
    from bonexage.serving.run import serve as run
    from bonexage.serving.settings import MEGABYTE, Limits, Settings, check_reach

    most_bytes = round(max_megabytes * MEGABYTE)
    limits = Limits(
        bytes=most_bytes,
        held_bytes=max(Limits.held_bytes, 2 * most_bytes),
        pixels=round(max_megapixels * 1e6),
        files=max_files,
        seconds=max_seconds,
        decoding_seconds=max_decoding_seconds,
        stall_seconds=stall_seconds,
        queue=queue,
    )
    given = Settings(
        host=host,
        port=port,
        model=model,
        token=token(token_file),
        names=tuple(name or ()),
        keep=keep,
        threads=threads,
        limits=limits,
        **({} if workers is None else {"workers": workers}),
    )
    check_reach(given, insecure=insecure)
    run(given, drain_seconds=drain_seconds, say=note)


def token(file: Path | None) -> str | None:
    """The token in a file, else in the environment; None where there is none.

    Raises:
        WrongUse: the file cannot be read, or what is in it is no token, or one too short to keep anyone out.
    """
    place = f"${TOKEN_VARIABLE}" if file is None else str(file)
    text = os.environ.get(TOKEN_VARIABLE, "") if file is None else _text_of(file)
    written = text.strip()
    if not written and file is None:
        return None
    if len(written) < _LEAST_TOKEN:
        raise WrongUse(
            f"the token has fewer than {_LEAST_TOKEN} characters", remedy=_MAKE_TOKEN, subject=place
        )
    if len(written) > _MOST_TOKEN or not written.isprintable():
        raise WrongUse(
            f"a token is one line of text, of at most {_MOST_TOKEN} characters",
            remedy=_MAKE_TOKEN,
            subject=place,
        )
    return written


def _text_of(file: Path) -> str:
    """What a file holds, as far as a token may reach."""
    try:
        with file.open("rb") as stream:
            return stream.read(4 * _MOST_TOKEN).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUse("the token is not UTF-8 text", remedy=_MAKE_TOKEN, subject=str(file)) from None
    except OSError as error:
        raise WrongUse(
            f"the token cannot be read ({error.strerror or error})",
            remedy="Name a file with the token, which the service may read",
            subject=str(file),
        ) from None
