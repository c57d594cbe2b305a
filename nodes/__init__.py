"""What a validating organisation runs: identity, endorsement, ordering, validation, ledger,
payloads.
"""
