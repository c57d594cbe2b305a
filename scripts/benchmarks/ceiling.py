"""What the machine allows: signatures and synced writes, without any of our code."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

# One transaction under a 2-of-3 policy: the client signs the proposal and the envelope, two
# endorsers sign; the proposal, the envelope and two endorsements are verified (once a process).
SIGNATURES_PER_TX = 4
VERIFICATIONS_PER_TX = 4


def _mean_us(call: Callable[[], object], repeat: int = 2000) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat * 1e6


def _mean_us_threads(call: Callable[[], object], threads: int, repeat: int = 2000) -> float:
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        for done in [pool.submit(_mean_us, call, repeat) for _ in range(threads)]:
            done.result()
        return (time.perf_counter() - start) / (repeat * threads) * 1e6


def measure() -> dict[str, float]:
    """P-256 signatures and verifications alone and on every core, and a synced write."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    digest = hashlib.sha256(b"tracemark").digest()
    signature = key.sign(digest, algorithm)
    cores = os.cpu_count() or 1
    sign_us = _mean_us(lambda: key.sign(digest, algorithm))
    verify_us = _mean_us(lambda: public.verify(signature, digest, algorithm))
    sign_all_us = _mean_us_threads(lambda: key.sign(digest, algorithm), cores)
    verify_all_us = _mean_us_threads(lambda: public.verify(signature, digest, algorithm), cores)
    crypto_us = SIGNATURES_PER_TX * sign_all_us + VERIFICATIONS_PER_TX * verify_all_us
    return {
        "p256_sign_us": round(sign_us, 1),
        "p256_verify_us": round(verify_us, 1),
        "crypto_only_tps": round(1e6 / crypto_us),
        "fdatasync_4k_us": round(_fdatasync_us(), 1),
    }


def _fdatasync_us() -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = os.open(Path(folder) / "probe", os.O_CREAT | os.O_WRONLY)
        try:

            def write() -> None:
                os.write(file, b"\0" * 4096)
                os.fdatasync(file)

            return _mean_us(write, 200)
        finally:
            os.close(file)
