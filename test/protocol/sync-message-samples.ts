/** One sound message of each kind that courier and lock say to each other, and a manifest; to be changed by the fuzz tests. */
import { unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { policyManifest } from "../../protocol/wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type LockMessage,
  lockMessage,
} from "../../protocol/wire/sync-message.ts";

const bytes = (length: number, fill = 7): Uint8Array => new Uint8Array(length).fill(fill);
const signature = bytes(64);

export const courierMessageValues: { readonly [Kind in CourierMessage["kind"]]: CourierMessage & { kind: Kind } } = {
  greet: { kind: "greet", certificate: bytes(90), signature },
  time: { kind: "time", answer: bytes(60), signature, delegate: bytes(80), delegateSignature: signature },
  manifest: { kind: "manifest", manifest: bytes(120), signature, bundle: bytes(40) },
  page: { kind: "page", offset: 2048, bytes: bytes(100) },
  release: { kind: "release", release: bytes(60), signature },
  "read-log": { kind: "read-log", from: 300 },
  finish: { kind: "finish" },
  "app-greet": { kind: "app-greet", certificate: bytes(90), signature },
  "access-request": { kind: "access-request", signature },
  keyset: { kind: "keyset", keyset: bytes(220), signature },
};
export const courierMessageSamples = Object.values(courierMessageValues).map((message) =>
  courierMessage.encode(message),
);

export const lockMessageValues: { readonly [Kind in LockMessage["kind"]]: LockMessage & { kind: Kind } } = {
  hello: {
    kind: "hello",
    pairingId: bytes(16),
    model: "C2",
    firmware: "11.2.0",
    hardware: "rev-b",
    bootCount: 12,
    epoch: 2,
    version: 70_000,
    root: bytes(32),
    stagedManifest: bytes(32),
    stagedBytes: 4096,
    logFirst: 24,
    logNext: 300,
    clock: "set",
    unixMs: unixMs(1_790_000_000_000),
    uptimeSeconds: 86_400,
    batteryMillivolts: 5_600,
    batteryPercent: 80,
    nonce: bytes(16),
    keysetEpoch: 2,
    clockSource: "authority",
  },
  "time-handled": { kind: "time-handled", oldUnixMs: unixMs(0), newUnixMs: unixMs(1_790_000_000_000), written: true },
  "send-pages": { kind: "send-pages", offset: 2048 },
  committed: { kind: "committed", epoch: 2, version: 70_001 },
  released: { kind: "released", through: 200 },
  log: { kind: "log", batch: bytes(100), next: 301 },
  report: { kind: "report", report: bytes(180), mac: bytes(32) },
  refused: { kind: "refused", request: "manifest", refusal: "rollback" },
  challenge: { kind: "challenge", challenge: bytes(16) },
  "access-result": {
    kind: "access-result",
    granted: false,
    reason: "CREDENTIAL_LOST",
    failedChecks: ["CREDENTIAL_LOST", "OUT_OF_SCHEDULE"],
    warnings: ["BATTERY_LOW"],
  },
  "keyset-held": { kind: "keyset-held", epoch: 2 },
};
export const lockMessageSamples = Object.values(lockMessageValues).map((message) => lockMessage.encode(message));

export const manifestSamples = [
  policyManifest.encode({
    pairingId: bytes(16),
    epoch: 2,
    from: 6,
    to: 7,
    length: 5_000,
    pageHashes: [bytes(16, 1), bytes(16, 2), bytes(16, 3)],
    root: bytes(32),
    notAfter: unixSeconds(1_790_000_000),
  }),
];
