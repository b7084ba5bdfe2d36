import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../protocol/base/bytes.ts";
import { monotonicMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, signTyped, x25519PublicKey } from "../../../protocol/crypto.ts";
import { authorityKeysFromSeed, issueAppCertificate } from "../../../protocol/sync/authority.ts";
import { isAppGreeting, LockAccess } from "../../../protocol/sync/lock-access.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { PhoneAccess } from "../../../protocol/sync/phone-access.ts";
import { accessProof, appCertificate, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { type CourierMessage, courierMessage, lockMessage } from "../../../protocol/wire/sync-message.ts";
import {
  appCertificateFor,
  challengeOf,
  judgeAt,
  phoneStaticKey,
  runAccess,
  setClock,
  signingKey,
  startSeconds,
} from "../../world/access-pair.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  courierKey,
  pairing,
  pairingId,
  policyOf,
  signedKeyset,
  TinyLock,
} from "../../world/sync-pair.ts";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/app-access.json", import.meta.url), "utf8"));
const hex = (text: string): Uint8Array => hexToBytes(text) ?? new Uint8Array(0);
const hours = (count: number) => unixSeconds(startSeconds + count * 3_600);
const phoneKey = x25519PublicKey(phoneStaticKey);
const judged = (run: ReturnType<typeof runAccess>) => run.actions.some(({ kind }) => kind === "judge");

describe("app certificates and access requests, bytes from outside", () => {
  const vectorPairing = {
    ...pairing,
    pairingId: hex(vectors.pairingIdHex),
    keyset: {
      ...pairing.keyset,
      keyset: { ...pairing.keyset.keyset, courier: hex(vectors.authorityPublicKeyHex) },
    },
  };
  const peer = {
    staticPublicKey: hex(vectors.phoneStaticPublicHex),
    handshakeHash: hex(vectors.proof.handshakeHashHex),
  };

  it.each<{ what: string; locks: string[]; bytesHex: string; signatureHex: string }>(vectors.certificates)(
    "[Y10] writes and signs the certificate as written by hand: $what",
    ({ locks, bytesHex, signatureHex }) => {
      const keys = { ...authorityKeys, courier: hex(vectors.authoritySeedHex) };
      const certificate = {
        staticPublicKey: x25519PublicKey(hex(vectors.phoneStaticPrivateHex)),
        signingPublicKey: ed25519PublicKey(hex(vectors.phoneSigningSeedHex)),
        credential: vectors.credential,
        locks: locks.map(hex),
        issuedAt: unixSeconds(vectors.issuedAt),
        notAfter: unixSeconds(vectors.notAfter),
      };
      const blob = issueAppCertificate(keys, certificate);
      expect([bytesToHex(blob.bytes), bytesToHex(blob.signature)]).toEqual([bytesHex, signatureHex]);
      expect(appCertificate.decode(hex(bytesHex))).toEqual({ ok: true, value: certificate });
    },
  );

  it("[Y12] takes the visit written by hand, and asks the firmware to judge what the certificate says", () => {
    const lock = new LockAccess(vectorPairing, peer, hex(vectors.proof.challengeHex));
    lock.receive(hex(vectors.messages["app-greet"]));
    expect(lock.takeMessages().map(bytesToHex)).toEqual([vectors.messages.challenge]);
    lock.receive(hex(vectors.messages["access-request"]));
    const { credential: credentialId, issuedAt, notAfter } = vectors;
    const attempt = { kind: "app", credentialId, certificate: { issuedAt, notAfter } };
    expect(lock.takeActions()).toEqual([{ kind: "judge", attempt }]);
  });

  it("[Y13] answers as written by hand, granted and denied", () => {
    const answer = (judgement: Parameters<LockAccess["judged"]>[0]) => {
      const lock = new LockAccess(vectorPairing, peer, hex(vectors.proof.challengeHex));
      lock.receive(hex(vectors.messages["app-greet"]));
      lock.receive(hex(vectors.messages["access-request"]));
      lock.judged(judgement);
      return lock.takeMessages().slice(1).map(bytesToHex);
    };
    expect(answer({ granted: true, failedChecks: [], warnings: ["BATTERY_LOW"] })).toEqual([vectors.messages.granted]);
    const failedChecks = ["APP_SESSION_EXPIRED", "OUT_OF_SCHEDULE"] as const;
    expect(answer({ granted: false, failedChecks, warnings: [] })).toEqual([vectors.messages.denied]);
  });

  it("[Y12] a phone greets and signs as written by hand", () => {
    const [{ bytesHex, signatureHex }] = vectors.certificates;
    const certificate = { bytes: hex(bytesHex), signature: hex(signatureHex) };
    const phone = new PhoneAccess(
      { signingPrivateKey: hex(vectors.phoneSigningSeedHex), certificate },
      { pairingId: vectorPairing.pairingId, handshakeHash: peer.handshakeHash },
    );
    phone.receive(hex(vectors.messages.challenge));
    expect(phone.takeMessages().map(bytesToHex)).toEqual([
      vectors.messages["app-greet"],
      vectors.messages["access-request"],
    ]);
    phone.receive(hex(vectors.messages.denied));
    expect(phone.takeEvent()).toEqual({
      kind: "denied",
      reason: "APP_SESSION_EXPIRED",
      failedChecks: ["APP_SESSION_EXPIRED", "OUT_OF_SCHEDULE"],
      warnings: [],
    });
  });

  it.each<{ what: string; bytesHex: string; signatureHex: string; expect: string }>(vectors.broken)(
    "[Y11] refuses a certificate: $what",
    ({ bytesHex, signatureHex, expect: refusal }) => {
      const lock = new LockAccess(vectorPairing, peer, challengeOf(1));
      const greeting = { certificate: hex(bytesHex), signature: hex(signatureHex) };
      lock.receive(courierMessage.encode({ kind: "app-greet", ...greeting }));
      const answers = lock.takeMessages().map((bytes) => lockMessage.decode(bytes));
      expect(answers).toEqual([{ ok: true, value: { kind: "refused", request: "app-greet", refusal } }]);
      expect(lock.takeActions()).toEqual([{ kind: "end" }]);
    },
  );
});

describe("a phone at a lock, over a session", () => {
  it("row 63: [Y13] is let in by its certificate and its key, and the lock ends the visit", () => {
    const run = runAccess();
    expect(run.event).toEqual({ kind: "granted", warnings: [] });
    expect(run.actions.map(({ kind }) => kind)).toEqual(["judge", "end"]);
  });

  it("[Y11] hears nothing of the lock but a challenge before it has proved itself", () => {
    const [first] = runAccess().toPhone;
    expect(lockMessage.decode(first ?? new Uint8Array(0))).toEqual({
      ok: true,
      value: { kind: "challenge", challenge: challengeOf(1) },
    });
  });

  it("[Y13] is told every failed check, the primary one first", () => {
    const lost = judgeAt(hours(80), setClock(hours(80)), { state: "lost" });
    expect(runAccess({ judge: lost }).event).toMatchObject({
      kind: "denied",
      reason: "CREDENTIAL_LOST",
      failedChecks: ["CREDENTIAL_LOST", "APP_SESSION_EXPIRED"],
    });
  });
});

describe("hostile phones", () => {
  it("[Y12] a recorded access-request is worth nothing in another session, even with the same challenge", () => {
    const recorded = runAccess({ seed: 1, challenge: challengeOf(7) });
    const replayed = runAccess({
      seed: 2,
      challenge: challengeOf(7),
      tamper: (message, index) => recorded.toLock[index] ?? message,
    });
    expect(recorded.event?.kind).toBe("granted");
    expect(replayed.event).toEqual({ kind: "refused", refusal: "bad-signature" });
    expect(judged(replayed)).toBe(false);
  });

  it("[Y12] a signature over an older challenge of this very session's hash is refused, and the challenge is gone then", () => {
    const lock = new LockAccess(
      pairing,
      { staticPublicKey: phoneKey, handshakeHash: new Uint8Array(32) },
      challengeOf(2),
    );
    const { bytes, signature } = appCertificateFor();
    lock.receive(courierMessage.encode({ kind: "app-greet", certificate: bytes, signature }));
    const request = (challenge: Uint8Array) => {
      const proof = accessProof.encode({ pairingId, challenge, handshakeHash: new Uint8Array(32) });
      const signed = signTyped(signingKey, signedTypes.access, proof);
      lock.receive(courierMessage.encode({ kind: "access-request", signature: signed }));
    };
    request(challengeOf(1));
    request(challengeOf(2));
    expect(lock.takeActions()).toEqual([{ kind: "end" }]);
    expect(lock.takeMessages()).toHaveLength(2);
  });

  it("[Y12] what was signed for another lock is refused", () => {
    const forOther = (
      message: Uint8Array,
      index: number,
      { handshakeHash }: { readonly handshakeHash: Uint8Array },
    ) => {
      if (index === 0) return message;
      const proof = { pairingId: new Uint8Array(16).fill(0x22), challenge: challengeOf(1), handshakeHash };
      const signature = signTyped(signingKey, signedTypes.access, accessProof.encode(proof));
      return courierMessage.encode({ kind: "access-request", signature });
    };
    const run = runAccess({ tamper: forOther });
    expect(run.event).toEqual({ kind: "refused", refusal: "bad-signature" });
    expect(judged(run)).toBe(false);
  });

  it("[Y11] the certificate of another phone is refused, whoever brings it", () => {
    const certificate = appCertificateFor({ staticPublicKey: courierKey });
    const run = runAccess({ certificate });
    expect(run.event).toEqual({ kind: "refused", refusal: "wrong-key" });
    expect(judged(run)).toBe(false);
  });

  it("[Y11] a certificate for other locks is refused, however many they are", () => {
    const [other, another] = [new Uint8Array(16).fill(0x22), new Uint8Array(16).fill(0x33)];
    for (const locks of [[other], [other, another]]) {
      const run = runAccess({ certificate: appCertificateFor({ locks }) });
      expect(run.event).toEqual({ kind: "refused", refusal: "wrong-pairing" });
      expect(judged(run)).toBe(false);
    }
    const run = runAccess({ certificate: appCertificateFor({ locks: [other, pairingId] }) });
    expect(run.event?.kind).toBe("granted");
  });

  it("[Y12] whatever a phone says while the firmware judges is refused, and the judgement still arrives", () => {
    const handshakeHash = new Uint8Array(32);
    const lock = new LockAccess(pairing, { staticPublicKey: phoneKey, handshakeHash }, challengeOf(1));
    const { bytes, signature } = appCertificateFor();
    lock.receive(courierMessage.encode({ kind: "app-greet", certificate: bytes, signature }));
    const proof = accessProof.encode({ pairingId, challenge: challengeOf(1), handshakeHash });
    const request = courierMessage.encode({
      kind: "access-request",
      signature: signTyped(signingKey, signedTypes.access, proof),
    });
    lock.receive(request);
    lock.takeMessages();
    for (const meanwhile of [request, Uint8Array.of(0xff), courierMessage.encode({ kind: "finish" })]) {
      lock.receive(meanwhile);
    }
    expect(lock.takeActions().map(({ kind }) => kind)).toEqual(["judge"]);
    lock.judged({ granted: true, failedChecks: [], warnings: [] });
    expect(lock.takeMessages().map((message) => lockMessage.decode(message))).toMatchObject([
      { value: { kind: "refused", refusal: "unexpected-message" } },
      { value: { kind: "refused", refusal: "malformed-message" } },
      { value: { kind: "refused", refusal: "not-a-courier" } },
      { value: { kind: "access-result", granted: true } },
    ]);
    expect(lock.takeActions()).toEqual([{ kind: "end" }]);
  });

  it("[Y12] a phone that holds the certificate and the session's key but not the signing key is refused", () => {
    const run = runAccess({ signingPrivateKey: new Uint8Array(32).fill(0x52) });
    expect(run.event).toEqual({ kind: "refused", refusal: "bad-signature" });
    expect(judged(run)).toBe(false);
  });

  it("[Y11] a certificate that another authority signed, or that was changed after signing, is refused", () => {
    const strangers = authorityKeysFromSeed(new Uint8Array(32).fill(99));
    expect(runAccess({ certificate: appCertificateFor({}, strangers) }).event).toEqual({
      kind: "refused",
      refusal: "bad-signature",
    });
    const { signature } = appCertificateFor();
    const { bytes } = appCertificateFor({ credential: "kira-app" });
    expect(runAccess({ certificate: { bytes, signature } }).event).toEqual({
      kind: "refused",
      refusal: "bad-signature",
    });
  });

  it("[Y13] an expired certificate is judged as every attempt is, by the clock when it is set", () => {
    const at = (now: ReturnType<typeof hours>) => runAccess({ judge: judgeAt(now, setClock(now)) }).event;
    expect(at(hours(71))).toMatchObject({ kind: "granted" });
    expect(at(hours(72))).toMatchObject({ kind: "denied", reason: "APP_SESSION_EXPIRED" });
  });

  it("[Y13] and by the highest signed time ever seen when it is not, however early the clock stands", () => {
    const at = (highWater: ReturnType<typeof hours>) =>
      runAccess({
        judge: judgeAt(unixSeconds(0), { quality: "lower-bound", highWater, poweredSecondsUnset: 60 }),
      }).event;
    expect(at(hours(71))).toMatchObject({ kind: "granted", warnings: ["DEVICE_CLOCK_DOUBTFUL"] });
    expect(at(hours(73))).toMatchObject({ kind: "denied", reason: "APP_SESSION_EXPIRED" });
  });

  it("[Y10] no certificate is issued for more than 72 hours", () => {
    expect(() => appCertificateFor({ notAfter: unixSeconds(startSeconds + 72 * 3_600 + 1) })).toThrow("72 hours");
  });
});

describe("couriers and apps do not take each other's part", () => {
  const { manifest } = bundleOf(policyOf(2));
  const keyset = signedKeyset(2).blob;
  const refusalsOf = (messages: readonly Uint8Array[]) =>
    messages.flatMap((bytes) => {
      const read = lockMessage.decode(bytes);
      return read.ok && read.value.kind === "refused" ? [`${read.value.request}: ${read.value.refusal}`] : [];
    });

  it("[Y14] a courier cannot ask to be let in", () => {
    const sync = new LockSync(pairing, courierKey, challengeOf(3));
    const lock = new TinyLock();
    const { bytes, signature } = certificateFor();
    sync.receive(courierMessage.encode({ kind: "greet", certificate: bytes, signature }), lock.facts(), monotonicMs(0));
    sync.takeMessages();
    const request = courierMessage.encode({ kind: "access-request", signature: new Uint8Array(64) });
    sync.receive(request, lock.facts(), monotonicMs(1));
    expect(refusalsOf(sync.takeMessages())).toEqual(["access-request: not-an-app"]);
    expect(sync.takeActions()).toEqual([]);
  });

  it("[Y14] a courier's certificate greets no lock as an app, and an app's none as a courier", () => {
    const asApp = runAccess({ certificate: certificateFor({ staticPublicKey: phoneKey }) });
    expect(asApp.event).toEqual({ kind: "refused", refusal: "bad-signature" });
    const sync = new LockSync(pairing, phoneKey, challengeOf(3));
    const { bytes, signature } = appCertificateFor();
    const greeting = courierMessage.encode({ kind: "greet", certificate: bytes, signature });
    sync.receive(greeting, new TinyLock().facts(), monotonicMs(0));
    expect(refusalsOf(sync.takeMessages())).toEqual(["greet: bad-signature"]);
  });

  it.each<CourierMessage>([
    { kind: "manifest", manifest: manifest.bytes, signature: manifest.signature },
    { kind: "keyset", keyset: keyset.bytes, signature: keyset.signature },
    { kind: "time", answer: new Uint8Array(1), signature: new Uint8Array(64) },
    { kind: "page", offset: 0, bytes: new Uint8Array(1) },
    { kind: "release", release: new Uint8Array(1), signature: new Uint8Array(64) },
    { kind: "read-log", from: 0 },
    { kind: "finish" },
  ])("[Y14] an app carries nothing and reads nothing: $kind", (message) => {
    const run = runAccess({ tamper: (sent, index) => (index === 1 ? courierMessage.encode(message) : sent) });
    expect(run.event).toEqual({ kind: "refused", refusal: "not-a-courier" });
    expect(run.actions).toEqual([{ kind: "end" }]);
  });

  it("[Y11] an access-request before the greeting, or a second greeting, ends the visit", () => {
    const greeting = runAccess().toLock[0] ?? new Uint8Array(0);
    const early = courierMessage.encode({ kind: "access-request", signature: new Uint8Array(64) });
    expect(runAccess({ tamper: () => early }).event).toEqual({ kind: "refused", refusal: "unexpected-message" });
    expect(runAccess({ tamper: () => greeting }).event).toEqual({ kind: "refused", refusal: "unexpected-message" });
  });
});

describe("any bytes", () => {
  it("[Y11] are a refusal to a lock and an end to a phone, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const lock = new LockAccess(pairing, { staticPublicKey: phoneKey, handshakeHash: bytes }, challengeOf(1));
        lock.receive(bytes);
        expect(lock.takeActions()).toEqual([{ kind: "end" }]);
        expect(isAppGreeting(bytes)).toBe(false);
        const target = { pairingId, handshakeHash: new Uint8Array(32) };
        const phone = new PhoneAccess({ signingPrivateKey: signingKey, certificate: appCertificateFor() }, target);
        phone.receive(bytes);
        expect(phone.takeEvent()).toEqual({ kind: "bad-answer" });
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ["a grant that names a reason", { granted: true, reason: "CREDENTIAL_LOST", failedChecks: ["CREDENTIAL_LOST"] }],
    ["a denial without one", { granted: false, failedChecks: [] }],
    ["a denial whose first check is another", { granted: false, reason: "CREDENTIAL_LOST", failedChecks: [] }],
  ] as const)("[Y13] %s is no answer", (_what, { granted, failedChecks, ...rest }) => {
    const target = { pairingId, handshakeHash: new Uint8Array(32) };
    const phone = new PhoneAccess({ signingPrivateKey: signingKey, certificate: appCertificateFor() }, target);
    phone.receive(lockMessage.encode({ kind: "challenge", challenge: challengeOf(1) }));
    phone.receive(lockMessage.encode({ kind: "access-result", granted, failedChecks, warnings: [], ...rest }));
    expect(phone.takeEvent()).toEqual({ kind: "bad-answer" });
  });
});
