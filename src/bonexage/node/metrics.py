"""What the node counts, and how many things are in which state, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.node.queue import Queue

_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True)
class Counters:
    """What is counted.

    Attributes:
        registry: all of it, to be told.
        received: objects by `outcome`: taken, known, refused; rejected associations; and connections
            that were ended because they were silent.
        judged: films by `status`: assessed, refused, unreadable; aside for what is no film.
        seconds: that judging a film took.
        sent: results by `destination` and `outcome`: stored, refused, away, unusable.
        model: which model answers.
    """

    registry: CollectorRegistry
    received: Counter
    judged: Counter
    seconds: Histogram
    sent: Counter
    model: Info


def new_counters(queue: Queue, free_bytes: Callable[[], int]) -> Counters:
    """Counters that begin at 0, and gauges that look into the queue whenever they are asked."""
    registry = CollectorRegistry()
    registry.register(_Gauges(queue, free_bytes))
    return Counters(
        registry,
        Counter(
            "bonexage_received",
            "Objects received, associations rejected and silent connections ended, by outcome",
            ["outcome"],
            registry=registry,
        ),
        Counter("bonexage_judged", "Films judged, by status", ["status"], registry=registry),
        Histogram("bonexage_judging_seconds", "Time to judge a film", buckets=_SECONDS, registry=registry),
        Counter("bonexage_sent", "Results sent, by outcome", ["destination", "outcome"], registry=registry),
        Info("bonexage_node", f"This node. {DISCLAIMER}", registry=registry),
    )


def name_model(counters: Counters, model: str) -> None:
    """Tell which model answers, `name@hash`."""
    counters.model.info({"version": __version__, "model": model})


class _Gauges(Collector):
    """How many films and results are in which state, and the room on the disk."""

    def __init__(self, queue: Queue, free_bytes: Callable[[], int]) -> None:
        self._queue, self._free_bytes = queue, free_bytes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, looked up now."""
        films, deliveries = self._queue.counts()
        by_state = GaugeMetricFamily("bonexage_films", "Films in the queue, by state", labels=["state"])
        for state, count in films.items():
            by_state.add_metric([state], count)
        yield by_state
        results = GaugeMetricFamily(
            "bonexage_results", "Results by destination and state", labels=["destination", "state"]
        )
        for (destination, state), count in deliveries.items():
            results.add_metric([destination, state], count)
        yield results
        yield GaugeMetricFamily("bonexage_free_bytes", "Room on the queue's disk", value=self._free_bytes())
