"""What is read: traces, certificates and the scan page, on the home of the trace scenario."""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import chain
import load
from server import bare_endpoint, gateway
from submit import percentiles

from gateway.certify import Order
from gateway.container import Container, open_container
from gateway.credentials.service import clock_ms, service_of
from gateway.settings import Settings
from nodes.identity.signer import load_signer

TRACES = 200
CERTIFICATES = 40
FOLLOW_TIMEOUT_S = 120.0


def issue_and_verify(home: Path, count: int = CERTIFICATES) -> dict[str, float]:
    """Certificates of the last lot: issued with anchoring, then verified with all checks."""
    with open_container(Settings(home=home, port=0)) as container:
        _caught_up(container)
        service = service_of(container)
        last = chain.PARTIES - 1
        signer = load_signer(home, chain.organisation(last), f"link-{last:02d}")
        order = Order("food", chain.subject(), chain.party_id(last), {})
        issue_ms, verify_ms, credentials = [], [], []
        for _ in range(count):
            begun = time.perf_counter()
            credentials.append(
                service.certifier.issue(signer, order, clock_ms(), service.footprint)
            )
            issue_ms.append((time.perf_counter() - begun) * 1e3)
        for issued in credentials:
            container.readmodel.wait_for(issued.committed.tx_id, FOLLOW_TIMEOUT_S)
            begun = time.perf_counter()
            verdict = service.verify(issued.credential)
            verify_ms.append((time.perf_counter() - begun) * 1e3)
            if verdict.overall != "valid":
                raise RuntimeError(f"a fresh certificate is {verdict.overall}: {verdict.as_json()}")
    return {
        "issue_ms": percentiles(issue_ms)["p50_ms"],
        "verify_ms": percentiles(verify_ms)["p50_ms"],
    }


def _caught_up(container: Container) -> None:
    height = int(container.ledger.chain_info(container.signer).height)
    if not container.readmodel.wait_for(height, FOLLOW_TIMEOUT_S):
        raise RuntimeError(f"the read model did not reach height {height}")


def traces(port: int, api_key: str, count: int = TRACES) -> dict[str, float]:
    """GET /v1/trace/{id}?direction=up over HTTP on loopback, one at a time."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    path = f"/v1/trace/{quote(chain.subject(), safe='')}?direction=up&depth=200"
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    took_ms = []
    for _ in range(count):
        begun = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took_ms.append((time.perf_counter() - begun) * 1e3)
        if answer.status != 200 or chain.lot(0).encode() not in body:
            raise RuntimeError(f"trace: {answer.status}, origin found: {body[:200]!r}")
    connection.close()
    return percentiles(took_ms[5:])


def scan_ratio(home: Path, api_key: str, seconds: float) -> dict[str, float]:
    """Requests a second of the scan page over those of a bare FastAPI endpoint, and the traces."""
    scan_path = urlsplit(chain.subject()).path
    with bare_endpoint() as bare_port, gateway(home) as port:
        timed = traces(port, api_key)
        load.requests_per_second(port, scan_path, seconds=1)
        load.requests_per_second(bare_port, "/bare", seconds=1)
        scan = bare = 0.0
        for _ in range(2):  # interleaved, so that a busy moment hits both
            scan += load.requests_per_second(port, scan_path, seconds=seconds / 2) / 2
            bare += load.requests_per_second(bare_port, "/bare", seconds=seconds / 2) / 2
    return {
        "trace_p50_ms": timed["p50_ms"],
        "trace_p95_ms": timed["p95_ms"],
        "scan_rps": scan,
        "bare_rps": bare,
        "scan_ratio": scan / bare,
    }
