"""What a peer may send before it is answered has a limit, and an honest peer never reaches it."""

from __future__ import annotations

import io
import select
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from pynetdicom.pdu import P_DATA_TF

from bonexage.node import receiving
from bonexage.node.connections import FROM_A_PEER, FROM_ALL, Connections
from bonexage.node.logs import json_lines
from bonexage.node.metrics import new_counters
from bonexage.node.queue import Queue
from bonexage.node.receiving import MOST_UNANSWERED, _Limits


class Part(P_DATA_TF):
    """A part of an object, of a length that it only says it has."""

    @property
    def pdu_length(self) -> int:
        return 40


class Peer:
    """An association that notes that it was ended."""

    def __init__(self) -> None:
        self.ended = False

    def abort(self) -> None:
        self.ended = True


class Held:
    """An association that has a socket and nothing else."""

    def __init__(self, line: socket.socket) -> None:
        self.dul = SimpleNamespace(socket=SimpleNamespace(socket=line))


@pytest.fixture
def limits(tmp_path: Path) -> _Limits:
    counters = new_counters(Queue(tmp_path), lambda: 0)
    return _Limits(100, 1.0, counters, json_lines(io.StringIO()))


def test_a_peer_that_waits_for_its_answers_may_send_for_ever(limits: _Limits) -> None:
    peer = Peer()
    event = SimpleNamespace(pdu=Part(), assoc=peer)
    for _ in range(50):
        limits.received(event)
        limits.received(event)
        limits.asked(event)
        limits.answered(event)
    assert not peer.ended


@pytest.mark.parametrize("parts", [1, 3])
def test_one_that_does_not_wait_or_sends_too_large_an_object_is_ended(limits: _Limits, parts: int) -> None:
    peer = Peer()
    event = SimpleNamespace(pdu=Part(), assoc=peer)
    for sent in range(9):
        limits.received(event)
        if sent % parts == parts - 1:
            limits.asked(event)
    assert peer.ended


@pytest.mark.parametrize(("seconds_a_part", "is_ended"), [(0.005, False), (0.02, True)])
def test_an_object_that_comes_in_small_parts_has_to_come_fast_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_a_part: float, is_ended: bool
) -> None:
    now = iter(seconds_a_part * number for number in range(100_000))
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: next(now)))
    counters = new_counters(Queue(tmp_path), lambda: 0)
    limits = _Limits(1 << 30, 1.0, counters, json_lines(io.StringIO()))
    peer = Peer()
    for _ in range(1000):
        limits.received(SimpleNamespace(pdu=Part(), assoc=peer))
    assert peer.ended == is_ended


def test_of_too_many_silent_connections_the_one_that_has_waited_longest_is_ended(tmp_path: Path) -> None:
    counters = new_counters(Queue(tmp_path), lambda: 0)
    silent = Connections(60.0, 1, counters, json_lines(io.StringIO()))
    lines: list[socket.socket] = []

    def open_from(peer: str) -> None:
        ours, theirs = socket.socketpair()
        lines.append(theirs)
        silent.opened(SimpleNamespace(assoc=Held(ours), address=(peer, 4000)))

    def ended() -> list[int]:
        return [number for number, line in enumerate(lines) if select.select([line], [], [], 0)[0]]

    for _ in range(FROM_A_PEER):
        open_from("10.0.0.1")
    assert ended() == []
    open_from("10.0.0.1")
    open_from("10.0.0.1")
    assert ended() == [0, 1], "the longest of this peer"
    for peer in range(FROM_ALL - FROM_A_PEER):
        open_from(f"10.0.1.{peer}")
    assert ended() == [0, 1]
    open_from("10.0.2.1")
    assert ended() == [0, 1, 2], "the longest of all"
    for line in lines:
        line.close()


def test_small_messages_without_end_are_ended_by_their_number(limits: _Limits) -> None:
    peer = Peer()
    event = SimpleNamespace(pdu=Part(), assoc=peer)
    for _ in range(MOST_UNANSWERED + 1):
        limits.asked(event)
    limits.received(event)
    assert peer.ended
