// Drives a network with the official Fabric Gateway client, unchanged, one scenario at a time.
//
//   node conformance.mjs CONFIG.json [SCENARIO...]
//
// CONFIG names the node's address, its TLS root, a channel and a chaincode, and two identities;
// the chaincode is tests/wire/contract.py. One JSON line per scenario goes to standard output:
// {"name", "ok", "ms", "error"?}. The exit status is 0 when every scenario passed.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, randomUUID, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, status as grpcStatus } from '@grpc/grpc-js';
import gatewayApi from '@hyperledger/fabric-gateway';
import protos from '@hyperledger/fabric-protos';

const {
    CommitError, CommitStatusError, EndorseError, GatewayError, StatusCode,
    checkpointers, connect, hash, signers,
} = gatewayApi;

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const utf8 = new TextDecoder();
const parse = (bytes) => JSON.parse(utf8.decode(bytes));
const arg = (value) => ({ arguments: [JSON.stringify(value)] });
const unique = (prefix) => `${prefix}-${randomUUID()}`;

function newClient() {
    const tls = credentials.createSsl(readFileSync(config.tlsRoot));
    // Answers of up to 100 MB, as the Gateway allows; the library alone would take 4 MB.
    return new Client(config.address, tls, { 'grpc.max_receive_message_length': 100 * 1024 * 1024 });
}

function identityOf(user) {
    return { mspId: user.mspId, credentials: readFileSync(user.certificate) };
}

function signerOf(user) {
    return signers.newPrivateKeySigner(createPrivateKey(readFileSync(user.key)));
}

const client = newClient();

function gatewayFor(user, options = {}) {
    return connect({ client, identity: identityOf(user), signer: signerOf(user), hash: hash.sha256, ...options });
}

function open(user = config.user, options = {}) {
    const gateway = gatewayFor(user, options);
    const network = gateway.getNetwork(config.channel);
    return { gateway, network, contract: network.getContract(config.chaincode) };
}

async function height(network) {
    const info = await network.getContract('qscc').evaluateTransaction('GetChainInfo', config.channel);
    return BigInt(protos.common.BlockchainInfo.deserializeBinary(info).getHeight());
}

async function take(iterable, count, map = (x) => x) {
    const taken = [];
    const timer = setTimeout(() => iterable.close(), 10_000);
    try {
        for await (const item of iterable) {
            taken.push(map(item));
            if (taken.length >= count) {
                break;
            }
        }
    } catch (error) {
        if (taken.length < count) {
            throw new Error(`stream ended after ${taken.length} of ${count}: ${error.message}`);
        }
    } finally {
        clearTimeout(timer);
        iterable.close();
    }
    return taken;
}

async function rejection(promise, kind) {
    try {
        await promise;
    } catch (error) {
        assert.ok(error instanceof kind, `expected ${kind.name}, got ${error.constructor.name}: ${error}`);
        return error;
    }
    throw new Error(`expected ${kind.name}, but it succeeded`);
}

function detailOf(error, expected) {
    assert.ok(error.details.length >= 1, `no details in ${error}`);
    const [detail] = error.details;
    assert.match(detail.address, /^[^:]+:\d+$/);
    assert.ok(config.mspIds.includes(detail.mspId), `unknown MSP ${detail.mspId}`);
    if (expected) {
        assert.match(detail.message, expected);
    }
    return detail;
}

function channelHeaderOf(envelope) {
    const payload = protos.common.Payload.deserializeBinary(envelope.getPayload_asU8());
    return protos.common.ChannelHeader.deserializeBinary(payload.getHeader().getChannelHeader_asU8());
}

function txIdsOf(block) {
    return block.getData().getDataList_asU8().map((bytes) =>
        channelHeaderOf(protos.common.Envelope.deserializeBinary(bytes)).getTxId());
}

const scenarios = {
    async evaluate() {
        const { contract } = open();
        const answer = parse(await contract.evaluateTransaction('whoami', '{}'));
        assert.deepEqual(answer, { channel: config.channel, msp: config.user.mspId });
    },

    async evaluateChangesNothing() {
        const { network, contract } = open();
        const before = await height(network);
        const key = unique('untouched');
        await contract.evaluateTransaction('put', JSON.stringify({ key, value: '1' }));
        await rejection(contract.evaluateTransaction('get', JSON.stringify({ key })), GatewayError);
        assert.equal(await height(network), before);
    },

    async submit() {
        const { contract } = open();
        const key = unique('submit');
        const result = parse(await contract.submitTransaction('put', JSON.stringify({ key, value: 'höhe ü 雪' })));
        assert.equal(result.key, key);
        const stored = parse(await contract.evaluateTransaction('get', JSON.stringify({ key })));
        assert.equal(stored.value, 'höhe ü 雪');
    },

    async submitAsyncAndStatus() {
        const { contract } = open();
        const key = unique('async');
        const sent = await contract.submitAsync('put', arg({ key, value: '1' }));
        assert.equal(parse(sent.getResult()).tx_id, sent.getTransactionId());
        const status = await sent.getStatus();
        assert.equal(status.code, StatusCode.VALID);
        assert.equal(status.successful, true);
        assert.equal(status.transactionId, sent.getTransactionId());
        assert.ok(status.blockNumber > 0n);
        assert.deepEqual(await sent.getStatus(), status); // asked again: the same answer
    },

    async binaryArgumentsAndResults() {
        const { contract } = open();
        const text = 'a\u0001b\n"quoted"\\ snow 雪 \u{1F41F}';
        assert.equal(utf8.decode(await contract.evaluateTransaction('echo', text)), text);
        assert.equal(utf8.decode(await contract.evaluate('echo', { arguments: [Buffer.from(text)] })), text);
    },

    async transientData() {
        const { network, contract } = open();
        const transientData = { price: 'EUR 4.20', salt: Buffer.from('s3cret') };
        const seen = parse(await contract.evaluate('transient', { ...arg({}), transientData }));
        assert.deepEqual(seen, { price: 'EUR 4.20', salt: 's3cret' });

        const start = await height(network);
        const sent = await contract.submitAsync('put', { ...arg({ key: unique('t'), value: '1' }), transientData });
        await sent.getStatus();
        const [block] = await take(await network.getBlockEvents({ startBlock: start }), 1);
        assert.ok(!Buffer.from(block.serializeBinary()).includes('EUR 4.20'), 'transient data on the ledger');
    },

    async endorsingOrganizations() {
        const { contract } = open();
        const proposal = contract.newProposal('put', {
            ...arg({ key: unique('orgs'), value: '1' }), endorsingOrganizations: config.mspIds,
        });
        const transaction = await proposal.endorse();
        const prepared = protos.gateway.PreparedTransaction.deserializeBinary(transaction.getBytes());
        const payload = protos.common.Payload.deserializeBinary(prepared.getEnvelope().getPayload_asU8());
        const [action] = protos.peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
        const endorsements = protos.peer.ChaincodeActionPayload.deserializeBinary(action.getPayload_asU8())
            .getAction().getEndorsementsList();
        const endorsers = endorsements.map((e) =>
            protos.msp.SerializedIdentity.deserializeBinary(e.getEndorser_asU8()).getMspid());
        assert.deepEqual(endorsers.sort(), [...config.mspIds].sort());
        assert.equal((await (await transaction.submit()).getStatus()).successful, true);
    },

    async offlineSigning() {
        // This side builds and sends, the other side holds the key and sees digests only.
        const sign = signerOf(config.user);
        const { gateway, contract } = open(config.user, { signer: undefined });
        const key = unique('offline');

        const unsignedProposal = contract.newProposal('put', arg({ key, value: 'kept' }));
        await rejection(unsignedProposal.endorse(), Error);
        const proposal = gateway.newSignedProposal(
            unsignedProposal.getBytes(), await sign(unsignedProposal.getDigest()));

        const unsignedTransaction = await proposal.endorse();
        assert.equal(parse(unsignedTransaction.getResult()).key, key);
        const transaction = gateway.newSignedTransaction(
            unsignedTransaction.getBytes(), await sign(unsignedTransaction.getDigest()));

        const unsignedCommit = await transaction.submit();
        const commit = gateway.newSignedCommit(unsignedCommit.getBytes(), await sign(unsignedCommit.getDigest()));
        const status = await commit.getStatus();
        assert.equal(status.code, StatusCode.VALID);

        const query = contract.newProposal('get', arg({ key }));
        const signedQuery = gateway.newSignedProposal(query.getBytes(), await sign(query.getDigest()));
        assert.equal(parse(await signedQuery.evaluate()).value, 'kept');
    },

    async offlineSigningOfEvents() {
        const sign = signerOf(config.user);
        const { gateway, network } = open(config.user, { signer: undefined });
        const online = open();
        const startBlock = await height(online.network);
        const key = unique('offline-event');
        await online.contract.submitTransaction('put', JSON.stringify({ key, value: '1' }));

        const events = network.newChaincodeEventsRequest(config.chaincode, { startBlock });
        const signedEvents = gateway.newSignedChaincodeEventsRequest(events.getBytes(), await sign(events.getDigest()));
        const [event] = await take(await signedEvents.getEvents(), 1);
        assert.equal(utf8.decode(event.payload), key);

        for (const [create, sign_] of [
            ['newBlockEventsRequest', 'newSignedBlockEventsRequest'],
            ['newFilteredBlockEventsRequest', 'newSignedFilteredBlockEventsRequest'],
            ['newBlockAndPrivateDataEventsRequest', 'newSignedBlockAndPrivateDataEventsRequest'],
        ]) {
            const request = network[create]({ startBlock });
            const signed = gateway[sign_](request.getBytes(), await sign(request.getDigest()));
            assert.equal((await take(await signed.getEvents(), 1)).length, 1);
        }
    },

    async eventsLive() {
        const { network, contract } = open();
        const events = await network.getChaincodeEvents(config.chaincode);
        await new Promise((resolve) => setTimeout(resolve, 500)); // the stream has started
        const keys = [unique('live'), unique('live'), unique('live')];
        const collecting = take(events, 3);
        const ids = [];
        for (const key of keys) {
            const sent = await contract.submitAsync('put', arg({ key, value: '1' }));
            await sent.getStatus();
            ids.push(sent.getTransactionId());
        }
        const seen = await collecting;
        assert.deepEqual(seen.map((e) => utf8.decode(e.payload)), keys);
        assert.deepEqual(seen.map((e) => e.transactionId), ids);
        assert.ok(seen.every((e) => e.eventName === 'put' && e.chaincodeName === config.chaincode));
        assert.ok(seen.every((e) => typeof e.blockNumber === 'bigint' && e.blockNumber > 0n));
    },

    async eventsReplayFromStartBlock() {
        const { network, contract } = open();
        const startBlock = await height(network);
        const keys = [unique('replay'), unique('replay')];
        for (const key of keys) {
            await contract.submitTransaction('put', JSON.stringify({ key, value: '1' }));
        }
        for (let round = 0; round < 2; round++) {
            const seen = await take(await network.getChaincodeEvents(config.chaincode, { startBlock }), 2);
            assert.deepEqual(seen.map((e) => utf8.decode(e.payload)), keys);
        }
    },

    async eventsOfInvalidTransactionsAreNotSent() {
        const { network, contract } = open();
        const startBlock = await height(network);
        const key = unique('invalid');
        await contract.submitTransaction('add', JSON.stringify({ key }));
        const pair = [contract.newProposal('add', arg({ key })), contract.newProposal('add', arg({ key }))];
        const endorsed = [await pair[0].endorse(), await pair[1].endorse()];
        for (const transaction of endorsed) {
            await (await transaction.submit()).getStatus();
        }
        const last = unique('last');
        await contract.submitTransaction('put', JSON.stringify({ key: last, value: '1' }));
        const [first] = await take(await network.getChaincodeEvents(config.chaincode, { startBlock }), 1);
        assert.equal(utf8.decode(first.payload), last);
    },

    async eventsCheckpointInMemory() {
        await eventsFromCheckpoint(checkpointers.inMemory());
    },

    async eventsCheckpointInFile() {
        const folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
        try {
            await eventsFromCheckpoint(await checkpointers.file(join(folder, 'checkpoint.json')));
        } finally {
            rmSync(folder, { recursive: true });
        }
    },

    async eventsOfAnotherChaincodeAreNotSent() {
        const { network, contract } = open();
        const startBlock = await height(network);
        await contract.submitTransaction('put', JSON.stringify({ key: unique('mine'), value: '1' }));
        const events = await network.getChaincodeEvents('another', { startBlock });
        const timer = setTimeout(() => events.close(), 700);
        const seen = [];
        try {
            for await (const event of events) {
                seen.push(event);
            }
        } catch (error) {
            assert.equal(error.code, grpcStatus.CANCELLED);
        }
        clearTimeout(timer);
        assert.equal(seen.length, 0);
    },

    async blockEvents() {
        const { network, contract } = open();
        const sent = await contract.submitAsync('put', arg({ key: unique('block'), value: '1' }));
        const { blockNumber } = await sent.getStatus();
        const blocks = await take(await network.getBlockEvents({ startBlock: 0n }), Number(blockNumber) + 1);
        blocks.forEach((block, number) => assert.equal(block.getHeader().getNumber(), number));
        for (let i = 1; i < blocks.length; i++) {
            const previous = Buffer.from(blocks[i].getHeader().getPreviousHash_asU8());
            assert.ok(previous.equals(headerHash(blocks[i - 1].getHeader())), `block ${i} is not chained`);
            const data = createHash('sha256');
            blocks[i].getData().getDataList_asU8().forEach((envelope) => data.update(envelope));
            assert.ok(Buffer.from(blocks[i].getHeader().getDataHash_asU8()).equals(data.digest()), `data of ${i}`);
        }
        assert.ok(txIdsOf(blocks[Number(blockNumber)]).includes(sent.getTransactionId()));
    },

    async blockEventsLive() {
        const { network, contract } = open();
        const events = await network.getBlockEvents();
        await new Promise((resolve) => setTimeout(resolve, 500));
        const collecting = take(events, 1);
        const sent = await contract.submitAsync('put', arg({ key: unique('next'), value: '1' }));
        const { blockNumber } = await sent.getStatus();
        const [block] = await collecting;
        assert.equal(BigInt(block.getHeader().getNumber()), blockNumber);
    },

    async filteredBlockEvents() {
        const { network, contract } = open();
        const startBlock = await height(network);
        const sent = await contract.submitAsync('put', arg({ key: unique('filtered'), value: '1' }));
        const { blockNumber } = await sent.getStatus();
        const [block] = await take(await network.getFilteredBlockEvents({ startBlock }), 1);
        assert.equal(BigInt(block.getNumber()), blockNumber);
        assert.equal(block.getChannelId(), config.channel);
        const [transaction] = block.getFilteredTransactionsList();
        assert.equal(transaction.getTxid(), sent.getTransactionId());
        assert.equal(transaction.getType(), protos.common.HeaderType.ENDORSER_TRANSACTION);
        assert.equal(transaction.getTxValidationCode(), StatusCode.VALID);
        const [action] = transaction.getTransactionActions().getChaincodeActionsList();
        assert.equal(action.getChaincodeEvent().getEventName(), 'put');
        assert.equal(action.getChaincodeEvent().getPayload_asU8().length, 0); // filtered away
    },

    async blockAndPrivateDataEvents() {
        const { network, contract } = open();
        const startBlock = await height(network);
        await contract.submitTransaction('put', JSON.stringify({ key: unique('private'), value: '1' }));
        const [event] = await take(await network.getBlockAndPrivateDataEvents({ startBlock }), 1);
        assert.equal(BigInt(event.getBlock().getHeader().getNumber()), startBlock);
        assert.equal(event.getPrivateDataMapMap().getLength(), 0);
    },

    async blockEventsFromCheckpoint() {
        const { network, contract } = open();
        const startBlock = await height(network);
        for (let i = 0; i < 3; i++) {
            await contract.submitTransaction('put', JSON.stringify({ key: unique('point'), value: '1' }));
        }
        const checkpoint = checkpointers.inMemory();
        const [first] = await take(await network.getBlockEvents({ startBlock, checkpoint }), 1);
        await checkpoint.checkpointBlock(BigInt(first.getHeader().getNumber()));
        const [second] = await take(await network.getBlockEvents({ startBlock, checkpoint }), 1);
        assert.equal(second.getHeader().getNumber(), first.getHeader().getNumber() + 1);
    },

    async endorseError() {
        const { contract } = open();
        const proposal = contract.newProposal('refuse', arg({}));
        const error = await rejection(proposal.endorse(), EndorseError);
        assert.equal(error.code, grpcStatus.ABORTED);
        assert.equal(error.transactionId, proposal.getTransactionId());
        const detail = detailOf(error, /^chaincode response 500, \{/);
        const refusal = JSON.parse(detail.message.slice(detail.message.indexOf('{')));
        assert.deepEqual(refusal, {
            code: 'BAD_ARGUMENT', message: 'the weight must be positive', where: '/mass_g',
        });
        assert.equal((await rejection(contract.submitTransaction('refuse', '{}'), EndorseError)).code, grpcStatus.ABORTED);
    },

    async evaluateError() {
        const { contract } = open();
        const error = await rejection(contract.evaluateTransaction('refuse', '{}'), GatewayError);
        assert.equal(error.code, grpcStatus.UNKNOWN);
        assert.match(error.message, /evaluate call to endorser returned error: chaincode response 500, /);
        detailOf(error, /"code":"BAD_ARGUMENT"/);
    },

    async longRefusalIsStillReadable() {
        const { contract } = open();
        const message = 'x'.repeat(20_000);
        const error = await rejection(contract.submitTransaction('refuse', JSON.stringify({ message })), EndorseError);
        assert.equal(error.code, grpcStatus.ABORTED);
        detailOf(error, /"BAD_ARGUMENT"/);
    },

    async contractThatCrashes() {
        const { contract } = open();
        const error = await rejection(contract.submitTransaction('crash', '{}'), EndorseError);
        assert.ok([grpcStatus.ABORTED, grpcStatus.UNKNOWN].includes(error.code), String(error.code));
        detailOf(error);
        assert.equal(parse(await contract.evaluateTransaction('whoami', '{}')).msp, config.user.mspId);
    },

    async commitErrorOnConflict() {
        const { contract } = open();
        const key = unique('conflict');
        const proposals = [contract.newProposal('add', arg({ key })), contract.newProposal('add', arg({ key }))];
        const endorsed = [await proposals[0].endorse(), await proposals[1].endorse()];
        const first = await (await endorsed[0].submit()).getStatus();
        assert.equal(first.successful, true);
        const second = await (await endorsed[1].submit()).getStatus();
        assert.equal(second.successful, false);
        assert.equal(second.code, StatusCode.MVCC_READ_CONFLICT);
    },

    async commitErrorIsThrown() {
        const { contract } = open();
        const key = unique('race');
        const race = await Promise.allSettled(
            Array.from({ length: 12 }, () => contract.submitTransaction('add', JSON.stringify({ key }))));
        const failed = race.filter((r) => r.status === 'rejected').map((r) => r.reason);
        assert.ok(failed.length >= 1, 'twelve concurrent counts never conflicted');
        for (const error of failed) {
            assert.ok(error instanceof CommitError, String(error));
            assert.equal(error.code, StatusCode.MVCC_READ_CONFLICT);
            assert.match(error.transactionId, /^[0-9a-f]{64}$/);
        }
        const counted = parse(await contract.evaluateTransaction('get', JSON.stringify({ key }))).value;
        assert.equal(Number(counted), race.length - failed.length);
    },

    async duplicateTransaction() {
        const { gateway, network, contract } = open();
        const startBlock = await height(network);
        const transaction = await contract.newProposal('put', arg({ key: unique('twice'), value: '1' })).endorse();
        const first = await (await transaction.submit()).getStatus();
        assert.equal(first.successful, true);
        const again = gateway.newTransaction(transaction.getBytes());
        const second = await (await again.submit()).getStatus(); // the same answer: safe to repeat
        assert.equal(second.code, StatusCode.VALID);
        await contract.submitTransaction('put', JSON.stringify({ key: unique('after'), value: '1' }));
        const blocks = await take(await network.getFilteredBlockEvents({ startBlock }), 2);
        const codes = blocks.flatMap((b) => b.getFilteredTransactionsList())
            .filter((t) => t.getTxid() === transaction.getTransactionId())
            .map((t) => t.getTxValidationCode());
        assert.deepEqual(codes, [StatusCode.VALID, StatusCode.DUPLICATE_TXID]);
    },

    async concurrentSubmits() {
        const { contract } = open();
        const keys = Array.from({ length: 50 }, (_, i) => unique(`many-${i}`));
        const results = await Promise.all(
            keys.map((key) => contract.submitTransaction('put', JSON.stringify({ key, value: key }))));
        assert.deepEqual(results.map((r) => parse(r).key), keys);
        const values = await Promise.all(
            keys.map((key) => contract.evaluateTransaction('get', JSON.stringify({ key }))));
        assert.deepEqual(values.map((v) => parse(v).value), keys);
    },

    async largePayload() {
        const { contract } = open();
        const value = 'ä'.repeat(2_500_000); // 5 MB of UTF-8, more than gRPC's default of 4 MB
        const key = unique('large');
        await contract.submitTransaction('put', JSON.stringify({ key, value }));
        const stored = parse(await contract.evaluateTransaction('get', JSON.stringify({ key })));
        assert.equal(stored.value, value);
    },

    async unknownIdentity() {
        // A certificate of the same names from another CA.
        const { contract } = open(config.stranger);
        const error = await rejection(contract.submitTransaction('whoami', '{}'), EndorseError);
        assert.equal(error.code, grpcStatus.ABORTED);
        detailOf(error, /access denied|identity|certificate/i);
        await rejection(contract.evaluateTransaction('whoami', '{}'), GatewayError);
    },

    async unknownIdentityReadsNoBlocks() {
        const { network } = open(config.stranger);
        const events = await rejection(
            take(await network.getChaincodeEvents(config.chaincode, { startBlock: 0n }), 1), Error);
        assert.match(events.message, /PERMISSION_DENIED/);
        const blocks = await rejection(take(await network.getBlockEvents({ startBlock: 0n }), 1), Error);
        assert.match(blocks.message, /403|PERMISSION_DENIED/);
    },

    async forgedSignature() {
        const other = signerOf(config.stranger);
        const { contract } = open(config.user, { signer: other });
        const error = await rejection(contract.submitTransaction('whoami', '{}'), EndorseError);
        detailOf(error, /signature|access denied/i);
        const { network } = open(config.user, { signer: other });
        const events = await rejection(
            take(await network.getChaincodeEvents(config.chaincode, { startBlock: 0n }), 1), Error);
        assert.match(events.message, /PERMISSION_DENIED/);
    },

    async forgedSignatureOnTheTransaction() {
        const sign = signerOf(config.user);
        const { gateway, contract } = open();
        const transaction = await contract.newProposal('put', arg({ key: unique('forged'), value: '1' })).endorse();
        const forged = gateway.newSignedTransaction(transaction.getBytes(), await sign(hash.sha256(Buffer.from('else'))));
        let code;
        try {
            code = (await (await forged.submit()).getStatus()).code;
        } catch (error) {
            assert.ok(error instanceof GatewayError, String(error)); // refused at the door is as good
            return;
        }
        assert.notEqual(code, StatusCode.VALID);
    },

    async wrongChannel() {
        const { gateway } = open();
        const contract = gateway.getNetwork('nowhere').getContract(config.chaincode);
        const endorse = await rejection(contract.submitTransaction('whoami', '{}'), EndorseError);
        assert.notEqual(endorse.code, grpcStatus.INTERNAL);
        assert.match(endorse.message + JSON.stringify(endorse.details), /nowhere/);
        const evaluate = await rejection(contract.evaluateTransaction('whoami', '{}'), GatewayError);
        assert.match(evaluate.message + JSON.stringify(evaluate.details), /nowhere/);
        const blocks = await rejection(
            take(await gateway.getNetwork('nowhere').getBlockEvents({ startBlock: 0n }), 1), Error);
        assert.match(blocks.message, /404|NOT_FOUND/);
    },

    async wrongChaincode() {
        const { network } = open();
        const contract = network.getContract('nothing');
        const error = await rejection(contract.submitTransaction('whoami', '{}'), EndorseError);
        assert.match(error.message + JSON.stringify(error.details), /nothing/);
        assert.notEqual(error.code, grpcStatus.INTERNAL);
    },

    async commitStatusNeedsItsSigner() {
        const { gateway, contract } = open();
        const sent = await contract.submitAsync('put', arg({ key: unique('status'), value: '1' }));
        const commit = gateway.newCommit(sent.getBytes());
        const forged = gateway.newSignedCommit(commit.getBytes(), await signerOf(config.stranger)(commit.getDigest()));
        const error = await rejection(forged.getStatus(), CommitStatusError);
        assert.equal(error.code, grpcStatus.PERMISSION_DENIED);
        assert.equal(error.transactionId, sent.getTransactionId());
        assert.equal((await sent.getStatus()).successful, true);
    },

    async commitStatusDeadline() {
        const { gateway, contract } = open();
        const transaction = await contract.newProposal('put', arg({ key: unique('never'), value: '1' })).endorse();
        const request = new protos.gateway.CommitStatusRequest();
        request.setChannelId(config.channel);
        request.setTransactionId(transaction.getTransactionId());
        request.setIdentity(identityBytes(config.user));
        const bytes = new protos.gateway.SignedCommitStatusRequest();
        bytes.setRequest(request.serializeBinary());
        const commit = gateway.newCommit(bytes.serializeBinary());
        const error = await rejection(commit.getStatus({ deadline: Date.now() + 400 }), CommitStatusError);
        assert.equal(error.code, grpcStatus.DEADLINE_EXCEEDED);
    },

    async evaluateDeadline() {
        const { contract } = open(config.user, { evaluateOptions: () => ({ deadline: Date.now() + 200 }) });
        const error = await rejection(contract.evaluateTransaction('slow', '{"ms":1200}'), GatewayError);
        assert.equal(error.code, grpcStatus.DEADLINE_EXCEEDED);
    },

    async blockBySystemChaincode() {
        const { network, contract } = open();
        const sent = await contract.submitAsync('put', arg({ key: unique('qscc'), value: '1' }));
        const { blockNumber } = await sent.getStatus();
        const qscc = network.getContract('qscc');
        const byTx = protos.common.Block.deserializeBinary(
            await qscc.evaluateTransaction('GetBlockByTxID', config.channel, sent.getTransactionId()));
        assert.equal(BigInt(byTx.getHeader().getNumber()), blockNumber);
        const byNumber = protos.common.Block.deserializeBinary(
            await qscc.evaluateTransaction('GetBlockByNumber', config.channel, String(blockNumber)));
        assert.deepEqual(byNumber.serializeBinary(), byTx.serializeBinary());
        const processed = protos.peer.ProcessedTransaction.deserializeBinary(
            await qscc.evaluateTransaction('GetTransactionByID', config.channel, sent.getTransactionId()));
        assert.equal(processed.getValidationcode(), StatusCode.VALID);
    },

    async endorsementsVerify() {
        const { contract } = open();
        const transaction = await contract.newProposal('put', arg({ key: unique('endorsed'), value: '1' })).endorse();
        const prepared = protos.gateway.PreparedTransaction.deserializeBinary(transaction.getBytes());
        const payload = protos.common.Payload.deserializeBinary(prepared.getEnvelope().getPayload_asU8());
        const [action] = protos.peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
        const endorsed = protos.peer.ChaincodeActionPayload.deserializeBinary(action.getPayload_asU8()).getAction();
        for (const endorsement of endorsed.getEndorsementsList()) {
            const endorser = endorsement.getEndorser_asU8();
            const pem = protos.msp.SerializedIdentity.deserializeBinary(endorser).getIdBytes_asU8();
            const signed = Buffer.concat([endorsed.getProposalResponsePayload_asU8(), endorser]);
            assert.ok(verify('sha256', signed, createPublicKey(Buffer.from(pem)), endorsement.getSignature_asU8()));
        }
    },

    // Run alone, by the test that revokes the identity first.
    async revoked() {
        const { contract, network } = open(config.revoked);
        const error = await rejection(contract.submitTransaction('whoami', '{}'), EndorseError);
        detailOf(error, /revoked|access denied/i);
        await rejection(contract.evaluateTransaction('whoami', '{}'), GatewayError);
        const events = await rejection(
            take(await network.getChaincodeEvents(config.chaincode, { startBlock: 0n }), 1), Error);
        assert.match(events.message, /PERMISSION_DENIED/);
    },
};

const ALONE = new Set(['revoked']);

async function eventsFromCheckpoint(checkpoint) {
    const { network, contract } = open();
    const startBlock = await height(network);
    const keys = Array.from({ length: 5 }, (_, i) => unique(`point-${i}`));
    const sent = [];
    for (const key of keys) { // unawaited commits: several transactions share a block
        sent.push(await contract.submitAsync('put', arg({ key, value: '1' })));
    }
    await Promise.all(sent.map((s) => s.getStatus()));
    const seen = [];
    for (let round = 0; round < 5; round++) { // resume after every single event
        const events = await network.getChaincodeEvents(config.chaincode, { startBlock, checkpoint });
        const [event] = await take(events, 1);
        await checkpoint.checkpointChaincodeEvent(event);
        seen.push(utf8.decode(event.payload));
    }
    assert.deepEqual(seen.sort(), [...keys].sort());
}

function identityBytes(user) {
    const identity = new protos.msp.SerializedIdentity();
    identity.setMspid(user.mspId);
    identity.setIdBytes(readFileSync(user.certificate));
    return identity.serializeBinary();
}

function headerHash(header) {
    const der = (tag, body) => {
        const size = body.length < 0x80 ? [body.length] : [0x81, body.length];
        return Buffer.concat([Buffer.from([tag, ...size]), body]);
    };
    let hex = header.getNumber().toString(16);
    hex = hex.length % 2 ? `0${hex}` : hex;
    hex = parseInt(hex.slice(0, 2), 16) >= 0x80 ? `00${hex}` : hex;
    const body = Buffer.concat([
        der(0x02, Buffer.from(hex, 'hex')),
        der(0x04, Buffer.from(header.getPreviousHash_asU8())),
        der(0x04, Buffer.from(header.getDataHash_asU8())),
    ]);
    return createHash('sha256').update(der(0x30, body)).digest();
}

async function main() {
    const chosen = process.argv.slice(3);
    if (chosen[0] === '--list') {
        console.log(JSON.stringify(Object.keys(scenarios).filter((name) => !ALONE.has(name))));
        return;
    }
    const names = chosen.length ? chosen : Object.keys(scenarios).filter((name) => !ALONE.has(name));
    let failures = 0;
    for (const name of names) {
        const began = Date.now();
        const told = { name, ok: true };
        try {
            await scenarios[name]();
        } catch (error) {
            failures += 1;
            Object.assign(told, { ok: false, error: error.stack ?? String(error) });
        }
        console.log(JSON.stringify({ ...told, ms: Date.now() - began }));
    }
    client.close();
    process.exitCode = failures ? 1 : 0;
}

await main();
