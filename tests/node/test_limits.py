"""What a peer may send before it is answered has a limit, and an honest peer never reaches it."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from pynetdicom.pdu import P_DATA_TF

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


def test_small_messages_without_end_are_ended_by_their_number(limits: _Limits) -> None:
    peer = Peer()
    event = SimpleNamespace(pdu=Part(), assoc=peer)
    for _ in range(MOST_UNANSWERED + 1):
        limits.asked(event)
    limits.received(event)
    assert peer.ended
