"""How fast films are read: against the published command's steps, PyTorch, `torch.compile` and int8.

Usage: python benchmarks/prediction.py [--films N] [--published N] [--times N] [--colds N] [--no-compile]

Writes `benchmarks/results/prediction.json`. Speeds do not hang on weights, so ConvNeXt-Tiny's are random.
Films are those of rsna-640px's test part where BONEXAGE_DATA names a folder, else the plates; none is judged.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch

from bonexage.learning.graph import to_onnx
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.start import empty_network
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.model.locate import Locator
from bonexage.model.preprocess import Preprocessing
from bonexage.model.runtime import Runtime, usable_cores
from bonexage.subject import Sex, Subject
from eight_bits import dynamic, static
from published_steps import SIDE, loaded, months, network
from yardstick import (
    Limits,
    Row,
    covered,
    films_to_read,
    in_turns,
    keep,
    machine,
    measured_limits,
    median_of,
    multiply_adds,
    seconds_of,
)

HERE: Final = Path(__file__).parent
BOY: Final = Subject(Sex.MALE)
EAGER: Final = "PyTorch eager"
LAST: Final = "PyTorch, channels-last"
COMPILED: Final = "torch.compile"
OURS: Final = "ONNX Runtime, as shipped"
PUBLISHED: Final = "the published command's steps"
GOAL_OF_A_THOUSAND: Final = 15.0
GOAL_OF_INT8: Final = 1.8
GOAL_OF_INFERENCE: Final = 0.9
COLD_SECONDS: Final = 1.5
STREAMS: Final = 2
UNIT: Final = "films a second"

Work = Callable[[], object]


@dataclass(frozen=True)
class Effort:
    """How much is run."""

    films: int
    published: int
    times: int
    colds: int
    compiled: bool


def torch_ways(model: BoneAgeNetwork, shape: Sequence[int], compiled: bool) -> dict[str, Work]:
    """One film through a network by PyTorch, each way with its own copy of the memory's layout."""
    film, male = torch.rand(*shape), torch.ones(shape[0], 1)
    last = film.to(memory_format=torch.channels_last)
    lasting = copied(model).to(memory_format=torch.channels_last)
    faster = torch.compile(copied(model)) if compiled else None

    def by(way: Callable[..., torch.Tensor], given: torch.Tensor) -> Work:
        def run() -> object:
            with torch.inference_mode():
                return way(given, male)

        return run

    ways = {EAGER: by(model, film), LAST: by(lasting, last)}
    return ways | ({} if faster is None else {COMPILED: by(faster, film)})


def copied(model: BoneAgeNetwork) -> BoneAgeNetwork:
    """Another network of the same weights."""
    return copy.deepcopy(model).eval()


def session(graph: bytes, threads: int, **settings: Any) -> Any:
    """A session as this package opens it, but for some settings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", settings.pop("spinning", "0"))
    for name, value in settings.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def networks(
    name: str,
    model: BoneAgeNetwork,
    graph: bytes,
    shape: tuple[int, int, int, int],
    effort: Effort,
    limits: Limits,
    *,
    goal_of_int8: float | None = None,
) -> Iterator[Row]:
    """One film, warm, through the same network by every way."""
    threads = usable_cores()
    film, male = np.random.default_rng(0).random(shape, dtype=np.float32), np.ones((shape[0], 1), np.float32)
    feeds = {"radiograph": film, "male": male}
    runtime = Runtime(graph)
    ways = torch_ways(model, shape, effort.compiled) | {OURS: lambda: runtime.run(film, male)}
    for kind, quantised in (("dynamic int8", dynamic(graph)), ("static int8", static(graph, [feeds]))):
        small = session(quantised, threads)
        ways[f"ONNX Runtime, {kind}"] = partial(small.run, ["months"], feeds)
    taken = in_turns(ways, effort.times)
    theirs = min((way for way in taken if way in (EAGER, LAST, COMPILED)), key=taken.__getitem__)
    needed = multiply_adds(model, torch.zeros(*shape), torch.ones(shape[0], 1))
    for way, seconds in taken.items():
        against = theirs if way == OURS else EAGER
        yield Row(
            f"{name}, one film warm: {way}",
            1 / seconds,
            "films a second",
            "" if way == EAGER else against,
            None if way == EAGER else taken[against] / seconds,
            1.0 if way == OURS else goal_of_int8 if "static" in way else None,
            needed / limits.multiply_adds / seconds if "int8" not in way else None,
            f"{needed / 1e9:.2f} billion multiply-adds",
        )


def choices(graph: bytes, shape: tuple[int, int, int, int], times: int) -> Iterator[Row]:
    """What else ONNX Runtime could be told, against what it is told."""
    threads = usable_cores()
    rng = np.random.default_rng(0)
    level = onnxruntime.GraphOptimizationLevel

    def fed(batch: int, opened: Any) -> Work:
        feeds = {
            "radiograph": rng.random((batch, *shape[1:]), np.float32),
            "male": np.ones((batch, 1), np.float32),
        }
        return lambda: [opened.run(None, feeds) for _ in range(4 // batch)]

    ways = {
        "as shipped, films by fours": fed(4, session(graph, threads)),
        "films one by one": fed(1, session(graph, threads)),
        "one thread": fed(4, session(graph, 1)),
        "threads that spin while they wait": fed(4, session(graph, threads, spinning="1")),
        "no arena": fed(4, session(graph, threads, enable_cpu_mem_arena=False)),
        "no memory pattern": fed(4, session(graph, threads, enable_mem_pattern=False)),
        "optimisations of the graph, basic": fed(
            4, session(graph, threads, graph_optimization_level=level.ORT_ENABLE_BASIC)
        ),
        "optimisations of the graph, none": fed(
            4, session(graph, threads, graph_optimization_level=level.ORT_DISABLE_ALL)
        ),
    }
    taken = in_turns(ways, times)
    first, *others = ways
    yield Row(f"carried network, {first}", 4 / taken[first], "films a second")
    for way in others:
        yield Row(
            f"carried network, {way}", 4 / taken[way], "films a second", first, taken[first] / taken[way]
        )
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "optimised.onnx"
        session(graph, threads, optimized_model_filepath=str(kept))
        optimised = kept.read_bytes()
        loads = in_turns(
            {
                "as shipped": lambda: session(graph, threads),
                "cached": lambda: session(optimised, threads, graph_optimization_level=level.ORT_DISABLE_ALL),
            },
            times,
        )
    yield Row(
        "carried network, loaded from a cached optimised graph",
        1 / loads["cached"],
        "loads a second",
        "loaded as shipped",
        loads["as shipped"] / loads["cached"],
        remark=f"saves {1000 * (loads['as shipped'] - loads['cached']):.0f} ms a start",
    )


@contextmanager
def inference_noted() -> Iterator[list[tuple[float, float]]]:
    """When networks ran, the reading one and the one that finds hands: beginnings and ends."""
    spans: list[tuple[float, float]] = []
    lock = threading.Lock()

    def noting(of: type, name: str) -> Callable[[], None]:
        original = getattr(of, name)

        def noted(self: Any, *given: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(self, *given)
            finally:
                with lock:
                    spans.append((began, time.perf_counter()))

        setattr(of, name, noted)
        return lambda: setattr(of, name, original)

    undo = [noting(Runtime, "run"), noting(Locator, "answer")]
    try:
        yield spans
    finally:
        for each in undo:
            each()


def as_published(films: Sequence[str], checkpoint: Path) -> None:
    """The model is loaded again for each film."""
    for film in films:
        months(loaded(checkpoint), film)


def streams(films: Sequence[str]) -> Iterator[Row]:
    """A stream of films with other shares of the cores for the network and for reading, against as it is."""
    cores = usable_cores()
    told: dict[str, tuple[int, int, int]] = {  # threads of the network, threads that read, films a run
        "as shipped": (cores, cores, 4),
        "one thread for the network": (1, cores, 4),
        "one thread that reads": (cores, 1, 4),
        "films one by one": (cores, cores, 1),
        "films by eights": (cores, cores, 8),
    }

    def stream(threads: int, workers: int, batch: int) -> Work:
        assessor = Assessor(load_bundle(), threads=threads)
        return lambda: list(assess_many(assessor, films, lambda _: BOY, batch=batch, workers=workers))

    taken = in_turns({name: stream(*how) for name, how in told.items()}, STREAMS)
    first = taken["as shipped"]
    for name, seconds in taken.items():
        against = "" if name == "as shipped" else "as shipped"
        ratio = first / seconds if against else None
        yield Row(f"{len(films)} films, carried model, {name}", len(films) / seconds, UNIT, against, ratio)


def whole_way(checkpoint: Path, effort: Effort) -> Iterator[Row]:
    """From files to readings: a thousand films, one warm, one cold."""
    films = films_to_read(effort.films)
    few = films[: effort.published]
    months(loaded(checkpoint), few[0])
    published = seconds_of(lambda: as_published(few, checkpoint)) / len(few)
    yield Row(f"{len(few)} films, {PUBLISHED}", 1 / published, "films a second")
    carried_anew = seconds_of(lambda: [Assessor(load_bundle()).assess(film, Sex.MALE) for film in few]) / len(
        few
    )
    yield Row(
        f"{len(few)} films, carried model loaded anew for each",
        1 / carried_anew,
        "films a second",
        PUBLISHED,
        published / carried_anew,
    )
    assessor = Assessor(load_bundle())
    with inference_noted() as spans:
        taken = seconds_of(lambda: list(assess_many(assessor, films, lambda _: BOY)))
    yield Row(
        f"{len(films)} films, carried model",
        len(films) / taken,
        "films a second",
        PUBLISHED,
        published * len(films) / taken,
        GOAL_OF_A_THOUSAND,
    )
    yield from streams(films[: max(1, len(films) // 5)])
    share = covered(spans) / taken
    yield Row("of that time a network ran", share, "share", "the whole time", share, GOAL_OF_INFERENCE)
    ready = loaded(checkpoint)
    warm = in_turns(
        {"theirs": lambda: months(ready, few[0]), "ours": lambda: assessor.assess(few[0], Sex.MALE)},
        effort.times,
    )
    yield Row(
        "one film warm, carried model, from file to interval",
        1 / warm["ours"],
        "films a second",
        "ConvNeXt-Tiny in PyTorch eager, from file",
        warm["theirs"] / warm["ours"],
    )
    cold = median_of(lambda: run("-m", "bonexage", "predict", few[0], "--sex", "M"), effort.colds)
    theirs = median_of(lambda: run(str(HERE / "published_steps.py"), str(checkpoint), few[0]), effort.colds)
    yield Row(
        "one film cold, `bonexage predict`, from start to end",
        1 / cold,
        "starts a second",
        PUBLISHED,
        theirs / cold,
        remark=f"{cold:.2f} s; goal: under {COLD_SECONDS} s",
    )


def run(*command: str) -> None:
    """A command of this Python, to its end."""
    subprocess.run([sys.executable, *command], check=True, capture_output=True)


def carried_network() -> tuple[BoneAgeNetwork, Preprocessing]:
    """The carried model's network with random weights, and how it reads films."""
    description = load_bundle().description
    recipe = NetworkRecipe(**{**description.recipe["network"], "start": "random"})
    return empty_network(recipe).eval(), description.preprocessing


def rows(effort: Effort, limits: Limits) -> Iterator[Row]:
    """Everything, the longest last."""
    big = network()
    how = Preprocessing(height=SIDE, width=SIDE)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "published.pth"
        torch.save(big.state_dict(), checkpoint)
        yield from whole_way(checkpoint, effort)
    small, its_how = carried_network()
    shape = (1, len(its_how.mean), its_how.height, its_how.width)
    yield from choices(load_bundle().onnx, shape, effort.times)
    yield from networks("carried network", small, to_onnx(small, its_how), shape, effort, limits)
    yield from networks(
        "ConvNeXt-Tiny at 512",
        big,
        to_onnx(big, how),
        (1, len(how.mean), SIDE, SIDE),
        effort,
        limits,
        goal_of_int8=GOAL_OF_INT8,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--published", type=int, default=10, help="films read by the published steps")
    parser.add_argument("--times", type=int, default=7, help="runs of each way; the fastest counts")
    parser.add_argument("--colds", type=int, default=5, help="cold starts; the median counts")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out, which takes minutes"
    )
    given = parser.parse_args()
    torch.set_num_threads(usable_cores())
    about = machine()
    limits = measured_limits(usable_cores())
    about |= {"multiply_adds_a_second": limits.multiply_adds, "memory_bytes_a_second": limits.memory_bytes}
    effort = Effort(given.films, given.published, given.times, given.colds, not given.no_compile)
    keep("prediction", "Prediction", rows(effort, limits), about)


if __name__ == "__main__":
    main()
