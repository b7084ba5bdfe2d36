import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { authorityKeysFromSeed, authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import {
  CourierPairing,
  type CourierPairingEvent,
  isPairingConfirmed,
  LockPairing,
  type LockPairingAction,
  type LockPairingOptions,
  type LockPairingRecord,
  pairingIdOf,
  pairingPrologue,
  sealDailyKeys,
  verifyPairingStatement,
} from "../../../protocol/sync/pairing.ts";
import { rootFingerprint, rootPublicKey, signKeyset } from "../../../protocol/wire/keyset.ts";
import { pairingCourierMessage, pairingLockMessage } from "../../../protocol/wire/pairing-message.ts";
import { setupPresharedKey } from "../../../protocol/wire/setup-code.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { closedOf, lockStaticKey, SessionPair, type SessionPairOptions } from "../../world/session-pair.ts";

const rootSeed = seededBytes(50, 32);
const root = rootPublicKey(rootSeed);
const authority = authorityKeysFromSeed(seededBytes(51, 32));
const keyset = { epoch: 1, notAfter: unixSeconds(2_000_000_000), ...authorityPublicKeys(authority) };
const signed = signKeyset(rootSeed, keyset);
const secret = seededBytes(52, 16);
const dailyKeys = { keys: [{ keyId: 3, key: seededBytes(53, 32) }] };
const facts = { model: "C2", firmware: "1.4.2", hardware: "rev-b", bootCount: 2 };
const handshakeHash = seededBytes(54, 32);

function lockOptions(overrides: Partial<LockPairingOptions> = {}): LockPairingOptions {
  return { staticPrivateKey: lockStaticKey, handshakeHash, judgedAt: unixSeconds(0), facts, ...overrides };
}

interface Outcome {
  readonly record: LockPairingRecord | undefined;
  readonly events: readonly CourierPairingEvent[];
  readonly sealed: Uint8Array | undefined;
}

/** Lock and courier face to face, the authority at the courier's side. */
function converse(lock: LockPairing, courier: CourierPairing, store: "works" | "fails" = "works"): Outcome {
  const events: CourierPairingEvent[] = [];
  let record: LockPairingRecord | undefined;
  let sealed: Uint8Array | undefined;
  for (let step = 0; step < 8; step++) {
    for (const message of courier.takeMessages()) lock.receive(message);
    for (const action of lock.takeActions()) {
      if (action.kind !== "commit") continue;
      if (store === "works") {
        record = action.record;
        lock.committed();
      } else lock.commitFailed();
    }
    for (const message of lock.takeMessages()) courier.receive(message);
    for (const event of courier.takeEvents()) {
      events.push(event);
      if (event.kind !== "accepted") continue;
      sealed = sealedFor(event);
      courier.handOver(sealed);
    }
  }
  return { record, events, sealed };
}

function sealedFor({ statement, mac }: { readonly statement: Uint8Array; readonly mac: Uint8Array }): Uint8Array {
  const verified = verifyPairingStatement(authority.static, statement, mac);
  if (!verified.ok) throw new Error(verified.fault.code);
  return sealDailyKeys(verified.value.keys, verified.value.statement.pairingId, dailyKeys);
}

const refusalOf = (outcome: Outcome) =>
  outcome.events.flatMap((event) => (event.kind === "refused" ? [event.refusal] : []))[0];

describe("pairing", () => {
  it("[Z7] [Z8] [Z9] lock and authority end with the same id and keys, and the door's daily keys arrive", () => {
    const { record, events, sealed } = converse(
      new LockPairing(lockOptions({ rootFingerprint: rootFingerprint(root) })),
      new CourierPairing(root, signed),
    );
    const accepted = events[0];
    if (accepted?.kind !== "accepted" || record === undefined || sealed === undefined) throw new Error("no pairing");
    const verified = verifyPairingStatement(authority.static, accepted.statement, accepted.mac);
    if (!verified.ok) throw new Error("no statement");
    expect(verified.value.keys).toEqual(record.keys);
    expect(verified.value.statement).toEqual({
      ...facts,
      pairingId: record.pairingId,
      lockPublicKey: x25519PublicKey(lockStaticKey),
      epoch: 1,
    });
    expect(record.dailyKeys).toEqual(dailyKeys.keys);
    expect(record.root).toEqual(root);
    expect(record.keyset).toEqual({ keyset, bytes: signed.bytes });
    const paired = events[1];
    if (paired?.kind !== "paired") throw new Error("not paired");
    expect(isPairingConfirmed(record.keys, record.pairingId, sealed, paired.mac)).toBe(true);
    expect(isPairingConfirmed(record.keys, record.pairingId, sealed.subarray(1), paired.mac)).toBe(false);
  });

  it("[Z8] [Z9] the pairing id and the MACs, by node:crypto from SPEC", () => {
    const lockKey = x25519PublicKey(lockStaticKey);
    const id = createHash("sha256")
      .update("doorlink/1/pairing-id")
      .update(lockKey)
      .update(keyset.static)
      .update(handshakeHash)
      .digest()
      .subarray(0, 16);
    expect(bytesToHex(pairingIdOf(lockKey, keyset.static, handshakeHash))).toBe(id.toString("hex"));
    const { record, events, sealed } = converse(new LockPairing(lockOptions()), new CourierPairing(root, signed));
    const [accepted, paired] = events;
    if (accepted?.kind !== "accepted" || paired?.kind !== "paired" || record === undefined)
      throw new Error("no pairing");
    const hmac = (...parts: Uint8Array[]) =>
      createHmac("sha256", record.keys.report).update(Buffer.concat(parts)).digest("hex");
    expect(bytesToHex(accepted.mac)).toBe(hmac(Buffer.from("doorlink/1/pairing-statement\0"), accepted.statement));
    expect(bytesToHex(paired.mac)).toBe(
      hmac(Buffer.from("doorlink/1/paired\0"), record.pairingId, sealed ?? new Uint8Array(0)),
    );
  });

  it("[Z7] the printed root decides, then the signature, then the end", () => {
    const otherRoot = seededBytes(60, 32);
    const other = new CourierPairing(rootPublicKey(otherRoot), signKeyset(otherRoot, keyset));
    expect(refusalOf(converse(new LockPairing(lockOptions({ rootFingerprint: rootFingerprint(root) })), other))).toBe(
      "root-mismatch",
    );
    const forged = new CourierPairing(root, { bytes: signed.bytes, signature: new Uint8Array(64) });
    expect(refusalOf(converse(new LockPairing(lockOptions()), forged))).toBe("bad-signature");
    const late = new LockPairing(lockOptions({ judgedAt: unixSeconds(2_000_000_001) }));
    expect(refusalOf(converse(late, new CourierPairing(root, signed)))).toBe("expired");
    const lowOrder = signKeyset(rootSeed, { ...keyset, static: new Uint8Array(32) });
    expect(refusalOf(converse(new LockPairing(lockOptions()), new CourierPairing(root, lowOrder)))).toBe(
      "low-order-key",
    );
  });

  it("[Z9] nothing is stored before the authority's hand-over opens, and a failed write is said", () => {
    const lock = new LockPairing(lockOptions());
    const courier = new CourierPairing(root, signed);
    for (const message of courier.takeMessages()) lock.receive(message);
    expect(lock.takeActions()).toEqual([]);
    lock.receive(pairingCourierMessage.encode({ kind: "hand-over", sealed: seededBytes(1, 60) }));
    expect(lock.takeMessages().map((bytes) => pairingLockMessage.decode(bytes))).toMatchObject([
      { value: { kind: "accept" } },
      { value: { kind: "refused", refusal: "seal-does-not-open" } },
    ]);
    expect(lock.takeActions()).toEqual([{ kind: "end" }]);
    expect(refusalOf(converse(new LockPairing(lockOptions()), new CourierPairing(root, signed), "fails"))).toBe(
      "storage-failed",
    );
  });

  it("[Z9] a message that comes while the lock stores is refused, and the firmware's answer still counts", () => {
    for (const outcome of ["paired", "refused"] as const) {
      const lock = new LockPairing(lockOptions());
      const courier = new CourierPairing(root, signed);
      for (const message of courier.takeMessages()) lock.receive(message);
      for (const answer of lock.takeMessages()) courier.receive(answer);
      const [accepted] = courier.takeEvents();
      if (accepted?.kind !== "accepted") throw new Error("no statement");
      const read = verifyPairingStatement(authority.static, accepted.statement, accepted.mac);
      if (!read.ok) throw new Error(read.fault.code);
      courier.handOver(sealDailyKeys(read.value.keys, read.value.statement.pairingId, dailyKeys));
      for (const message of courier.takeMessages()) lock.receive(message);
      lock.receive(seededBytes(1, 3));
      expect(lock.takeActions().map(({ kind }) => kind)).toEqual(["commit"]);
      if (outcome === "paired") lock.committed();
      else lock.commitFailed();
      expect(lock.takeActions()).toEqual([{ kind: "end" }]);
      const answers = lock.takeMessages().map((bytes) => pairingLockMessage.decode(bytes));
      expect(answers).toMatchObject([{ value: { refusal: "malformed-message" } }, { value: { kind: outcome } }]);
    }
  });

  it("[Z9] a lock that ends the pairing while the authority is asked: what it seals then goes nowhere", () => {
    const lock = new LockPairing(lockOptions());
    const courier = new CourierPairing(root, signed);
    for (const message of courier.takeMessages()) lock.receive(message);
    for (const answer of lock.takeMessages()) courier.receive(answer);
    courier.receive(seededBytes(1, 3));
    const [accepted, ended] = courier.takeEvents();
    if (accepted?.kind !== "accepted") throw new Error("no statement");
    expect(ended).toEqual({ kind: "bad-answer" });
    courier.handOver(sealedFor(accepted));
    expect(courier.takeMessages()).toEqual([]);
    expect(courier.takeEvents()).toEqual([]);
  });

  it("[Z9] a courier cannot pass for the lock or seal for the authority", () => {
    const { events } = converse(new LockPairing(lockOptions()), new CourierPairing(root, signed));
    const accepted = events[0];
    if (accepted?.kind !== "accepted") throw new Error("no statement");
    const flipped = accepted.mac.map((byte) => byte ^ 1);
    expect(verifyPairingStatement(authority.static, accepted.statement, flipped)).toEqual({
      ok: false,
      fault: { code: "statement-bad-mac" },
    });
    expect(verifyPairingStatement(seededBytes(61, 32), accepted.statement, accepted.mac)).toEqual({
      ok: false,
      fault: { code: "statement-bad-mac" },
    });
    expect(verifyPairingStatement(authority.static, accepted.statement.subarray(1), accepted.mac)).toEqual({
      ok: false,
      fault: { code: "malformed-statement" },
    });
  });

  it("[Z9] any message in any state gives an answer and no throw, at either end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, offered) => {
        const lock = new LockPairing(lockOptions());
        const courier = new CourierPairing(root, signed);
        const offer = courier.takeMessages();
        if (offered) for (const message of offer) lock.receive(message);
        lock.receive(bytes);
        const answers = lock.takeMessages().map((answer) => pairingLockMessage.decode(answer));
        expect(answers.at(-1)).toMatchObject({ ok: true, value: { kind: "refused" } });
        courier.receive(bytes);
        expect(courier.takeEvents()).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
    const lock = new LockPairing(lockOptions());
    lock.receive(pairingCourierMessage.encode({ kind: "hand-over", sealed: new Uint8Array(16) }));
    expect(lock.takeMessages().map((bytes) => pairingLockMessage.decode(bytes))).toMatchObject([
      { value: { refusal: "unexpected-message" } },
    ]);
    lock.receive(new Uint8Array(0));
    expect(lock.takeMessages()).toEqual([]);
  });
});

/** The whole way: a session under the setup secret over a lossy link, and the pairing inside it. */
function pairOverTheAir(
  seed: number,
  overrides: Partial<SessionPairOptions> = {},
  lockKey = lockStaticKey,
): LockPairingRecord | undefined {
  const pair = new SessionPair({
    seed,
    link: { loss: 0.1, duplication: 0.05, reorderDepth: 4 },
    pairingSecret: setupPresharedKey(secret),
    courier: { prologue: pairingPrologue },
    lock: { prologue: pairingPrologue, staticPrivateKey: lockKey },
    ...overrides,
  });
  pair.run(() => pair.lock.events.length > 0 && pair.courier.events.length > 0);
  const established = pair.lock.events[0];
  if (established?.kind !== "established") return undefined;
  const lock = new LockPairing(lockOptions({ staticPrivateKey: lockKey, handshakeHash: established.handshakeHash }));
  const courier = new CourierPairing(root, signed);
  let record: LockPairingRecord | undefined;
  const taken = { lock: 0, courier: 0 };
  const carryOut = (action: LockPairingAction): void => {
    if (action.kind === "end") return pair.lock.session.finish();
    record = action.record;
    lock.committed();
  };
  const exchange = (): boolean => {
    for (const message of pair.lock.messages.slice(taken.lock)) lock.receive(message);
    taken.lock = pair.lock.messages.length;
    for (const message of pair.courier.messages.slice(taken.courier)) courier.receive(message);
    taken.courier = pair.courier.messages.length;
    for (const event of courier.takeEvents()) if (event.kind === "accepted") courier.handOver(sealedFor(event));
    for (const message of courier.takeMessages()) pair.courier.session.send(message);
    for (let actions = lock.takeActions(); actions.length > 0; actions = lock.takeActions()) {
      for (const message of lock.takeMessages()) pair.lock.session.send(message);
      for (const action of actions) carryOut(action);
    }
    for (const message of lock.takeMessages()) pair.lock.session.send(message);
    pair.drain();
    return closedOf(pair.courier) !== undefined && closedOf(pair.lock) !== undefined;
  };
  pair.run(exchange);
  return record;
}

describe("pairing over the air", () => {
  it("[Z7] works over a link that loses, doubles and reorders", () => {
    for (const seed of [1, 2, 3, 4]) expect(pairOverTheAir(seed)?.dailyKeys).toEqual(dailyKeys.keys);
  });

  it("[Z7] without the setup secret there is no session to pair in", () => {
    const lock = { prologue: pairingPrologue, pairingSecret: setupPresharedKey(seededBytes(70, 16)) };
    expect(pairOverTheAir(1, { lock })).toBeUndefined();
  });

  it("[Z10] after a factory reset the setup code pairs again: another static key, another id, other keys", () => {
    const before = pairOverTheAir(1);
    const after = pairOverTheAir(2, {}, seededBytes(71, 32));
    if (before === undefined || after === undefined) throw new Error("not paired");
    expect(after.pairingId).not.toEqual(before.pairingId);
    for (const use of ["report", "entryTag", "codeHash", "bundle", "audit", "dailyKeys"] as const) {
      expect(after.keys[use]).not.toEqual(before.keys[use]);
    }
    // Even with the same static key, as after a reset that was cut short, no pairing is like another.
    expect(pairOverTheAir(3)?.pairingId).not.toEqual(before.pairingId);
  });
});
