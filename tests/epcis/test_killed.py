"""A gateway killed with SIGKILL while it works off a job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.epcis.conftest import ROOT, document, object_event
from tests.epcis.network import running_gateway

EVENTS = 1_200
ITEM = "https://id.gs1.org/01/09521234543244/21/K"

CHILD = """
import json, os, signal, sys, threading, time
from pathlib import Path
from tests.epcis.network import running_gateway

home, body, delay = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), float(sys.argv[3])
with running_gateway(home) as gateway:
    answer = gateway.post("/capture", body, **{"GS1-Capture-Error-Behaviour": "proceed"})
    print(answer.headers["Location"].rpartition("/")[2], flush=True)
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_accepted_job_is_finished_after_a_kill(tmp_path: Path, delay: float) -> None:
    """Events of an accepted document lost or anchored twice by a kill at any moment."""
    home = tmp_path / "home"
    many = [
        object_event(epcList=[f"{ITEM}{n}"], action="ADD", bizStep="commissioning")
        for n in range(EVENTS)
    ]
    body = tmp_path / "document.json"
    body.write_text(json.dumps(document(*many)))
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), str(body), str(delay)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    job_id = child.stdout.decode().split()[-1]
    with running_gateway(home) as gateway:
        deadline = time.monotonic() + 60
        while (job := gateway.get(f"/capture/{job_id}").json())["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert job["success"], job["errors"]
        assert job["anchored"] == EVENTS
        found = gateway.events(EQ_bizStep="commissioning", perPage=1000)
        assert len(found) == EVENTS
        assert {event["epcList"][0] for event in found} == {f"{ITEM}{n}" for n in range(EVENTS)}
