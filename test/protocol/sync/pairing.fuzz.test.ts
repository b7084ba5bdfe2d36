/** The fuzz promise of pairing: whatever arrives in whatever order, one end; nothing is stored but what the authority sealed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { signTyped, x25519PublicKey } from "../../../protocol/crypto.ts";
import { authorityKeysFromSeed, authorityPublicKeys, derivePairingKeys } from "../../../protocol/sync/authority.ts";
import { CourierPairing, LockPairing, pairingIdOf, sealDailyKeys } from "../../../protocol/sync/pairing.ts";
import { KEYSET_SIGNED_TYPE, keyset, rootPublicKey, signKeyset } from "../../../protocol/wire/keyset.ts";
import { dailyKeyList, pairingCourierMessage, pairingLockMessage } from "../../../protocol/wire/pairing-message.ts";
import { dailyKeysHeader, seal } from "../../../protocol/wire/sealing.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { lockStaticKey } from "../../world/session-pair.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../fuzz.ts";

const rootSeed = seededBytes(50, 32);
const root = rootPublicKey(rootSeed);
const authority = authorityKeysFromSeed(seededBytes(51, 32));
const value = { epoch: 1, notAfter: unixSeconds(2_000_000_000), ...authorityPublicKeys(authority) };
const signed = signKeyset(rootSeed, value);
const handshakeHash = seededBytes(54, 32);
const pairingId = pairingIdOf(x25519PublicKey(lockStaticKey), value.static, handshakeHash);
const keys = derivePairingKeys(lockStaticKey, value.static, pairingId);
if (keys === undefined) throw new Error("the keys of this test");
const list = { keys: [{ keyId: 3, key: seededBytes(53, 32) }] };
const sealed = sealDailyKeys(keys, pairingId, list);
const offer = pairingCourierMessage.encode({ kind: "offer", root, keyset: signed.bytes, signature: signed.signature });
const handOver = pairingCourierMessage.encode({ kind: "hand-over", sealed });

const strangeOffer = almost([signed.bytes]).map((bytes) => {
  const short = bytes.slice(0, 256);
  const signature = signTyped(rootSeed, KEYSET_SIGNED_TYPE, short);
  return pairingCourierMessage.encode({ kind: "offer", root, keyset: short, signature });
});
const strangeHandOver = almost([dailyKeyList.encode(list)]).map((bytes) => {
  const plaintext = bytes.slice(0, 384);
  const strange = seal("daily-keys", keys.dailyKeys, dailyKeysHeader(pairingId, 0), plaintext);
  return pairingCourierMessage.encode({ kind: "hand-over", sealed: strange });
});
const toLock = fc.oneof(
  { weight: 4, arbitrary: fc.constant(offer) },
  { weight: 3, arbitrary: fc.constant(handOver) },
  { weight: 2, arbitrary: strangeOffer },
  { weight: 2, arbitrary: strangeHandOver },
  { weight: 2, arbitrary: almost([offer, handOver]) },
);

describe("a pairing", () => {
  it("[Z9] a lock commits at most once, and only a keyset of its root and a list that opened", fuzzTimeout, () => {
    const seen = { committed: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(toLock, { maxLength: 5 }), fc.boolean(), (messages, works) => {
        const facts = { model: "C2", firmware: "1.4.2", hardware: "rev-b", bootCount: 2 };
        const lock = new LockPairing({
          staticPrivateKey: lockStaticKey,
          handshakeHash,
          judgedAt: unixSeconds(0),
          facts,
        });
        let [commits, ends] = [0, 0];
        for (const bytes of messages) {
          lock.receive(bytes);
          for (const action of lock.takeActions()) {
            if (action.kind === "end") ends++;
            else {
              commits++;
              expect(bytesToHex(keyset.encode(action.record.keyset.keyset))).toBe(
                bytesToHex(action.record.keyset.bytes),
              );
              expect(action.record.dailyKeys.length).toBeLessThanOrEqual(8);
              if (works) lock.committed();
              else lock.commitFailed();
            }
          }
          ends += lock.takeActions().length;
          const answers = lock.takeMessages().map((answer) => pairingLockMessage.decode(answer));
          expect(answers.every(({ ok }) => ok)).toBe(true);
          expect(answers.length).toBeLessThanOrEqual(1);
        }
        seen[commits === 1 ? "committed" : "refused"]++;
        expect(commits).toBeLessThanOrEqual(1);
        expect(ends).toBeLessThanOrEqual(1);
      }),
      fuzzRuns(250),
    );
    expect(Math.min(seen.committed, seen.refused)).toBeGreaterThan(0);
  });

  it("[Z9] messages that come while the lock stores change nothing", fuzzTimeout, () => {
    fc.assert(
      fc.property(fc.array(toLock, { maxLength: 3 }), (messages) => {
        const facts = { model: "C2", firmware: "1.4.2", hardware: "rev-b", bootCount: 2 };
        const lock = new LockPairing({
          staticPrivateKey: lockStaticKey,
          handshakeHash,
          judgedAt: unixSeconds(0),
          facts,
        });
        lock.receive(offer);
        lock.receive(handOver);
        for (const bytes of messages) lock.receive(bytes);
        expect(lock.takeActions().map(({ kind }) => kind)).toEqual(["commit"]);
        const answers = lock.takeMessages().length;
        lock.committed();
        expect(lock.takeActions()).toEqual([{ kind: "end" }]);
        expect(answers).toBe(1 + messages.length);
        const [last] = lock.takeMessages().map((answer) => pairingLockMessage.decode(answer));
        expect(last).toMatchObject({ ok: true, value: { kind: "paired" } });
      }),
      fuzzRuns(100),
    );
  });

  it("[Z9] a courier hears at most one end", fuzzTimeout, () => {
    const sound = [
      pairingLockMessage.encode({ kind: "accept", statement: seededBytes(1, 90), mac: seededBytes(2, 32) }),
      pairingLockMessage.encode({ kind: "paired", mac: seededBytes(3, 32) }),
      pairingLockMessage.encode({ kind: "refused", refusal: "expired" }),
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...sound), almost(sound)), { maxLength: 5 }), (messages) => {
        const courier = new CourierPairing(root, signed);
        let ends = 0;
        for (const bytes of messages) {
          courier.receive(bytes);
          const events = courier.takeEvents();
          ends += events.filter(({ kind }) => kind !== "accepted").length;
          // The authority answers at once, but only where the pairing still stands.
          if (events.at(-1)?.kind === "accepted") courier.handOver(sealed);
          expect(courier.takeMessages().length).toBeLessThanOrEqual(2);
        }
        expect(ends).toBeLessThanOrEqual(1);
      }),
      fuzzRuns(200),
    );
  });
});
