"""A node at work: it listens, judges films, sends results and tells its health, until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bonexage.node.books import Books
from bonexage.node.config import FHIR, Kind, NodeConfig
from bonexage.node.health import Health, serve_health
from bonexage.node.judging import SOP_CLASSES, Judge, judge_film, make_judge
from bonexage.node.logs import Log, libraries_without_words
from bonexage.node.metrics import name_model, new_counters
from bonexage.node.queue import DEAD, Queue, Result, usable
from bonexage.node.receiving import listen
from bonexage.node.recovery import put_journal_aside, recover
from bonexage.node.sending import Send, to_archive, to_folder
from bonexage.node.spool import Spool
from bonexage.node.taking import MEGABYTE, Door
from bonexage.node.working import Judging, Work, judge_films, send_results

# What open associations and the film at work may take when the node is told to stop.
STOP_SECONDS: Final = 20.0
WAKE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Task:
    """Work that goes on in a thread of its own."""

    name: str
    run: Callable[[], None]


def run_node(config: NodeConfig, log: Log, stop: threading.Event) -> None:
    """Run a node until `stop` is set; then end what is at work and return.

    Raises:
        BundleError: the model cannot be loaded.
        WrongUse: the state folder, a port or a TLS file cannot be used, or another node uses the folder.
    """
    with (
        libraries_without_words(log),
        opened_state(Path(config.state), config.least_free_megabytes, log) as door,
    ):
        books = Books(door.queue, door.spool, log)
        counters = new_counters(door.queue, door.spool.free_bytes)
        judge = configured_judge(config)
        name_model(counters, judge.assessor.model)
        work = Work(
            books,
            door.arrived,
            door.has_room_for_results,
            config.delivery,
            counters,
            threading.Event(),
            threading.Event(),
        )
        sends: dict[str, Send] = {each.name: to_archive(each, config, books) for each in config.destinations}
        if config.fhir:
            sends[FHIR] = to_folder(Path(config.fhir), books, lambda _film: "")
        bury_strays(books, sends)
        goes_to = _ways(config)
        with (
            at_work(work, lambda data, film: judge_film(judge, data, film.uid), goes_to, sends) as alive,
            ExitStack() as open_things,
        ):
            listener = listen(config, door, counters, log)
            open_things.callback(listener.close, STOP_SECONDS)
            health = Health(
                alive,
                lambda: {"room on the disk": door.has_room()},
                lambda: {"dead letters": door.queue.counts()[0].get(DEAD, 0)},
                counters.registry,
            )
            http = serve_health(config.http, health, log)
            if http:
                open_things.callback(http.server_close)
                open_things.callback(http.shutdown)
            log(
                "listening",
                port=listener.port,
                http=http.server_address[1] if http else None,
                model=judge.assessor.model,
            )
            # A signal may reach another thread; Python runs its handler in the main thread, once that wakes.
            while not stop.wait(WAKE_SECONDS):
                pass
            log("stopping")
    log("stopped")


def configured_judge(config: NodeConfig) -> Judge:
    """The judge that a configuration asks for; raises `BundleError` as `make_judge` does."""
    return make_judge(
        config.model,
        config.coverage,
        threads=config.threads,
        deidentify=config.deidentify,
        fhir=bool(config.fhir),
    )


@contextmanager
def opened_state(folder: Path, least_free_megabytes: int, log: Log) -> Iterator[Door]:
    """The state folder, this process's alone; what it holds and what the queue knows are brought together.

    Raises:
        WrongUse: the folder cannot be used, holds other things, or another node uses it.
        UnusableData: its queue cannot be used.
    """
    spool = Spool(folder)
    with spool.lock():
        put_journal_aside(spool, log)
        with closing(Queue(folder)) as queue, usable(folder):
            door = Door(queue, spool, least_free_megabytes * MEGABYTE)
            recover(door, log)
            yield door


def bury_strays(books: Books, destinations: Iterable[str]) -> None:
    """Put results for destinations that are not configured any more to the dead letters."""
    known = set(destinations)
    for name in {name for name, _ in books.queue.counts()[1]} - known:
        books.bury(books.queue.undelivered(name), "no destination of this name is configured")


@contextmanager
def at_work(
    work: Work, judging: Judging, goes_to: Callable[[Result], list[str]], sends: Mapping[str, Send]
) -> Iterator[Callable[[], Mapping[str, bool]]]:
    """The queue being worked on in a thread for judging and one a destination; gives who is alive."""
    tasks = [
        Task("judging", lambda: judge_films(work, judging, goes_to)),
        *(_sending(work, name, send) for name, send in sends.items()),
    ]
    threads = [threading.Thread(target=task.run, name=task.name, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield lambda: {thread.name: thread.is_alive() for thread in threads}
    finally:
        work.stop.set()
        work.arrived.set()
        for thread in threads:
            thread.join(STOP_SECONDS)


def _sending(work: Work, name: str, send: Send) -> Task:
    return Task(f"sending to {name}", lambda: send_results(work, name, send))


def _ways(config: NodeConfig) -> Callable[[Result], list[str]]:
    kinds: dict[str, Kind] = {sop_class: kind for kind, sop_class in SOP_CLASSES.items()}

    def ways(result: Result) -> list[str]:
        if not result.sop_class:
            return [FHIR]
        return [each.name for each in config.destinations if kinds[result.sop_class] in each.send]

    return ways
