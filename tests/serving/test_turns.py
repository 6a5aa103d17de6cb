"""Workers are shared fairly between requests and peers, and a client that has gone keeps none."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonexage.serving import pool as pool_module
from bonexage.serving import turns as module
from bonexage.serving.looking import Asked
from bonexage.serving.pool import Pool
from bonexage.serving.turns import Party, Turns
from services import PATH, png, post, running, served, settings
from trials.served import Served
from trials.waiting import PATIENCE_SECONDS, eventually


class Films:
    """Films that are read until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.reading: list[tuple[str, asyncio.Event]] = []
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _read(self, name: str, party: Party) -> None:
        async with self.turns.turn(party):
            self.order.append(name)
            end = asyncio.Event()
            self.reading.append((name, end))
            try:
                await end.wait()
            finally:
                self.reading.remove((name, end))

    async def come(self, name: str, party: Party, films: int) -> list[asyncio.Task[None]]:
        """Let films of a request come."""
        tasks = [asyncio.create_task(self._read(name, party)) for _ in range(films)]
        self.tasks += tasks
        await settled()
        return tasks

    async def finish(self, place: int = 0) -> None:
        """Let one film that is read be done, the first by default."""
        self.reading[place][1].set()
        await settled()

    def at(self, name: str) -> int:
        """The place of the first film of a name among those that are read."""
        return [each for each, _ in self.reading].index(name)

    @property
    def names(self) -> list[str]:
        return sorted(name for name, _ in self.reading)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def with_turns(workers: int, test: Callable[[Turns, Films, ExitStack], Awaitable[None]]) -> None:
    """Run a test in an event loop; at its end every film is done, and nothing may be left."""

    async def run() -> None:
        turns = Turns(workers, 64)
        films = Films(turns)
        with ExitStack() as inside:
            await test(turns, films, inside)
            while films.reading:
                await films.finish()
            await asyncio.gather(*films.tasks, return_exceptions=True)
        assert not turns._waiting
        assert not turns._at_work
        assert not turns._inside

    asyncio.run(run())


def test_a_request_alone_has_all_workers() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        await films.come("a", inside.enter_context(turns.inside(16, "x")), 16)
        assert films.names == ["a"] * 4

    with_turns(4, test)


def test_a_request_of_many_films_and_others_take_turns() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        await films.come("a", inside.enter_context(turns.inside(8, "x")), 8)
        await films.come("b", inside.enter_context(turns.inside(1, "x")), 1)
        await films.come("c", inside.enter_context(turns.inside(8, "x")), 8)
        for _ in range(6):
            await films.finish()
        assert films.order[:2] == ["a", "a"], "it was alone"
        assert films.order[2:4] == ["b", "c"], "whoever has nothing at work comes first"
        assert sorted(films.order[4:6]) == sorted(films.order[6:8]) == ["a", "c"], "and then in turn"

    with_turns(2, test)


def test_a_peer_of_many_requests_and_a_peer_of_one_have_equal_shares() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        for _ in range(8):
            await films.come("many", inside.enter_context(turns.inside(2, "x")), 2)
        await films.come("one", inside.enter_context(turns.inside(4, "y")), 4)
        for _ in range(6):
            await films.finish()
            if films.order.count("one") < 4:
                assert "one" in films.names
        assert films.order.count("one") >= 3

    with_turns(2, test)


@pytest.mark.parametrize("workers", [1, 3])
def test_slow_films_that_hold_all_workers_leave_one_for_a_request_that_waits(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        async def later() -> None:
            now[0] += 1.01 * module.PATIENCE_SECONDS
            turns._deal()
            await settled()

        await films.come("slow", inside.enter_context(turns.inside(16, "x")), 16)
        await later()
        assert films.names == ["slow"] * workers, "a request has no more than all workers"
        await films.come("b", inside.enter_context(turns.inside(2, "x")), 2)
        now[0] += 0.01
        await films.come("c", inside.enter_context(turns.inside(1, "x")), 1)
        assert films.names == ["slow"] * workers, "first it is seen whether a worker becomes free"
        await later()
        assert films.names == ["b", *["slow"] * workers]
        await later()
        assert films.names == ["b", *["slow"] * workers], "there is one in reserve"
        await films.finish(films.at("b"))
        assert films.names == ["c", *["slow"] * workers]

    with_turns(workers, test)


def test_a_request_that_waits_is_thought_of_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)

    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        await films.come("slow", inside.enter_context(turns.inside(16, "x")), 16)
        await films.come("b", inside.enter_context(turns.inside(2, "x")), 2)
        await in_time(lambda: "b" in films.names)

    with_turns(1, test)


async def in_time(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def test_films_that_are_given_up_leave_the_queue_or_give_their_turn_back() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        tasks = await films.come("a", inside.enter_context(turns.inside(3, "x")), 3)
        await films.come("b", inside.enter_context(turns.inside(1, "x")), 1)
        for task in tasks:
            task.cancel()
        await settled()
        assert films.names == ["b"]

    with_turns(1, test)


def test_a_film_given_up_in_the_moment_of_its_turn_loses_no_turn() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        await films.come("a", inside.enter_context(turns.inside(1, "x")), 1)
        (task,) = await films.come("b", inside.enter_context(turns.inside(1, "x")), 1)
        await films.come("c", inside.enter_context(turns.inside(1, "x")), 1)
        films.reading[0][1].set()
        while not turns._at_work or films.reading:
            await asyncio.sleep(0)
            if turns._at_work["x"] and not films.reading:
                break
        task.cancel()
        await settled()
        assert films.names == ["c"]

    with_turns(1, test)


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "finish", "cancel"]), st.integers(0, 50), st.integers(1, 5)),
    max_size=40,
)


@given(st.integers(1, 3), STEPS)
def test_whatever_comes_and_goes_no_worker_idles_while_films_wait(
    workers: int, steps: list[tuple[str, int, int]]
) -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        for kind, number, count in steps:
            if kind == "come":
                party = inside.enter_context(turns.inside(count, f"peer {number % 3}"))
                await films.come(str(number), party, count)
            elif kind == "finish" and films.reading:
                await films.finish(number % len(films.reading))
            elif kind == "cancel" and films.tasks:
                films.tasks[number % len(films.tasks)].cancel()
                await settled()
            unfinished = sum(not task.done() for task in films.tasks)
            assert len(films.reading) == min(workers, unfinished)

    with_turns(workers, test)


def test_the_last_places_are_for_peers_that_have_no_film_inside() -> None:
    turns = Turns(2, 16)
    with turns.inside(14, "x"):
        assert not turns.has_room(1, "x")
        assert turns.has_room(4, "y")
        assert not turns.has_room(5, "y")
    assert turns.has_room(18, "x")


def test_one_request_of_slow_films_does_not_make_others_be_turned_away() -> None:
    async def test(turns: Turns, films: Films, inside: ExitStack) -> None:
        turns.expect(0.3)
        slow = inside.enter_context(turns.inside(16, "x"))
        await films.come("slow", slow, 16)
        for _ in range(16):
            turns.learn(slow, 60.0)
        assert turns.foreseen_seconds == 0
        for number in range(4):
            await films.come(str(number), inside.enter_context(turns.inside(1, "x")), 1)
        assert 0 < turns.foreseen_seconds <= 4 * 60.3 / 2 / 2

    with_turns(2, test)


# The service itself, with one worker: that which has a film is stopped, as if its film took long.


def test_a_request_is_answered_while_a_request_of_many_films_reads_slowly(folder: Path) -> None:
    with running(settings(folder)) as client, ThreadPoolExecutor() as threads:
        pool = client.app.state.service.pool  # type: ignore[attr-defined]
        eventually(lambda: len(pool.pids) == 2)
        for pid in pool.pids:
            os.kill(pid, signal.SIGSTOP)
        slow = threads.submit(post, client, *[png()] * 4)
        (stopped,) = eventually(lambda: pool.working)
        (other,) = set(pool.pids) - {stopped}
        os.kill(other, signal.SIGCONT)
        for _ in range(3):
            assert post(client, png()).status_code == 200
        assert not slow.done()
        os.kill(stopped, signal.SIGCONT)
        assert slow.result().status_code == 200


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Served]:
    with served(folder) as made:
        yield made


def upload(address: str, films: int) -> socket.socket:
    """A connection on which a whole request has been sent."""
    place = urlsplit(address)
    files = [("file", ("hand.png", png(), "image/png"))] * films
    request = httpx.Request("POST", f"{address}{PATH}", files=files)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    line = socket.create_connection((str(place.hostname), place.port or 80), timeout=PATIENCE_SECONDS)
    line.sendall(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
    return line


def gauge(service: Served, name: str) -> float:
    text = httpx.get(f"{service.address}/metrics", timeout=PATIENCE_SECONDS).text
    return float(text.split(f"\n{name} ")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("pipelined", [0, 1, 2])
def test_a_client_that_has_gone_takes_its_films_out_and_frees_their_worker(
    service: Served, pipelined: int
) -> None:
    eventually(lambda: gauge(service, "bonexage_workers") == 2)
    for pid in service.workers:
        os.kill(pid, signal.SIGSTOP)
    line = upload(service.address, 5)
    eventually(lambda: gauge(service, "bonexage_films_waiting") == 4)
    eventually(lambda: gauge(service, "bonexage_workers_working") == 1)
    for _ in range(pipelined):  # one after another, so that each is read by itself
        line.sendall(f"GET /healthz HTTP/1.1\r\nHost: {urlsplit(service.address).netloc}\r\n\r\n".encode())
        eventually(lambda: gauge(service, "bonexage_films_waiting") == 4)
    line.close()
    eventually(lambda: gauge(service, "bonexage_films_waiting") == 0)
    eventually(lambda: gauge(service, "bonexage_workers_working") == 0)
    with httpx.Client(base_url=service.address, timeout=PATIENCE_SECONDS) as client:
        asked = ThreadPoolExecutor(1).submit(post, client, png())
        for pid in service.workers:
            os.kill(pid, signal.SIGCONT)
        assert asked.result().status_code == 200
    assert 499 in {event.get("status") for event in service.events}


def test_a_client_that_goes_before_a_quick_film_is_done_costs_no_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "GRACE_SECONDS", PATIENCE_SECONDS)

    async def run() -> None:
        pool = Pool(settings(folder))
        await pool.start()
        await in_time(lambda: len(pool.pids) == 2)
        workers = set(pool.pids)
        with pool.places(1) as party:
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            asked = asyncio.create_task(pool.assess(png(), Asked("hand.png"), party))
            await in_time(lambda: pool.working)
            asked.cancel()
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
            await in_time(lambda: not pool.working)
            assert asked.cancelled()
            answer = await pool.assess(png(), Asked("hand.png"), party)
        assert answer.failed is None
        assert set(pool.pids) == workers
        await pool.close()

    asyncio.run(run())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_request_with_a_key_whose_client_went_is_done_when_it_comes_again(service: Served) -> None:
    eventually(lambda: gauge(service, "bonexage_workers") == 2)
    key = {"Idempotency-Key": "gone"}
    for pid in service.workers:
        os.kill(pid, signal.SIGSTOP)
    with httpx.Client(base_url=service.address, timeout=PATIENCE_SECONDS) as client:
        with pytest.raises(httpx.TimeoutException):
            client.post(PATH, files={"file": ("hand.png", png())}, headers=key, timeout=1.0)
        for pid in service.workers:
            os.kill(pid, signal.SIGCONT)
        answer = eventually(lambda: _answered(client, key))
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers


def _answered(client: httpx.Client, key: dict[str, str]) -> httpx.Response | None:
    answer = client.post(PATH, files={"file": ("hand.png", png())}, headers=key)
    return None if answer.status_code == 409 else answer
