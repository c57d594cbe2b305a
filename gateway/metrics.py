"""Prometheus metrics of one gateway.

Labels come from closed sets only: methods, route templates, status codes, check names. No path,
identifier, party or key ever becomes a label, so the number of series is bounded by the code.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Heights:
    """Blocks in the read model, and on the ledger as far as seen; 1 or 0 for the database."""

    readmodel: int
    ledger: int
    database_up: int


class Metrics:
    """The gateway's registry; its own, so that two gateways fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.limited = Counter(
            "tracemark_http_rate_limited",
            "Requests refused by a rate limit.",
            ("kind",),
            registry=self.registry,
        )
        self._answers: dict[tuple[str, str, int], _Answers] = {}
        self.registry.register(_Requests(self._answers))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is a template of the application."""
        key = (method if method in METHODS else "other", route, status)
        answers = self._answers.get(key)
        if answers is None:
            answers = self._answers[key] = _Answers()
        answers.seconds += seconds
        answers.buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def watch_heights(self, read: Callable[[], Heights]) -> None:
        """Report heights and lag, asked for at each scrape."""
        self.registry.register(_Heights(read))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Answers:
    """Answers of one kind: how many per bucket of duration (the last one: longer), and in all."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0


class _Requests(Collector):
    """Plain counts on the request's path, made into metric families when scraped."""

    def __init__(self, answers: dict[tuple[str, str, int], _Answers]) -> None:
        self._answers = answers

    def collect(self) -> Iterable[Metric]:
        count = CounterMetricFamily(
            "tracemark_http_requests",
            "Answered HTTP requests.",
            labels=("method", "route", "status"),
        )
        seconds = HistogramMetricFamily(
            "tracemark_http_request_seconds",
            "Time to answer a request.",
            labels=("method", "route"),
        )
        merged: dict[tuple[str, str], _Answers] = {}
        for (method, route, status), answers in sorted(self._answers.items()):
            count.add_metric((method, route, str(status)), sum(answers.buckets))
            whole = merged.setdefault((method, route), _Answers())
            whole.seconds += answers.seconds
            whole.buckets = [a + b for a, b in zip(whole.buckets, answers.buckets, strict=True)]
        for labels, answers in merged.items():
            bounds = [*map(str, BUCKETS_S), "+Inf"]
            seconds.add_metric(
                labels,
                list(zip(bounds, accumulate(map(float, answers.buckets)), strict=True)),
                answers.seconds,
            )
        return [count, seconds]


class _Heights(Collector):
    def __init__(self, read: Callable[[], Heights]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        heights = self._read()
        yield _gauge("readmodel_height", "Blocks in the read model.", heights.readmodel)
        yield _gauge("ledger_height", "Blocks on the ledger, as far as seen.", heights.ledger)
        lag = max(0, heights.ledger - heights.readmodel)
        yield _gauge("readmodel_lag_blocks", "Blocks seen and not yet projected.", lag)
        yield _gauge("database_up", "1 while the read model is being written.", heights.database_up)


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(f"tracemark_{name}", text, value=value)
