"""Measure Tracemark on this machine.

Prints a table, or with --json one object {machine, versions, seed, measures}. Every figure is
made in this run, on an embedded network of three organisations with a 2-of-3 policy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import capture
import ceiling
import chain
import reading
import submit
from network import open_bench
from server import TRACEMARK

LIBRARIES = ("cryptography", "grpcio", "hyperledger-fabric-protos", "protobuf", "rocksdict")
LIBRARIES += ("fastapi", "uvicorn", "sqlalchemy", "openvc-core")
MILLION = 1_000_000

# name -> (what it says, aim or None); the aims are for two cores.
MEASURES: dict[str, tuple[str, str]] = {
    "submit_tps_300": ("committed tx/s, one event each, 300 in flight", ">= 1000"),
    "submit_p50_ms_300": ("  submit to commit, p50 ms", ""),
    "submit_p95_ms_300": ("  submit to commit, p95 ms", ""),
    "submit_tps_1000": ("committed tx/s, one event each, 1,000 in flight", ">= 1000"),
    "submit_p50_ms_1000": ("  submit to commit, p50 ms", ""),
    "submit_p95_ms_1000": ("  submit to commit, p95 ms", ""),
    "submit_cpu_us": ("  CPU microseconds per transaction", ""),
    "submit_p50_ms": ("latency one at a time, p50 ms", "< 20"),
    "submit_p95_ms": ("latency one at a time, p95 ms", ""),
    "capture_events_per_s": ("events/s by documents of 1,000 events", ">= 10000"),
    "trace_p50_ms": ("trace to origin, 27 parties, 240 documents, p50 ms", ""),
    "trace_p95_ms": ("trace to origin, p95 ms", "< 20"),
    "issue_ms": ("certificate issued and anchored, p50 ms", ""),
    "verify_ms": ("certificate verified, all checks, p50 ms", ""),
    "scan_rps": ("scan page, requests/s", ""),
    "bare_rps": ("bare FastAPI JSON endpoint, requests/s", ""),
    "scan_ratio": ("scan page over bare endpoint", ">= 0.5"),
    "crypto_only_tps": ("what the signatures alone allow, tx/s on all cores", ""),
    "p256_sign_us": ("P-256 signature, us", ""),
    "p256_verify_us": ("P-256 verification, us", ""),
    "fdatasync_4k_us": ("synced 4 KiB write, us", ""),
    "submit_tps_1000_at_million": ("committed tx/s at 1,000,000 events, 1,000 in flight", ""),
    "submit_p50_ms_at_million": ("latency one at a time at 1,000,000 events, p50 ms", ""),
    "capture_events_per_s_at_million": ("events/s by documents at 1,000,000 events", ""),
    "million_over_empty": ("tx/s at 1,000,000 events over tx/s at none", ""),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    transactions: int
    single: int
    documents: int
    scan_seconds: float


QUICK = Sizes(transactions=3000, single=100, documents=6, scan_seconds=4)
FULL = Sizes(transactions=10_000, single=500, documents=20, scan_seconds=10)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="smaller samples, under 3 minutes")
    parser.add_argument("--seed", type=int, default=1, help="seed of serial numbers [1]")
    parser.add_argument(
        "--million", action="store_true", help="also at 1,000,000 events (about 20 minutes)"
    )
    parser.add_argument("--home", type=Path, help="folder for the data [a temporary one]")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="tracemark-bench-", dir=options.home) as folder:
        measures = run(Path(folder), sizes, options.seed, options.million)
    report = {
        "machine": machine(),
        "versions": versions(),
        "seed": options.seed,
        "quick": options.quick,
        "measures": {name: round(value, 3) for name, value in measures.items()},
    }
    print(json.dumps(report, indent=2) if options.json else table(report))
    return 0


def run(folder: Path, sizes: Sizes, seed: int, million: bool) -> dict[str, float]:
    """All measures, in the order of the table."""
    measures: dict[str, float] = {}
    rest = _timed("signatures and disk alone", ceiling.measure)
    prefix = f"{random.Random(seed).randrange(16**8):08x}"
    measures |= _timed("transactions", lambda: _transactions(folder / "tx", sizes, prefix))
    measures |= _timed("documents", lambda: _documents(folder / "documents", sizes, prefix))
    measures |= _timed("trace, certificates, scan page", lambda: _reads(folder / "trace", sizes))
    measures |= rest
    if million:
        at_million = _timed("1,000,000 events", lambda: _million(folder / "million", prefix))
        measures |= at_million
        measures["million_over_empty"] = (
            at_million["submit_tps_1000_at_million"] / measures["submit_tps_1000"]
        )
    return measures


def _transactions(home: Path, sizes: Sizes, prefix: str) -> dict[str, float]:
    count = sizes.transactions
    arguments = [submit.capture_argument(f"{prefix}{n}") for n in range(2 * count + sizes.single)]
    with open_bench(home) as bench:
        single = submit.one_at_a_time(bench, arguments[2 * count :])
        at_300 = submit.throughput(bench, arguments[:count], 300)
        at_1000 = submit.throughput(bench, arguments[count : 2 * count], 1000)
    return {
        "submit_tps_300": at_300["tps"],
        "submit_p50_ms_300": at_300["p50_ms"],
        "submit_p95_ms_300": at_300["p95_ms"],
        "submit_tps_1000": at_1000["tps"],
        "submit_p50_ms_1000": at_1000["p50_ms"],
        "submit_p95_ms_1000": at_1000["p95_ms"],
        "submit_cpu_us": at_1000["cpu_us"],
        "submit_p50_ms": single["p50_ms"],
        "submit_p95_ms": single["p95_ms"],
    }


def _documents(home: Path, sizes: Sizes, prefix: str) -> dict[str, float]:
    bodies = [capture.document(f"{prefix}d{n}-") for n in range(sizes.documents + 1)]
    with open_bench(home) as bench:
        capture.capture(bench, bodies[0])
        return {"capture_events_per_s": capture.events_per_second(bench, bodies[1:])}


def _reads(home: Path, sizes: Sizes) -> dict[str, float]:
    with open_bench(home) as bench:
        chain.load(bench)
    measures = reading.issue_and_verify(home)
    made = subprocess.run(
        [str(TRACEMARK), "key", "create", "desk", "--home", str(home), "--org", "authority",
         "--json"],
        check=True, capture_output=True,
    )  # fmt: skip
    api_key = json.loads(made.stdout)["key"]
    return measures | reading.scan_ratio(home, api_key, sizes.scan_seconds)


def _million(home: Path, prefix: str) -> dict[str, float]:
    with open_bench(home) as bench:
        per_step = 50 * capture.EVENTS_PER_DOCUMENT
        for start in range(0, MILLION, per_step):
            first = start // capture.EVENTS_PER_DOCUMENT
            # a serial number has at most 20 characters
            bodies = [capture.document(f"{prefix}m{first + n}-") for n in range(50)]
            rate = capture.events_per_second(bench, bodies)
            _note(f"  {start + per_step:,} events, {rate:,.0f} events/s")
        arguments = [submit.capture_argument(f"{prefix}z{n}") for n in range(5200)]
        single = submit.one_at_a_time(bench, arguments[:200])
        at_1000 = submit.throughput(bench, arguments[200:], 1000)
    return {
        "submit_tps_1000_at_million": at_1000["tps"],
        "submit_p50_ms_at_million": single["p50_ms"],
        "capture_events_per_s_at_million": rate,
    }


def _timed(name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    _note(f"{name} ...")
    return measure()


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, object]:
    """Processor, cores, memory and kernel."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [row for row in info.read_text().splitlines() if row.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Python and the libraries whose speed matters."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def table(report: dict[str, object]) -> str:
    """The measures as a Markdown table."""
    measures = report["measures"]
    assert isinstance(measures, dict)
    rows = ["| measure | name | value | aim (two cores) |", "|---|---|---:|---|"]
    for name, (text, aim) in MEASURES.items():
        if name in measures:
            rows.append(f"| {text.strip()} | `{name}` | {_number(measures[name])} | {aim} |")
    about = report["machine"]
    return "\n".join([*rows, "", f"machine: {about}", f"versions: {report['versions']}"])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
