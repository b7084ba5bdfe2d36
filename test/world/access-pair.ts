/**
 * A phone and a lock over a real secure session in memory, with the least firmware that can judge: a policy with one app key and
 * a clock that a test sets.
 */
import type { LockState } from "../../protocol/access/attempt.ts";
import { decide } from "../../protocol/access/decide.ts";
import type { PolicyCredential } from "../../protocol/access/policy.ts";
import { indexPolicy } from "../../protocol/access/policy-index.ts";
import { type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { ed25519PublicKey, x25519PublicKey } from "../../protocol/crypto.ts";
import { issueAppCertificate } from "../../protocol/sync/authority.ts";
import { type AccessAction, LockAccess, type ProvenPeer } from "../../protocol/sync/lock-access.ts";
import { PhoneAccess, type PhoneAccessEvent } from "../../protocol/sync/phone-access.ts";
import type { AppCertificate, SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { buildPolicy } from "./policy-builder.ts";
import { courierStaticKey, SessionPair } from "./session-pair.ts";
import { authorityKeys, pairing, pairingId, startMs } from "./sync-pair.ts";

export const startSeconds = unixSeconds(startMs / 1000);
export const phoneStaticKey = courierStaticKey;
export const signingKey = new Uint8Array(32).fill(0x51);
export const challengeOf = (seed: number): Uint8Array => new Uint8Array(16).fill(seed);

export function appCertificateFor(overrides: Partial<AppCertificate> = {}, keys = authorityKeys): SignedBlob {
  return issueAppCertificate(keys, {
    staticPublicKey: x25519PublicKey(phoneStaticKey),
    signingPublicKey: ed25519PublicKey(signingKey),
    credential: "chloe-app",
    locks: [],
    issuedAt: startSeconds,
    notAfter: unixSeconds(startSeconds + 72 * 3_600),
    ...overrides,
  });
}

/** What a lock that holds this one app key says of an attempt. */
export function judgeAt(now: UnixSeconds, clock: LockState["clock"], credential: Partial<PolicyCredential> = {}) {
  const policy = indexPolicy(
    buildPolicy({
      rights: [[{ observesHolidays: false }]],
      credentials: [{ id: "chloe-app", kind: "app-key", state: "active", assigned: true, rights: 0, ...credential }],
    }),
  );
  const state: LockState = {
    clock,
    codeKey: new Uint8Array(32),
    entryTagKey: new Uint8Array(32),
    dailyKeys: [],
    usedSlots: new Set(),
    usesSpent: new Map(),
    keypadLockedOut: false,
    battery: "ok",
  };
  return (action: Extract<AccessAction, { kind: "judge" }>) => decide(policy, state, action.attempt, now);
}

export const setClock = (now: UnixSeconds): LockState["clock"] => ({
  quality: "set",
  highWater: now,
  poweredSecondsUnset: 0,
});

export interface AccessOptions {
  readonly certificate?: SignedBlob;
  readonly signingPrivateKey?: Uint8Array;
  readonly challenge?: Uint8Array;
  readonly seed?: number;
  readonly judge?: ReturnType<typeof judgeAt>;
  /** Somebody at the phone's end may send something else. `peer` is the session's. */
  readonly tamper?: (message: Uint8Array, index: number, peer: ProvenPeer) => Uint8Array;
}

export interface AccessRun {
  readonly event: PhoneAccessEvent | undefined;
  readonly actions: readonly AccessAction[];
  readonly toLock: readonly Uint8Array[];
  readonly toPhone: readonly Uint8Array[];
}

/** Runs a phone's visit over a session until nothing moves any more. */
export function runAccess(options: AccessOptions = {}): AccessRun {
  const { seed = 1, challenge = challengeOf(seed), tamper = (message) => message } = options;
  const judge = options.judge ?? judgeAt(startSeconds, setClock(startSeconds));
  const pair = new SessionPair({ seed, courier: { prologue: pairingId }, lock: { prologue: pairingId } });
  const proven = () => ({ phone: peerOf(pair.courier.events), lock: peerOf(pair.lock.events) });
  pair.run(() => proven().phone !== undefined && proven().lock !== undefined);
  const { phone: phonePeer, lock: lockPeer } = proven();
  if (phonePeer === undefined || lockPeer === undefined) throw new Error("no session came about");
  const phone = new PhoneAccess(
    {
      signingPrivateKey: options.signingPrivateKey ?? signingKey,
      certificate: options.certificate ?? appCertificateFor(),
    },
    { pairingId, handshakeHash: phonePeer.handshakeHash },
  );
  const lock = new LockAccess(pairing, lockPeer, challenge);
  const [actions, toLock, toPhone]: [AccessAction[], Uint8Array[], Uint8Array[]] = [[], [], []];
  for (let moved = true; moved; ) {
    for (const message of phone.takeMessages()) {
      const sent = tamper(message, toLock.length, lockPeer);
      toLock.push(sent);
      pair.courier.session.send(sent);
    }
    pair.run(() => pair.lock.messages.length > 0, pair.nowMs + 5_000);
    const [heard, ...rest] = pair.lock.messages.splice(0);
    moved = heard !== undefined;
    for (const message of heard === undefined ? [] : [heard, ...rest]) lock.receive(message);
    for (const action of lock.takeActions()) {
      actions.push(action);
      if (action.kind === "judge") lock.judged(judge(action));
    }
    actions.push(...lock.takeActions());
    const answers = lock.takeMessages();
    for (const message of answers) pair.lock.session.send(message);
    pair.run(() => pair.courier.messages.length >= answers.length, pair.nowMs + 5_000);
    for (const message of pair.courier.messages.splice(0)) {
      toPhone.push(message);
      phone.receive(message);
    }
  }
  return { event: phone.takeEvent(), actions, toLock, toPhone };
}

function peerOf(events: SessionPair["lock"]["events"]): ProvenPeer | undefined {
  const event = events.find(({ kind }) => kind === "established");
  if (event?.kind !== "established") return undefined;
  return { staticPublicKey: event.remoteStaticPublicKey, handshakeHash: event.handshakeHash };
}
