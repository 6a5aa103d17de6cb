"""What a service counts of itself, as Prometheus reads it."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bonexage.serving.pool import Pool

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The counts of one service."""

    def __init__(self, pool: Pool) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "bonexage_requests_total",
            "Requests answered",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "bonexage_request_seconds",
            "Seconds from a request's head to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._films = Counter(
            "bonexage_films_total",
            "Films looked at, by what became of them",
            ["status"],
            registry=self._registry,
        )
        for name, said, ask in (
            ("bonexage_films_waiting", "Films that wait for a worker", lambda: pool.waiting),
            ("bonexage_workers", "Workers that are ready or at work", lambda: len(pool.pids)),
            ("bonexage_workers_working", "Workers that look at a film", lambda: len(pool.working)),
            ("bonexage_workers_started", "Workers started so far", lambda: pool.started),
        ):
            Gauge(name, said, registry=self._registry).set_function(ask)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def film(self, status: str) -> None:
        """Count one film: assessed, refused or unreadable."""
        self._films.labels(status).inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
