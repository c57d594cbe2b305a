"""The parts of fsck: identities, blocks and state, payloads. Entry: :mod:`nodes.fsck`."""
