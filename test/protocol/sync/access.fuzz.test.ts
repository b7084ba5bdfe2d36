/** The fuzz promise of a phone's visit: whatever arrives in whatever order, one answer or one end, and nothing opens that was not proven. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signTyped, x25519PublicKey } from "../../../protocol/crypto.ts";
import { type AccessAction, LockAccess } from "../../../protocol/sync/lock-access.ts";
import { PhoneAccess } from "../../../protocol/sync/phone-access.ts";
import { accessProof, appCertificate, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../../protocol/wire/sync-message.ts";
import { appCertificateFor, challengeOf, phoneStaticKey, signingKey } from "../../world/access-pair.ts";
import { authorityKeys, pairing, pairingId } from "../../world/sync-pair.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../fuzz.ts";
import { courierMessageSamples, lockMessageSamples, lockMessageValues } from "../sync-message-samples.ts";

const handshakeHash = new Uint8Array(32).fill(4);
const challenge = challengeOf(7);
const certificate = appCertificateFor();
const greeting = courierMessage.encode({
  kind: "app-greet",
  certificate: certificate.bytes,
  signature: certificate.signature,
});
const proof = accessProof.encode({ pairingId, challenge, handshakeHash });
const request = courierMessage.encode({
  kind: "access-request",
  signature: signTyped(signingKey, signedTypes.access, proof),
});

/** Certificates that say anything, truly signed. */
const strangeGreeting = almost([certificate.bytes]).map((bytes) =>
  courierMessage.encode({
    kind: "app-greet",
    certificate: bytes.slice(0, 2048),
    signature: signTyped(authorityKeys.courier, signedTypes.app, bytes.slice(0, 2048)),
  }),
);
const toLock = fc.oneof(
  { weight: 3, arbitrary: fc.constant(greeting) },
  { weight: 3, arbitrary: fc.constant(request) },
  { weight: 2, arbitrary: strangeGreeting },
  { weight: 2, arbitrary: almost([greeting, request, ...courierMessageSamples]) },
  { weight: 1, arbitrary: fc.constantFrom(...courierMessageSamples) },
);

describe("a phone's visit", () => {
  it("[Y12] a lock judges at most once, and only what was greeted and signed", fuzzTimeout, () => {
    const seen = { judged: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(toLock, { maxLength: 5 }), fc.boolean(), (messages, answersLate) => {
        const peer = { staticPublicKey: x25519PublicKey(phoneStaticKey), handshakeHash };
        const lock = new LockAccess(pairing, peer, challenge);
        const actions: AccessAction[] = [];
        let [answers, isJudging] = [0, false];
        const judge = (): void => {
          if (isJudging) lock.judged({ granted: false, failedChecks: ["LOCKED_OUT"], warnings: [] });
          isJudging = false;
        };
        for (const bytes of messages) {
          lock.receive(bytes);
          const came = lock.takeActions();
          isJudging ||= came.some(({ kind }) => kind === "judge");
          actions.push(...came);
          if (!answersLate) judge();
          actions.push(...lock.takeActions());
          for (const answer of lock.takeMessages()) {
            answers++;
            expect(lockMessage.decode(answer).ok).toBe(true);
          }
        }
        judge();
        actions.push(...lock.takeActions());
        const judged = actions.filter(({ kind }) => kind === "judge").length;
        seen[judged === 1 ? "judged" : "refused"]++;
        expect(judged).toBeLessThanOrEqual(1);
        expect(actions.filter(({ kind }) => kind === "end").length).toBeLessThanOrEqual(1);
        expect(answers).toBeLessThanOrEqual(messages.length);
        // SPEC Y12: without the true request in the messages nothing is judged.
        if (!messages.includes(request)) expect(judged).toBe(0);
      }),
      fuzzRuns(250),
    );
    expect(Math.min(seen.judged, seen.refused)).toBeGreaterThan(0);
  });

  it("[Y13] a phone hears at most one end, and signs at most once", fuzzTimeout, () => {
    const answers = [lockMessageValues.challenge, lockMessageValues["access-result"], lockMessageValues.refused];
    const sound = answers.map((answer) => lockMessage.encode(answer));
    const toPhone = fc.oneof(fc.constantFrom(...sound), almost([...sound, ...lockMessageSamples]));
    fc.assert(
      fc.property(fc.array(toPhone, { maxLength: 5 }), (messages) => {
        const phone = new PhoneAccess({ signingPrivateKey: signingKey, certificate }, { pairingId, handshakeHash });
        let [events, sent] = [0, 0];
        for (const bytes of messages) {
          phone.receive(bytes);
          if (phone.takeEvent() !== undefined) events++;
          sent += phone.takeMessages().length;
        }
        expect(events).toBeLessThanOrEqual(1);
        expect(sent).toBeLessThanOrEqual(2);
      }),
      fuzzRuns(250),
    );
  });

  it("[Y10] the certificate of the seeds is sound, so that the changed ones are nearly so", () => {
    expect(appCertificate.decode(certificate.bytes).ok).toBe(true);
  });
});
