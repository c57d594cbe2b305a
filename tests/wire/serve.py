"""A network's server as a process of its own: ``python -m tests.wire.serve HOME [mutual]``.

Prints the addresses as one JSON line when it listens, and serves until SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from nodes.embedded import EmbeddedNetwork
from nodes.grpc_network import network_server
from nodes.grpc_server import ServerOptions
from nodes.network import load_network
from tests.wire.contract import invoke


def main(home: Path, *, mutual_tls: bool) -> None:
    description = load_network(home)
    handlers = {description.chaincode: invoke}
    with EmbeddedNetwork.open(home, handlers=handlers) as network:
        server = network_server(
            network,
            mutual_tls=mutual_tls,
            options=ServerOptions(gateway_limit=120, grace_s=2.0),
        )
        server.start()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(json.dumps(server.addresses), flush=True)
        try:
            signal.pause()
        finally:
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), mutual_tls="mutual" in sys.argv[2:])
