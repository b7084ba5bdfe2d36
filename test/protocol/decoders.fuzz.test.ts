/**
 * The fuzz promise of every decoder: any input gives a value or a named fault, never a throw; what is read is written back as the
 * same bytes; a fault holds nothing of the input. And the promise that none was forgotten: the sources are asked.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { decodePolicy, encodePolicy } from "../../protocol/access/policy.ts";
import { applyPolicyDelta, decodePolicyDelta, encodePolicyDelta } from "../../protocol/access/policy-delta.ts";
import { base64ToBytes, bytesToBase64, bytesToHex, concatBytes, hexToBytes, utf8 } from "../../protocol/base/bytes.ts";
import { decodeCbor, encodeCbor } from "../../protocol/base/cbor.ts";
import type { CborMessage } from "../../protocol/base/cbor-record.ts";
import { bytesToCrockford, crockfordToBytes } from "../../protocol/base/crockford.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { parseDeviceId, unixSeconds } from "../../protocol/base/units.ts";
import { hkdfSha256, hmacSha256, sha256, signTyped } from "../../protocol/crypto.ts";
import { parseVersion } from "../../protocol/firmware/version.ts";
import {
  acknowledgementBody,
  handshakeFrame,
  parseAcknowledgement,
  parseFrame,
} from "../../protocol/session/frames.ts";
import { parseCivilTime, parseDate, parseInstant } from "../../protocol/site/zone.ts";
import { defaultStickerSpecification, parseStickerSpecification } from "../../protocol/sticker/specification.ts";
import { parseStickerToken, parseStickerUrl, publicUrlToOrigin } from "../../protocol/sticker/token.ts";
import { derivePairingKeys, verifyReport } from "../../protocol/sync/authority.ts";
import { verifyDelivery } from "../../protocol/sync/delivered-policy.ts";
import { acceptKeyset } from "../../protocol/sync/keyset.ts";
import { openBundle } from "../../protocol/sync/lock-judgement.ts";
import { verifyPairingStatement } from "../../protocol/sync/pairing.ts";
import { decodeAdvertisement, encodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { auditEntryToEvent } from "../../protocol/wire/audit-event.ts";
import { formatClaim, parseClaim } from "../../protocol/wire/claim-string.ts";
import { formatEnrolmentTopic, parseEnrolmentTopic } from "../../protocol/wire/enrolment-topic.ts";
import { KEYSET_SIGNED_TYPE, keyset, rootPublicKey } from "../../protocol/wire/keyset.ts";
import {
  dailyKeyList,
  pairingCourierMessage,
  pairingLockMessage,
  pairingStatement,
} from "../../protocol/wire/pairing-message.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { macPolicyReport, policyReport, verifyPolicyReport } from "../../protocol/wire/policy-report.ts";
import {
  auditBatch,
  bundleHeader,
  openAuditBatch,
  openSealed,
  SEAL_OVERHEAD_BYTES,
  seal,
} from "../../protocol/wire/sealing.ts";
import { formatSetupCode, parseSetupCode } from "../../protocol/wire/setup-code.ts";
import {
  accessProof,
  appCertificate,
  courierCertificate,
  lockReport,
  logRelease,
  policyManifest,
  signedTypes,
  timeAnswer,
} from "../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import {
  DELEGATE_SIGNED_TYPE,
  DELEGATED_TIME_SIGNED_TYPE,
  readDelegatedTime,
  timeDelegate,
} from "../../protocol/wire/time-delegate.ts";
import { formatTopic, parseTopic } from "../../protocol/wire/topics.ts";
import { bootReport, unlockCommand, verifyUnlock } from "../../protocol/wire/unlock-command.ts";
import { readVectors } from "../vectors/read-vectors.ts";
import { authorityKeys, pairingId, pairingKeys } from "../world/sync-pair.ts";
import { almost, almostText, fuzzRuns, fuzzTimeout } from "./fuzz.ts";
import { messageSamples } from "./message-samples.ts";
import { courierMessageSamples, lockMessageSamples, manifestSamples } from "./sync-message-samples.ts";

type Outcome = Result<unknown, { readonly code: string }>;
/** A decoder of bytes, what it writes for what it read, and sound inputs. */
interface ByteDecoder {
  readonly decode: (bytes: Uint8Array) => { readonly result: Outcome; readonly written?: Uint8Array };
  readonly seeds: readonly Uint8Array[];
  /** Runs of the usual test; fewer where each run verifies signatures. */
  readonly runs?: number;
}

function decoder<Value, Fault extends { readonly code: string }>(
  seeds: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => Result<Value, Fault>,
  encode?: (value: Value) => Uint8Array,
  runs?: number,
): ByteDecoder {
  return {
    decode: (bytes) => {
      const result = decode(bytes);
      return { result, ...(result.ok && encode !== undefined ? { written: encode(result.value) } : {}) };
    },
    seeds,
    ...(runs === undefined ? {} : { runs }),
  };
}

function message<Value>(seeds: readonly Uint8Array[], codec: CborMessage<Value>): ByteDecoder {
  return decoder(seeds, (bytes) => codec.decode(bytes), codec.encode);
}

/** As a fault, because `undefined` has no room for a name. */
function orNone<Value>(value: Value | undefined): Result<Value, { readonly code: "none" }> {
  return value === undefined ? failed({ code: "none" }) : ok(value);
}

const vectors = {
  records: readVectors<{
    readonly records: Readonly<Record<string, { readonly values: readonly { readonly hex: string }[] }>>;
  }>("records.json").records,
  cbor: readVectors<{ readonly values: readonly { readonly hex: string }[] }>("cbor.json").values,
  policies: readVectors<{ readonly values: readonly { readonly hex: Uint8Array }[] }>("policy.json").values,
  deltas: readVectors<{
    readonly bases: { readonly house: Uint8Array };
    readonly values: readonly { readonly base?: string; readonly delta: Uint8Array }[];
  }>("policy-delta.json"),
  session: readVectors<{ readonly visit: { readonly frames: readonly { readonly frame: Uint8Array }[] } }>(
    "session.json",
  ),
};
const hexBytes = (hex: string): Uint8Array => hexToBytes(hex) ?? new Uint8Array(0);
const recordSeeds = (name: string): readonly Uint8Array[] =>
  vectors.records[name]?.values.map(({ hex }) => hexBytes(hex)) ?? [];
const policySeeds = vectors.policies.map(({ hex }) => hex);
const house = decodePolicy(vectors.deltas.bases.house);
const houseDeltas = vectors.deltas.values.filter(({ base }) => base === "house").map(({ delta }) => delta);

const seed = new Uint8Array(32).fill(8);
const publicKey = rootPublicKey(seed);
const noBytes = new Uint8Array(0);
/** As in the vectors. */
const vectorPairingId = hexBytes("101112131415161718191a1b1c1d1e1f");
const [answerSeed] = recordSeeds("timeAnswer").map((bytes) => timeAnswer.decode(bytes));
const vectorNonce = answerSeed?.ok === true ? answerSeed.value.nonce : noBytes;
const delegateBytes = timeDelegate.encode({
  publicKey,
  holder: "gateway-attic",
  locks: [vectorPairingId],
  from: unixSeconds(1_790_000_000),
  notAfter: unixSeconds(1_790_500_000),
});
const soundAnswerBytes = recordSeeds("timeAnswer")[0] ?? noBytes;
const soundAnswer = {
  bytes: soundAnswerBytes,
  signature: signTyped(seed, DELEGATED_TIME_SIGNED_TYPE, soundAnswerBytes),
};

/** A manifest of these very bytes, and of the version that they are where they read. */
function manifestOf(bundle: Uint8Array): Uint8Array {
  const policy = decodePolicy(bundle);
  const { epoch, version: to } = policy.ok ? policy.value : { epoch: 2, version: 7 };
  const head = { pairingId: vectorPairingId, epoch, from: 0, to, notAfter: unixSeconds(2 ** 32) };
  return policyManifest.encode({ ...head, length: bundle.length, pageHashes: [], root: sha256(bundle) });
}

function deliver(manifest: Uint8Array, bundle: Uint8Array) {
  const blob = { bytes: manifest, signature: signTyped(seed, signedTypes.policy, manifest) };
  const facts = { pairingId: vectorPairingId, policyKey: publicKey, now: unixSeconds(0) };
  return verifyDelivery(blob, bundle, { ...facts, holds: { epoch: 0, version: 0 } });
}

/** One entry is announced; header and tag are written by hand from SPEC X10. */
function sealedBatch(plaintext: Uint8Array) {
  const tagKey = hkdfSha256(pairingKeys.audit, noBytes, utf8("doorlink/1/seal/audit-tag"), 32);
  const header = { pairingId, from: 1, count: 1, tag: hmacSha256(tagKey, plaintext).subarray(0, 16) };
  const map = new Map<number, Uint8Array | number>([
    [1, header.pairingId],
    [2, header.from],
    [3, header.count],
    [4, header.tag],
  ]);
  return { ...header, sealed: seal("audit", pairingKeys.audit, encodeCbor(map), plaintext) };
}

/** The MAC that the lock of this statement would make, where it is one. */
function statementMac(bytes: Uint8Array): Uint8Array {
  const read = pairingStatement.decode(bytes);
  const keys = read.ok && derivePairingKeys(authorityKeys.static, read.value.lockPublicKey, read.value.pairingId);
  const text = concatBytes(utf8("doorlink/1/pairing-statement\0"), bytes);
  return keys ? hmacSha256(keys.report, text) : noBytes;
}

/** By the name of what is called. What stands behind a signature, a MAC or a seal is signed, MACed or sealed truly here. */
const byteDecoders: Readonly<Record<string, ByteDecoder>> = {
  decodeCbor: decoder(
    vectors.cbor.map(({ hex }) => hexBytes(hex)),
    (bytes) => decodeCbor(bytes),
    encodeCbor,
  ),
  courierCertificate: message(recordSeeds("courierCertificate"), courierCertificate),
  appCertificate: message(recordSeeds("appCertificate"), appCertificate),
  accessProof: message(recordSeeds("accessProof"), accessProof),
  timeAnswer: message(recordSeeds("timeAnswer"), timeAnswer),
  logRelease: message(recordSeeds("logRelease"), logRelease),
  lockReport: message(recordSeeds("lockReport"), lockReport),
  policyManifest: message(manifestSamples, policyManifest),
  keyset: message(recordSeeds("keyset"), keyset),
  timeDelegate: message(recordSeeds("timeDelegate"), timeDelegate),
  unlockCommand: message(recordSeeds("unlockCommand"), unlockCommand),
  bootReport: message(recordSeeds("bootReport"), bootReport),
  policyReport: message(recordSeeds("policyReport"), policyReport),
  auditEntry: message(recordSeeds("auditEntry"), auditEntry),
  auditBatch: message(recordSeeds("auditBatch"), auditBatch),
  pairingStatement: message(recordSeeds("pairingStatement"), pairingStatement),
  dailyKeyList: message(recordSeeds("dailyKeyList"), dailyKeyList),
  pairingCourierMessage: message(recordSeeds("pairingCourierMessage"), pairingCourierMessage),
  pairingLockMessage: message(recordSeeds("pairingLockMessage"), pairingLockMessage),
  courierMessage: message(courierMessageSamples, courierMessage),
  lockMessage: message(lockMessageSamples, lockMessage),
  auditEntryToEvent: decoder(recordSeeds("auditEntry"), auditEntryToEvent, ({ raw }) => raw),
  decodePolicy: decoder(policySeeds, decodePolicy, encodePolicy, 200),
  decodePolicyDelta: decoder(houseDeltas, decodePolicyDelta, encodePolicyDelta),
  applyPolicyDelta: decoder(houseDeltas, (bytes) => {
    const applied = applyPolicyDelta(house.ok ? house.value : undefined, bytes);
    // Whatever came of it is a policy like any other, and the bytes are its own.
    if (applied.ok) expect(decodePolicy(applied.value.bytes)).toEqual({ ok: true, value: applied.value.policy });
    return applied;
  }),
  decodeAdvertisement: decoder(
    [hexBytes("010f00010203"), hexBytes("0100ffffffff")],
    decodeAdvertisement,
    (advertisement) => {
      const written = encodeAdvertisement(advertisement);
      return written.ok ? written.value : noBytes;
    },
  ),
  parseFrame: decoder(
    vectors.session.visit.frames.map(({ frame }) => frame),
    parseFrame,
    (frame) => {
      if (frame.kind !== "handshake") return Uint8Array.from([...frame.header, ...frame.sealed]);
      const written = handshakeFrame(frame.message);
      new DataView(written.buffer).setUint32(4, frame.version);
      return written;
    },
  ),
  parseAcknowledgement: decoder(
    [noBytes, hexBytes("00000009"), hexBytes("000000091f00000000000080")],
    (bytes) => orNone(parseAcknowledgement(bytes)),
    acknowledgementBody,
  ),
  openSealed: decoder([seal("bundle", pairingKeys.bundle, noBytes, utf8("a delta"))], (bytes) =>
    openSealed("bundle", pairingKeys.bundle, noBytes, bytes),
  ),
  openAuditBatch: decoder(
    [hexBytes("81450102030405"), hexBytes("8140"), hexBytes("80")],
    (bytes) => openAuditBatch(pairingKeys.audit, sealedBatch(bytes)),
    (entries) => encodeCbor([...entries]),
  ),
  openBundle: decoder(houseDeltas, (bytes) => {
    const base = house.ok ? house.value : undefined;
    const applied = applyPolicyDelta(base, bytes);
    // Signed for whatever it makes, so that only what makes nothing is refused.
    const head = applied.ok ? applied.value.policy : { epoch: 2, version: 7 };
    const root = applied.ok ? sha256(applied.value.bytes) : new Uint8Array(32);
    const names = { pairingId, epoch: head.epoch, from: 6, to: head.version, root, notAfter: unixSeconds(0) };
    const manifest = { ...names, length: bytes.length + SEAL_OVERHEAD_BYTES, pageHashes: [] };
    const sealed = seal("bundle", pairingKeys.bundle, bundleHeader(names), bytes);
    return openBundle(pairingKeys.bundle, manifest, sealed, base);
  }),
  acceptKeyset: decoder(
    recordSeeds("keyset"),
    (bytes) => {
      const signature = signTyped(seed, KEYSET_SIGNED_TYPE, bytes);
      return acceptKeyset(publicKey, undefined, { bytes, signature }, unixSeconds(0));
    },
    ({ bytes, keyset: value }) => (bytesToHex(bytes) === bytesToHex(keyset.encode(value)) ? bytes : noBytes),
    100,
  ),
  "readDelegatedTime: certificate": decoder(
    [delegateBytes],
    (bytes) => {
      const certificate = { bytes, signature: signTyped(seed, DELEGATE_SIGNED_TYPE, bytes) };
      return readDelegatedTime(publicKey, { pairingId: vectorPairingId, nonce: vectorNonce }, certificate, soundAnswer);
    },
    undefined,
    100,
  ),
  "readDelegatedTime: answer": decoder(
    recordSeeds("timeAnswer"),
    (bytes) => {
      const certificate = { bytes: delegateBytes, signature: signTyped(seed, DELEGATE_SIGNED_TYPE, delegateBytes) };
      const answer = { bytes, signature: signTyped(seed, DELEGATED_TIME_SIGNED_TYPE, bytes) };
      return readDelegatedTime(publicKey, { pairingId: vectorPairingId, nonce: vectorNonce }, certificate, answer);
    },
    undefined,
    100,
  ),
  "verifyDelivery: manifest": decoder(
    [manifestOf(policySeeds[0] ?? noBytes), ...manifestSamples],
    (bytes) => deliver(bytes, policySeeds[0] ?? noBytes),
    undefined,
    100,
  ),
  "verifyDelivery: bundle": decoder(
    policySeeds,
    (bytes) => deliver(manifestOf(bytes), bytes),
    ({ policy }) => encodePolicy(policy),
    100,
  ),
  verifyUnlock: decoder(
    recordSeeds("unlockCommand"),
    (bytes) => {
      const [command] = recordSeeds("unlockCommand").map((one) => unlockCommand.decode(one));
      const bootId = command?.ok === true ? command.value.bootId : noBytes;
      const facts = { pairingId: vectorPairingId, bootId, unlockKey: publicKey, uptimeMs: 86_400_000 };
      const blob = { bytes, signature: signTyped(seed, signedTypes.unlock, bytes) };
      return verifyUnlock(blob, { ...facts, isSeen: () => false });
    },
    (command) => unlockCommand.encode(command),
    100,
  ),
  verifyReport: decoder(
    recordSeeds("lockReport"),
    (bytes) => verifyReport(seed, bytes, hmacSha256(seed, bytes)),
    (report) => lockReport.encode(report),
  ),
  verifyPolicyReport: decoder(
    recordSeeds("policyReport"),
    (bytes) => verifyPolicyReport({ reportKey: seed, pairingId: vectorPairingId }, bytes, macPolicyReport(seed, bytes)),
    (report) => policyReport.encode(report),
  ),
  verifyPairingStatement: decoder(
    recordSeeds("pairingStatement"),
    (bytes) => verifyPairingStatement(authorityKeys.static, bytes, statementMac(bytes)),
    ({ statement }) => pairingStatement.encode(statement),
    100,
  ),
};

interface TextDecoder {
  readonly parse: (text: string) => { readonly result: Outcome; readonly written?: string };
  readonly seeds: readonly string[];
  /** What means something to it. */
  readonly letters: string;
}

function textDecoder<Value, Fault extends { readonly code: string }>(
  seeds: readonly string[],
  letters: string,
  parse: (text: string) => Result<Value, Fault>,
  format?: (value: Value) => string,
): TextDecoder {
  return {
    parse: (text) => {
      const result = parse(text);
      return { result, ...(result.ok && format !== undefined ? { written: format(result.value) } : {}) };
    },
    seeds,
    letters,
  };
}

const setupCodes = readVectors<{ readonly values: readonly { readonly text: string }[] }>("setup-code.json").values;
const claims = readVectors<{ readonly values: readonly { readonly text: string }[] }>("claim-string.json").values;
const topics = readVectors<{ readonly values: readonly { readonly text: string }[] }>("topics.json").values;
const stickers = readVectors<{ readonly tokens: readonly { readonly text: string }[] }>("sticker-token.json").tokens;
const stickerTexts = stickers.map(({ text }) => text);

const dateLetters = "0129-+:TZ.[]/";

/** What a file's text holds; text that is no JSON stands for itself. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const textDecoders: Readonly<Record<string, TextDecoder>> = {
  parseSetupCode: textDecoder(
    setupCodes.map(({ text }) => text),
    "DORLINK:0189AZiou",
    parseSetupCode,
    formatSetupCode,
  ),
  parseClaim: textDecoder(
    claims.map(({ text }) => text),
    "DORLINK-CAM:0189AZiou",
    parseClaim,
    formatClaim,
  ),
  parseEnrolmentTopic: textDecoder(
    ["dl/1/enrol/claim-0123456789abcdef/request", "dl/1/enrol/panel-r20/answer"],
    "dl/1enro+#-azAZ_",
    (text) => orNone(parseEnrolmentTopic(text)),
    formatEnrolmentTopic,
  ),
  parseTopic: textDecoder(
    topics.map(({ text }) => text),
    "dl/1+#-azAZ_",
    (text) => orNone(parseTopic(text)),
    formatTopic,
  ),
  parseDeviceId: textDecoder(
    ["lock-1", "gateway-attic"],
    "az09-AZ_",
    (text) => orNone(parseDeviceId(text)),
    (id) => id,
  ),
  parseVersion: textDecoder(["11.2.0", "1.0", "111.30.10.125"], "0129.-v ", (text) => orNone(parseVersion(text))),
  parseStickerToken: textDecoder(stickerTexts, "0189AZILOUaz-", parseStickerToken),
  parseStickerUrl: textDecoder(
    stickerTexts.map((token) => `HTTPS://EXAMPLE.ORG/L/${token}`),
    "HTPS:/.?#@-L09AZaz%",
    parseStickerUrl,
    ({ origin, tokenText }) => `${origin}/L/${tokenText}`,
  ),
  publicUrlToOrigin: textDecoder(["https://example.org", "http://10.0.0.1:8080/"], "htps:/.?#@-09azAZ%[]", (text) => {
    const origin = publicUrlToOrigin(text);
    // What is printed is an origin itself.
    if (origin.ok) expect(publicUrlToOrigin(origin.value)).toEqual(origin);
    return origin;
  }),
  parseDate: textDecoder(["2026-12-24", "2028-02-29"], dateLetters, (text) => orNone(parseDate(text))),
  parseCivilTime: textDecoder(["2026-12-24T08:00", "+275760-09-13T23:59"], dateLetters, (text) =>
    orNone(parseCivilTime("America/New_York", text)),
  ),
  parseInstant: textDecoder(["2026-12-24T08:00Z", "2026-12-24T08:00:00-05:00"], dateLetters, (text) =>
    orNone(parseInstant(text)),
  ),
  parseStickerSpecification: textDecoder([JSON.stringify(defaultStickerSpecification)], '{}[]":,0-9eE.', (text) => {
    const read = parseStickerSpecification(jsonIn(text));
    if (read.ok) expect(parseStickerSpecification({ ...read.value })).toEqual(read);
    return read;
  }),
  crockfordToBytes: textDecoder(stickerTexts, "0189AZILOUaz-", crockfordToBytes, bytesToCrockford),
  hexToBytes: textDecoder(["00ff10", ""], "09afAFgx ", (text) => orNone(hexToBytes(text))),
  base64ToBytes: textDecoder(["AAEC", "AA==", "AAE="], "AZaz09+/=-_", (text) => {
    const bytes = base64ToBytes(text);
    // Bits behind the last byte may be anything, so the text may be another one of the same bytes.
    if (bytes !== undefined) expect(base64ToBytes(bytesToBase64(bytes))).toEqual(bytes);
    return orNone(bytes);
  }),
};

/** Whatever a fault says, it holds no bytes of the input: no `Uint8Array` and no run of six of its bytes in hex. */
function expectDiscreet(fault: object, bytes: Uint8Array): void {
  const text = JSON.stringify(fault, (_key, value: unknown) => {
    expect(value).not.toBeInstanceOf(Uint8Array);
    return value;
  });
  const hex = bytesToHex(bytes);
  for (let at = 0; at + 12 <= hex.length; at += 2) {
    const run = hex.slice(at, at + 12);
    // Runs of one digit are lengths and counts in decimal as well.
    if (!/^(\d)\1*$/.test(run)) expect(text.includes(run), `${run} in ${text}`).toBe(false);
  }
}

describe("any bytes", () => {
  it.each(Object.entries(byteDecoders))(
    "[W2] to %s: a value that is written back as it came, or a named fault",
    fuzzTimeout,
    (name, { decode, seeds, runs }) => {
      expect(seeds.length, name).toBeGreaterThan(0);
      let read = 0;
      fc.assert(
        fc.property(almost(seeds), (bytes) => {
          const before = bytesToHex(bytes);
          const { result, written } = decode(bytes);
          expect(bytesToHex(bytes), "the input is left as it was").toBe(before);
          if (result.ok) read++;
          else expect(result.fault.code).toMatch(/^[a-z-]+$/);
          if (!result.ok && name !== "applyPolicyDelta") expectDiscreet(result.fault, bytes);
          if (written !== undefined) expect(bytesToHex(written)).toBe(before);
        }),
        fuzzRuns(runs ?? 300),
      );
      // A generator that is never understood tests the first check alone.
      expect(read, name).toBeGreaterThan(0);
    },
  );
});

describe("any text", () => {
  it.each(Object.entries(textDecoders))(
    "[T1] to %s: a value that is written back as it came, or a named fault",
    fuzzTimeout,
    (_name, { parse, seeds, letters }) => {
      let read = 0;
      fc.assert(
        fc.property(almostText(seeds, letters), (text) => {
          const { result, written } = parse(text);
          if (result.ok) read++;
          else expect(result.fault.code).toMatch(/^[a-z-]+$/);
          if (written !== undefined) expect(written).toBe(text);
        }),
        fuzzRuns(300),
      );
      expect(read).toBeGreaterThan(0);
    },
  );
});

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Place = readonly (string | number)[];

/** The places of all values in a sample. */
function placesIn(value: Json, place: Place = []): readonly Place[] {
  if (typeof value !== "object" || value === null) return [place];
  const inner = Object.entries(value).flatMap(([key, item]) => placesIn(item, [...place, key]));
  return [place, ...inner];
}

/** The sample with the value at a place changed; undefined leaves it out. */
function changedAt(value: Json, [key, ...rest]: Place, change: (value: Json) => Json | undefined): Json | undefined {
  if (key === undefined) return change(value);
  if (Array.isArray(value)) {
    const items = value.map((item, index) => (index === Number(key) ? changedAt(item, rest, change) : item));
    return items.filter((item) => item !== undefined);
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]) => [
    name,
    name === key ? changedAt(item, rest, change) : item,
  ]);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

const jsonOf = (sample: object): Json => JSON.parse(JSON.stringify(sample));
const canary = "7391-CANARY";
const strangeValues: readonly Json[] = [
  null,
  true,
  0,
  -1,
  0.5,
  1e21,
  2 ** 53,
  "",
  canary,
  `${canary}${"x".repeat(600)}`,
  "AAA",
  "\ud800",
  [],
  [[]],
  {},
  { [canary.toLowerCase()]: canary },
  Array.from({ length: 70 }, () => null),
];
const payloadFaults = ["payload-not-utf8", "payload-not-json", "payload-future-version", "payload-bad-shape"];

describe("any payload", () => {
  const schemas = Object.entries(messageSamples);

  it.each(schemas)(
    "[M1] %s: the sample is sound, and with any value replaced it is read or a named fault",
    fuzzTimeout,
    (_name, { schema, sample }) => {
      const whole = jsonOf(sample);
      expect(parsePayload(schema, utf8(JSON.stringify(whole))).ok).toBe(true);
      for (const place of placesIn(whole)) {
        for (const strange of strangeValues)
          expectJudged(schema, JSON.stringify(changedAt(whole, place, () => strange)));
        expectJudged(schema, JSON.stringify(changedAt(whole, place, () => undefined) ?? null));
      }
    },
  );

  it.each(schemas)("[M3] %s: a key of its own is refused wherever it stands", (_name, { schema, sample }) => {
    const whole = jsonOf(sample);
    for (const place of placesIn(whole)) {
      // The facts of an event are the one place where names are free.
      if (place.at(-1) === "facts") continue;
      for (const key of ["zz", "toString", "constructor"]) {
        const changed = changedAt(whole, place, (value) =>
          typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value, [key]: 1 } : undefined,
        );
        if (placesIn(changed ?? null).length <= placesIn(whole).length) continue;
        const read = parsePayload(schema, utf8(JSON.stringify(changed)));
        expect(read, `${place.join(".")} with ${key}`).toMatchObject({ fault: { code: "payload-bad-shape" } });
      }
    }
  });

  it.each(schemas)("[M1] %s: its text with signs put in and taken out", fuzzTimeout, (_name, { schema, sample }) => {
    fc.assert(
      fc.property(almostText([JSON.stringify(sample)], '{}[]":,0-9eE\\u.tfn'), (text) => expectJudged(schema, text)),
      fuzzRuns(60),
    );
  });
});

/** A value that can be written again, or a fault of the list that does not say what it was given. */
function expectJudged(schema: z.ZodType, text: string): void {
  const read = parsePayload(schema, utf8(text));
  if (read.ok) {
    formatPayload(schema, JSON.parse(text));
    return;
  }
  expect(payloadFaults).toContain(read.fault.code);
  expect(JSON.stringify(read.fault)).not.toContain(canary);
}

/** Sources of the protocol, by their paths under `protocol/`. */
function protocolSources(): readonly (readonly [path: string, text: string])[] {
  const folder = join(import.meta.dirname, "../../protocol");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, readFileSync(join(folder, path), "utf8")] as const);
}

function exportedNames(pattern: RegExp): readonly string[] {
  return protocolSources().flatMap(([, text]) => [...text.matchAll(pattern)].map((match) => match[1] ?? ""));
}

/** Called like decoders, and read no strangers' input: what stands in the way of one does, or the name is only alike. */
const noDecoders: ReadonlySet<string> = new Set([
  "readU32",
  "readClock",
  "applyChange",
  "applyListEdit",
  "applyCredentialEdits",
  "applyHomography",
]);

/** Decoders whose fuzz test is another file's. */
const fuzzedElsewhere: Readonly<Record<string, string>> = {
  parsePayload: "decoders.fuzz.test.ts",
  parseSite: "site/document-fuzz.test.ts",
  parseSiteWith: "site/document-fuzz.test.ts",
  parseDocument: "site/document-fuzz.test.ts",
  readYaml: "site/document-fuzz.test.ts",
  readSegments: "sticker/qr/segments.fuzz.test.ts",
  decodeBlock: "sticker/qr/reed-solomon.test.ts",
  readSymbols: "sticker/read-symbols.fuzz.test.ts",
  // What a reader of pictures does inside: fed with whatever pictures show.
  readTriple: "sticker/read-symbols.fuzz.test.ts",
  readPair: "sticker/read-symbols.fuzz.test.ts",
  readThoroughly: "sticker/read-symbols.fuzz.test.ts",
  decodeModules: "sticker/read-symbols.fuzz.test.ts",
  readMessage: "sticker/read-symbols.fuzz.test.ts",
  readSymbol: "sticker/read-symbol.fuzz.test.ts",
  verifyTyped: "crypto.test.ts",
};

describe("no decoder is forgotten", () => {
  it("[W5] every record and union of the protocol is fuzzed", () => {
    const records = exportedNames(/^export const (\w+)(?:: [^=\n]+)? = cbor(?:Record|Union)\(/gm);
    expect(records.length).toBeGreaterThan(15);
    expect(records.filter((name) => !(name in byteDecoders))).toEqual([]);
  });

  it("[M3] every message of MQTT is fuzzed", () => {
    const schemas = exportedNames(/^export const (\w+Schema) = (?:versioned|z\.discriminatedUnion)\(/gm);
    expect(schemas.length).toBeGreaterThan(12);
    expect(schemas.filter((name) => !(name in messageSamples))).toEqual([]);
  });

  it("[W2] every function that reads bytes or text of others is fuzzed", () => {
    const readers = exportedNames(
      /^export function ((?:decode|parse|read|open(?!Delivery)|verify|accept|apply)[A-Z]\w*|\w+ToBytes|\w+ToOrigin|\w+ToEvent)\b/gm,
    );
    const known = new Set(
      [...Object.keys(byteDecoders), ...Object.keys(textDecoders)].map((name) => name.split(":")[0]),
    );
    const forgotten = readers.filter((name) => !known.has(name) && !noDecoders.has(name) && !(name in fuzzedElsewhere));
    expect(readers.length).toBeGreaterThan(30);
    expect(forgotten).toEqual([]);
    // Whoever renames one takes it off these lists too.
    expect([...noDecoders, ...Object.keys(fuzzedElsewhere)].filter((name) => !readers.includes(name))).toEqual([]);
    for (const file of Object.values(fuzzedElsewhere)) {
      expect(readFileSync(join(import.meta.dirname, file), "utf8")).toContain("fc.assert(");
    }
  });
});

/** Machines, by class or by the function that moves them on, with the file that feeds them anything in any order. */
const machineTests: Readonly<Record<string, string>> = {
  Session: "session/session.fuzz.test.ts",
  // Fed by the session with what a hostile peer acknowledges.
  SendStream: "session/session.fuzz.test.ts",
  DeliveryRate: "session/session.fuzz.test.ts",
  RoundTrip: "session/session.fuzz.test.ts",
  ReceiveStream: "session/session.fuzz.test.ts",
  ReplayWindow: "session/replay-window.test.ts",
  NoiseHandshake: "session/noise.test.ts",
  NoiseCipher: "session/session.fuzz.test.ts",
  LockSync: "sync/sync.fuzz.test.ts",
  CourierSync: "sync/sync.fuzz.test.ts",
  LockAccess: "sync/access.fuzz.test.ts",
  PhoneAccess: "sync/access.fuzz.test.ts",
  LockPairing: "sync/pairing.fuzz.test.ts",
  CourierPairing: "sync/pairing.fuzz.test.ts",
  takeTime: "sync/lock-clock.test.ts",
  admitTry: "doorcode/guessing.test.ts",
  Keypad: "../emulator/device/keypad.fuzz.test.ts",
};

/** Classes that nothing moves on: what they once computed, kept. */
const noMachines: ReadonlySet<string> = new Set(["Pyramid"]);

describe("no machine is forgotten", () => {
  it("[Y1] every machine of the protocol is fed anything in any order", () => {
    const machines = exportedNames(/^export class (\w+)/gm);
    expect(machines.length).toBeGreaterThan(10);
    expect(machines.filter((name) => !(name in machineTests) && !noMachines.has(name))).toEqual([]);
    for (const [name, file] of Object.entries(machineTests)) {
      const text = readFileSync(join(import.meta.dirname, file), "utf8");
      const isInside = ["SendStream", "DeliveryRate", "RoundTrip", "NoiseCipher"].includes(name);
      expect(text, file).toContain("fc.assert(");
      if (!isInside) expect(text, `${name} in ${file}`).toMatch(new RegExp(`\\b${name}\\(`));
    }
  });
});
