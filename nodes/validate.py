"""Decide about each transaction of a block: the part that is the same on every node.

Fabric's order (``core/committer/txvalidator/v20``), with :mod:`nodes.transaction` for form:

1. form up to the headers
2. creator: accepted by its MSP, signature over the payload     BAD_CREATOR_SIGNATURE
3. transaction id, action, proposal hash
4. the channel is this one                                      TARGET_CHAIN_NOT_FOUND
5. (not seen before: :mod:`nodes.mvcc`, from the node's index)  DUPLICATE_TXID
6. the rest of the form: chaincode, read-write set
7. each written namespace has a definition                      INVALID_CHAINCODE
   of the version that was endorsed                             EXPIRED_CHAINCODE
8. endorsements satisfy each written namespace's policy         ENDORSEMENT_POLICY_FAILURE
9. a configuration is what its signed update makes of the last  INVALID_CONFIG_TRANSACTION
10. (reads are still current: :mod:`nodes.mvcc`)                MVCC_ / PHANTOM_READ_CONFLICT

Steps 1 to 4 and 6 to 9 depend on nothing but the block, the configuration and the chaincode
definitions before it, so all nodes of a process share one :class:`CheckedBlock`.
Expiry of certificates and the age of timestamps are judged where a request enters, not here:
a block must get the same verdict whenever it is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from fabric_protos.common import policies_pb2

from nodes import lifecycle
from nodes.blocks import Body, block_signatures
from nodes.checked import CheckedBlock, Definitions
from nodes.config import ChannelConfig, config_of_envelope
from nodes.config_update import next_config
from nodes.errors import ConfigError, IdentityRefused, LedgerCorrupt, PolicyError
from nodes.identity.msp import Identity
from nodes.messages import CONFIG
from nodes.policy import satisfied
from nodes.transaction import VALID, Code, ParsedTransaction, parse_transaction
from nodes.verification import Claim, SignatureVerifier

__all__ = ["BlockChecker", "CheckedBlock", "Definitions"]

_EARLY: Final = frozenset(
    {Code.BAD_PROPOSAL_TXID, Code.INVALID_ENDORSER_TRANSACTION, Code.UNSUPPORTED_TX_PAYLOAD}
)
_REMEMBERED_BLOCKS: Final = 4


class BlockChecker:
    """Checks blocks once for all nodes of a process; thread-safe."""

    def __init__(self, verifier: SignatureVerifier) -> None:
        self._verifier = verifier
        self._lock = Lock()
        self._checked: dict[tuple[bytes, bytes, bytes], CheckedBlock] = {}
        self._policies: dict[tuple[bytes, frozenset[bytes]], bool] = {}

    def check(
        self,
        body: Body,
        slots: Sequence[bytes],
        config: ChannelConfig | None,
        definitions: Definitions,
        parsed: Sequence[ParsedTransaction] | None = None,
    ) -> CheckedBlock:
        """Judge a block on top of `config` (None for block 0) and `definitions`.

        `parsed` may hand over transactions that were taken apart already. Raises LedgerCorrupt
        when the block itself (data hash, orderer signature) is not genuine.
        """
        digest = config.digest if config else b""
        memo = (body.header_hash, digest, definitions.digest)
        with self._lock:
            checked = self._checked.get(memo)
            if checked is None or checked.body.data != body.data:
                checked = self._check(body, list(slots), config, definitions, parsed)
                while len(self._checked) >= _REMEMBERED_BLOCKS:
                    self._checked.pop(next(iter(self._checked)))
                self._checked[memo] = checked
            return checked

    def _check(
        self,
        body: Body,
        slots: list[bytes],
        config: ChannelConfig | None,
        definitions: Definitions,
        parsed: Sequence[ParsedTransaction] | None,
    ) -> CheckedBlock:
        transactions = list(parsed or map(parse_transaction, body.envelopes()))
        if body.computed_data_hash() != body.data_hash:
            raise LedgerCorrupt(f"block {body.number}: the data hash does not cover its data")
        if config is None:
            return _genesis(body, slots, transactions)
        config_block = self._check_orderer(body, slots, config)
        codes, identified = self._judge(transactions, config, definitions)
        new_config = None
        for index, transaction in enumerate(transactions):
            if codes[index] == VALID and transaction.header_type == CONFIG:
                try:
                    if len(transactions) != 1:
                        raise ConfigError("a configuration stands alone in its block")
                    new_config = next_config(config, transaction.data, self._verifier)
                except ConfigError:
                    codes[index] = Code.INVALID_CONFIG_TRANSACTION
        return CheckedBlock(
            body=body,
            slots=slots,
            config_block=body.number if new_config else config_block,
            transactions=transactions,
            codes=codes,
            identified=identified,
            new_config=new_config,
        )

    def _check_orderer(self, body: Body, slots: list[bytes], config: ChannelConfig) -> int:
        config_block, signatures = block_signatures(body, slots)
        for entry in signatures:
            try:
                identity = config.msps.accept(entry.creator)
            except IdentityRefused:
                continue
            if identity.msp_id in config.orderer_msps and self._verifier.verify_digest(
                (identity, entry.digest, entry.signature)
            ):
                return config_block
        raise LedgerCorrupt(f"block {body.number} carries no valid signature of an orderer")

    def _judge(
        self,
        transactions: list[ParsedTransaction],
        config: ChannelConfig,
        definitions: Definitions,
    ) -> tuple[list[int], list[bool]]:
        codes = [transaction.code for transaction in transactions]
        claims: list[Claim] = []
        creators: list[int] = []
        endorsers: list[list[int]] = []
        for index, transaction in enumerate(transactions):
            creators.append(-1)
            endorsers.append([])
            if codes[index] != VALID:
                continue
            creator = _accept(config, transaction.creator)
            if creator is None:
                codes[index] = Code.BAD_CREATOR_SIGNATURE
                continue
            creators[index] = len(claims)
            claims.append((creator, transaction.creator_digest, transaction.creator_signature))
            for endorser, digest, signature in transaction.endorsements:
                identity = _accept(config, endorser)
                if identity is not None:
                    endorsers[index].append(len(claims))
                    claims.append((identity, digest, signature))
        verdicts = self._verifier.verify_all(claims)
        identified = [False] * len(transactions)
        for index, transaction in enumerate(transactions):
            if codes[index] != VALID:
                continue
            if not verdicts[creators[index]]:
                codes[index] = Code.BAD_CREATOR_SIGNATURE
                continue
            identified[index] = (
                transaction.later_code != Code.BAD_PROPOSAL_TXID and len(transaction.tx_id) == 64
            )
            signers = [claims[at][0] for at in endorsers[index] if verdicts[at]]
            codes[index] = self._code(transaction, config, definitions, signers)
        return codes, identified

    def _code(
        self,
        transaction: ParsedTransaction,
        config: ChannelConfig,
        definitions: Definitions,
        signers: list[Identity],
    ) -> int:
        if transaction.later_code in _EARLY:  # 3
            return transaction.later_code
        if transaction.channel != config.channel:  # 4
            return int(Code.TARGET_CHAIN_NOT_FOUND)
        if transaction.later_code != VALID or transaction.header_type == CONFIG:  # 6
            return transaction.later_code
        written = {entry.namespace for entry in transaction.sets if entry.writes}
        for namespace in sorted(written | {transaction.chaincode}):
            if namespace == lifecycle.NAMESPACE:
                policy, digest = config.lifecycle_policy(), config.digest
            else:
                definition = definitions.by_name.get(namespace)
                if definition is None:  # 7
                    return int(Code.INVALID_CHAINCODE)
                if namespace == transaction.chaincode and definition.version != transaction.version:
                    return int(Code.EXPIRED_CHAINCODE)
                policy, digest = definition.policy, config.digest + definition.digest
            if not self.satisfied(policy, digest, signers):  # 8
                return int(Code.ENDORSEMENT_POLICY_FAILURE)
        return VALID

    def satisfied(
        self,
        policy: policies_pb2.SignaturePolicyEnvelope,
        digest: bytes,
        signers: list[Identity],
    ) -> bool:
        """Whether the signers satisfy a policy; remembered under `digest`, which stands for
        the policy and the configuration it is judged by.
        """
        memo = (digest, frozenset(signer.serialized for signer in signers))
        known = self._policies.get(memo)
        if known is None:
            if len(self._policies) >= 10_000:
                self._policies.clear()
            try:
                known = satisfied(policy, sorted(signers, key=lambda signer: signer.serialized))
            except PolicyError:
                known = False
            self._policies[memo] = known
        return known


def _genesis(body: Body, slots: list[bytes], transactions: list[ParsedTransaction]) -> CheckedBlock:
    if body.number != 0 or len(transactions) != 1:
        raise LedgerCorrupt("a ledger begins with block 0, which holds one configuration")
    config = config_of_envelope(transactions[0].data)
    return CheckedBlock(body, slots, 0, transactions, [VALID], [False], config)


def _accept(config: ChannelConfig, serialized: bytes) -> Identity | None:
    try:
        return config.msps.accept(serialized)
    except IdentityRefused:
        return None
