"""The commands that read films with a model: predict, demo, info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bonexage.cli.asking import TOKEN_VARIABLE, client_of
from bonexage.cli.front import Coverage, Model, Threads, Views, age_option, app, as_share, conclude
from bonexage.cli.outcomes import Form, Reports, Tally, say, to_stdout, to_table, told, use_up
from bonexage.cli.spreading import Asked, check_spread, predict_on_cluster, predict_shard
from bonexage.errors import WrongUse


@app.command(
    epilog="Examples:\n\n"
    "bonexage predict hand.png --sex F --age-months 126\n\n"
    "bonexage predict films/ --subjects subjects.csv --out readings.csv\n\n"
    "bonexage predict 'films/**/*.png' --sex M --report reports/ --pdf\n\n"
    "find films -name '*.png' | bonexage predict - --format jsonl\n\n"
    "bonexage predict films/ --shard 3/16 --out readings.parquet\n\n"
    "bonexage predict s3://bucket/films/ --ray 10.0.0.1:6379 --out s3://bucket/readings.parquet"
)
def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Films, folders, zips, a DICOMDIR, patterns, a list file (@names or .txt), or - for stdin.",
        ),
    ] = None,
    *,
    from_dicomweb: Annotated[
        str | None, typer.Option(metavar="URL", help="Archive that speaks DICOMweb, for --study.")
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Study to read; may be given several times."),
    ] = None,
    subjects: Annotated[
        Path | None, typer.Option(help="CSV with `file` or `id`, `sex` or `male`, perhaps `age_months`.")
    ] = None,
    sex: Annotated[
        str,
        typer.Option(metavar="F|M|U", help="Sex of all films; U: as a DICOM header says, else read as both."),
    ] = "U",
    age_months: Annotated[
        float | None,
        typer.Option(
            parser=age_option, metavar="MONTHS", help="Age of all films; else as a DICOM header says."
        ),
    ] = None,
    sex_for_the_rest: Annotated[
        bool,
        typer.Option(
            "--sex-for-the-rest", help="Beside --subjects: --sex and --age-months are of films without a row."
        ),
    ] = False,
    strict_subjects: Annotated[
        bool,
        typer.Option(
            "--strict-subjects", help="Exit 3 where a row of --subjects is of no film, or of several."
        ),
    ] = False,
    model: Model = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Service that assesses the films, with ${TOKEN_VARIABLE}."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Table to write: .csv, .json, .jsonl or .parquet.")] = None,
    form: Annotated[
        Form, typer.Option("--format", help="Form of the standard output, without --out.")
    ] = Form.TEXT,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a report of each film and a page of all.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Each film's --report as PDF too.")] = False,
    coverage: Coverage = 90,
    threads: Threads = None,
    views: Views = None,
    page: Annotated[int | None, typer.Option(min=1, help="Page of files with several pages.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted --out.")] = False,
    dicom_out: Annotated[
        Path | None, typer.Option(help="Folder for a DICOM SR, picture and PDF of each DICOM film.")
    ] = None,
    fhir_out: Annotated[
        Path | None, typer.Option(help="File for a FHIR transaction (JSON) of all DICOM films.")
    ] = None,
    deidentify: Annotated[
        bool,
        typer.Option("--deidentify", help="Leave who the films show, and their names, out of all results."),
    ] = False,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="What the network runs on.")] = "cpu",
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Read the I-th of N shares of the films; --out is then a folder."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS|local", help="Read on a Ray cluster; --out is then a folder."),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(min=1, help="Models at work with --ray.", show_default="as many as there is room for"),
    ] = None,
    part: Annotated[int, typer.Option(min=1, help="Films a part of the table with --ray.")] = 4096,
) -> None:
    """Estimate the bone age of films."""
    from bonexage.cli.archiving import Archive, check_archive, presented
    from bonexage.cli.subjects import subjects_of
    from bonexage.model.assessor import Assessor, examine_many, name_of
    from bonexage.model.bundle import load_bundle
    from bonexage.reading.decoder import start_early
    from bonexage.reading.files import list_films
    from bonexage.subject import Sex, Subject

    check_spread(
        {"--shard": shard, "--ray": ray},
        out,
        {"--report": report, "--dicom-out": dicom_out, "--fhir-out": fhir_out, "--deidentify": deidentify},
    )
    if resume and (out is None or report is not None):
        raise WrongUse(
            "--resume goes on with a table", remedy="Give --out, and make a --report without --resume"
        )
    if pdf and report is None:
        raise WrongUse("--pdf is of reports", remedy="Give --report with a folder for them")
    if resume and deidentify:
        raise WrongUse(
            "--resume knows films by their names, which --deidentify leaves out",
            remedy="Leave one of them out",
        )
    asked = [*(paths or []), *_study_addresses(from_dicomweb, study or [])]
    archive = Archive(dicom_out, fhir_out, deidentify, page)
    check_archive(archive)
    share = as_share(coverage)
    children = subjects_of(
        subjects,
        Subject(Sex.parse(sex), age_months),
        for_the_rest=sex_for_the_rest,
        strict=strict_subjects,
        deidentify=deidentify,
    )
    only_here = {
        "--model": model,
        "--threads": threads,
        "--views": views is not None,
        "--device": device != "cpu",
        "--shard": shard,
        "--ray": ray,
        "--report": report,
        "--dicom-out": dicom_out,
        "--fhir-out": fhir_out,
        "--deidentify": deidentify,
    }
    client = client_of(server, only_here) if server else None
    if client is None:
        start_early()  # films are decoded as soon as the model is ready
    bundle = None if client else load_bundle(model)
    answering = name_of(bundle, views) if bundle else str(client and client.model)
    settings = {
        "model": answering,
        "coverage": share,
        "subjects": children.sha256,
        "sex": children.rest.sex.value,
        "age_months": children.rest.age_months,
        "page": page,
    }
    if bundle and (shard is not None or ray is not None):
        wanted = Asked(
            paths=asked,
            children=children,
            out=str(out),
            settings=settings,
            coverage=share,
            page=page,
            threads=threads,
            views=views,
            device=device,
        )
        if shard is not None:
            predict_shard(shard, wanted, bundle)
        else:
            predict_on_cluster(str(ray), wanted, bundle, actors, part)
        return
    source = Assessor(bundle, threads=threads, views=views, device=device) if bundle else client
    tally = Tally()
    films = children.passing(list_films(asked))
    with to_table(Path(out), settings, tally, resume) if out else to_stdout(form, tally) as sink:
        remaining = sink.remaining(films)
        if isinstance(source, Assessor):
            reports = Reports(report, pdf) if report else None
            keep = bool(reports or archive.dicom or archive.fhir)
            examined = examine_many(
                source, remaining, children.of, coverage=share, page=page, keep_sources=keep
            )
            items = presented(examined, archive, source, tally, reports=reports is not None)
            use_up(items, sink, tally, reports, source)
        elif source:
            for _ in told(
                source.assess_many(remaining, children.of, coverage=share, page=page), sink.add, tally
            ):
                pass
    if not tally.done:
        raise WrongUse(
            "there is no film", remedy="Name films, or a folder with some", subject=" ".join(asked)
        )
    conclude(tally, answering, fits=children.do_fit())


@app.command(epilog="Examples:\n\nbonexage demo\n\nbonexage demo films/")
def demo(
    films: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Films to read in place of the plates.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the page and the picture.")] = Path("demo"),
    model: Model = None,
) -> None:
    """Show what it does: read the plates of the carried atlas, or films of one's own."""
    from bonexage.cli.demo import show_plates

    if films:
        predict(films, model=model, report=out)
        return
    show_plates(model, out)


@app.command(epilog="Examples:\n\nbonexage info\n\nbonexage info model.zip --json")
def info(
    model: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle; the carried one if none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the bundle's whole description.")] = False,
) -> None:
    """Tell what a model is: name, hash, input, data, figures."""
    from bonexage.model.bundle import describe, load_bundle
    from bonexage.reports.text import model_facts

    bundle = load_bundle(model)
    say(describe(bundle) if as_json else model_facts(bundle))


def _study_addresses(archive: str | None, studies: list[str]) -> list[str]:
    """The studies of an archive as addresses, which `list_films` understands."""
    if (archive is None) != (not studies):
        raise WrongUse(
            "--from-dicomweb and --study belong together",
            remedy="Give both, as in --from-dicomweb https://archive/dicom-web --study 1.2.3",
        )
    return [f"{str(archive).rstrip('/')}/studies/{study}" for study in studies]
