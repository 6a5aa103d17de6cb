"""The command that runs the service: serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from bonexage.cli.asking import TOKEN_VARIABLE
from bonexage.cli.front import Model, app
from bonexage.cli.outcomes import note
from bonexage.errors import MissingExtra, WrongUse

_LEAST_TOKEN: Final = 16


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
        typer.Option(min=1, help="Films assessed at the same time.", show_default="one a core"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the network a worker.")] = 1,
    max_megabytes: Annotated[float, typer.Option(help="Size of a request.")] = 32,
    max_megapixels: Annotated[float, typer.Option(help="Size of a film.")] = 40,
    max_files: Annotated[int, typer.Option(min=1, help="Films of a request.")] = 16,
    max_seconds: Annotated[float, typer.Option(help="Time for a film, by the clock.")] = 60,
    max_decoding_seconds: Annotated[
        int, typer.Option(min=1, help="Computing time to decode a DICOM film.")
    ] = 5,
    stall_seconds: Annotated[float, typer.Option(help="Time in which an upload may send nothing.")] = 10,
    queue: Annotated[int, typer.Option(min=1, help="Films that may wait.")] = 64,
    drain_seconds: Annotated[
        int, typer.Option(min=1, help="Time to answer what is under way when it is to end.")
    ] = 30,
) -> None:
    """Serve assessments over HTTP, by default to this machine alone."""
    from importlib.util import find_spec

    if not all(find_spec(module) for module in ("fastapi", "uvicorn", "python_multipart")):
        raise MissingExtra("The service", "serve")
    from bonexage.serving.run import serve as run
    from bonexage.serving.settings import MEGABYTE, Limits, Settings, check_reach

    limits = Limits(
        bytes=round(max_megabytes * MEGABYTE),
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
        WrongUse: it is too short to keep anyone out.
    """
    found = os.environ.get(TOKEN_VARIABLE, "").strip() if file is None else file.read_text().strip()
    if not found and file is None:
        return None
    if len(found) < _LEAST_TOKEN:
        raise WrongUse(
            f"the token has fewer than {_LEAST_TOKEN} characters",
            remedy="Make one, for example with: openssl rand -hex 32",
            subject=None if file is None else str(file),
        )
    return found
