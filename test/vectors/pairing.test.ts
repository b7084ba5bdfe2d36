import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import type { PairingKeys } from "../../protocol/sync/authority.ts";
import {
  CourierPairing,
  isPairingConfirmed,
  LockPairing,
  type LockPairingOptions,
  pairingIdOf,
  sealDailyKeys,
  verifyPairingStatement,
} from "../../protocol/sync/pairing.ts";
import type { DailyKeyList } from "../../protocol/wire/pairing-message.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { outcomeOf, readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly rootPublicKey: Uint8Array;
  readonly rootFingerprint: Uint8Array;
  readonly judgedAt: UnixSeconds;
  readonly lockStaticPrivate: Uint8Array;
  readonly lockStaticPublic: Uint8Array;
  readonly authorityStaticPrivate: Uint8Array;
  readonly authorityStaticPublic: Uint8Array;
  readonly handshakeHash: Uint8Array;
  readonly facts: LockPairingOptions["facts"];
  readonly keyset: SignedBlob;
  readonly pairingId: Uint8Array;
  readonly keys: PairingKeys;
  readonly offer: Uint8Array;
  readonly accept: Uint8Array;
  readonly statement: Uint8Array;
  readonly statementMac: Uint8Array;
  readonly dailyKeys: DailyKeyList["keys"];
  readonly sealedDailyKeys: Uint8Array;
  readonly handOver: Uint8Array;
  readonly paired: Uint8Array;
  readonly pairedMac: Uint8Array;
  readonly storageFailed: Uint8Array;
  readonly refused: readonly {
    readonly what: string;
    readonly rule: string;
    readonly messages: readonly Uint8Array[];
    readonly answer: Uint8Array;
    /** The offer was taken before. */
    readonly accepted?: true;
  }[];
  readonly statements: readonly {
    readonly what: string;
    readonly bytes: Uint8Array;
    readonly mac: Uint8Array;
    readonly expect: string;
  }[];
  readonly confirmations: readonly { readonly what: string; readonly mac: Uint8Array; readonly expect: boolean }[];
}>("pairing.json");
const { pairingId, keys } = vectors;

function unpairedLock(): LockPairing {
  const { lockStaticPrivate: staticPrivateKey, rootFingerprint, handshakeHash, judgedAt, facts } = vectors;
  return new LockPairing({ staticPrivateKey, rootFingerprint, handshakeHash, judgedAt, facts });
}
const hexOf = (messages: readonly Uint8Array[]) => messages.map(bytesToHex);

describe("pairing.json", () => {
  it("[Z8] the pairing id", () => {
    const id = pairingIdOf(vectors.lockStaticPublic, vectors.authorityStaticPublic, vectors.handshakeHash);
    expect(bytesToHex(id)).toBe(bytesToHex(pairingId));
  });

  it("[Z9] a lock accepts and confirms as written by hand, and stores all in one write", () => {
    const lock = unpairedLock();
    lock.receive(vectors.offer);
    expect(hexOf(lock.takeMessages())).toEqual(hexOf([vectors.accept]));
    lock.receive(vectors.handOver);
    expect(lock.takeMessages()).toEqual([]);
    const [action, ...rest] = lock.takeActions();
    const { rootPublicKey: root, dailyKeys } = vectors;
    expect(action).toMatchObject({ kind: "commit", record: { pairingId, root, keys, dailyKeys } });
    expect(rest).toEqual([]);
    lock.committed();
    expect(hexOf(lock.takeMessages())).toEqual(hexOf([vectors.paired]));
  });

  it("[Z9] a courier offers, hands over and hears it as written by hand", () => {
    const courier = new CourierPairing(vectors.rootPublicKey, vectors.keyset);
    expect(hexOf(courier.takeMessages())).toEqual(hexOf([vectors.offer]));
    courier.receive(vectors.accept);
    courier.handOver(vectors.sealedDailyKeys);
    expect(hexOf(courier.takeMessages())).toEqual(hexOf([vectors.handOver]));
    courier.receive(vectors.paired);
    expect(courier.takeEvents()).toEqual([
      { kind: "accepted", statement: vectors.statement, mac: vectors.statementMac },
      { kind: "paired", mac: vectors.pairedMac },
    ]);
    const unlucky = new CourierPairing(vectors.rootPublicKey, vectors.keyset);
    unlucky.receive(vectors.storageFailed);
    expect(unlucky.takeEvents()).toEqual([{ kind: "refused", refusal: "storage-failed" }]);
  });

  it("[X11] the authority seals the daily keys as written by hand", () => {
    expect(bytesToHex(sealDailyKeys(keys, pairingId, { keys: vectors.dailyKeys }))).toBe(
      bytesToHex(vectors.sealedDailyKeys),
    );
  });

  it.each(vectors.refused)("[$rule] a lock refuses $what", ({ messages, answer, accepted }) => {
    const lock = unpairedLock();
    for (const message of messages) lock.receive(message);
    expect(hexOf(lock.takeMessages())).toEqual(hexOf(accepted === true ? [vectors.accept, answer] : [answer]));
    expect(lock.takeActions()).toEqual([{ kind: "end" }]);
  });

  it.each(vectors.statements)("[Z9] the authority reads $what", ({ bytes, mac, expect: code }) => {
    const verified = verifyPairingStatement(vectors.authorityStaticPrivate, bytes, mac);
    expect(outcomeOf(verified)).toBe(code);
    if (verified.ok) expect(verified.value.keys).toEqual(keys);
  });

  it.each(vectors.confirmations)("[Z9] the authority hears $what", ({ mac, expect: isConfirmed }) => {
    expect(isPairingConfirmed(keys, pairingId, vectors.sealedDailyKeys, mac)).toBe(isConfirmed);
  });
});
