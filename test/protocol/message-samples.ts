/** The schema of every MQTT message with a sound one, as JSON has it; to be changed by the fuzz tests. */
import type { z } from "zod";
import { birthSchema } from "../../protocol/wire/messages/birth.ts";
import {
  leaseCommandSchema,
  leaseResultSchema,
  pairCommandSchema,
  pairResultSchema,
  stickerCommandSchema,
  stickerResultSchema,
  timeCommandSchema,
  timeResultSchema,
  unlockCommandSchema,
  unlockResultSchema,
} from "../../protocol/wire/messages/command.ts";
import {
  desiredSchema,
  deviceDesiredSchema,
  gatewayDesiredSchema,
  lockDesiredSchema,
  panelDesiredSchema,
} from "../../protocol/wire/messages/desired.ts";
import {
  claimRequestSchema,
  enrolmentAnswerSchema,
  enrolmentRequestSchema,
  renewRequestSchema,
} from "../../protocol/wire/messages/enrolment.ts";
import { eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { gatewayCommandSchema, gatewayResultSchema } from "../../protocol/wire/messages/gateway-command.ts";
import { healthSchema } from "../../protocol/wire/messages/health.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { exposureSchema, reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";

const at = 1_790_000_000;
const base64 = (length: number): string => btoa("k".repeat(length));
const blob = { bytes: base64(90), signature: base64(64) };
const policy = { epoch: 1, version: 7 };
const claimRequest = {
  v: 1,
  ask: "claim",
  id: "00".repeat(8),
  serial: "R20-7714",
  code: base64(16),
  request: base64(200),
};
const boot = { id: "ab".repeat(16), uptimeMs: 86_400_000, mac: "cd".repeat(32) };
const revocations = [{ person: "chloe", since: at, epoch: 1, version: 7 }];
const gatewayDesired = {
  v: 1,
  kind: "gateway",
  revision: 1_790_000_000_000,
  site: { id: "house", name: "Maple Court", timeZone: "Europe/Vienna" },
  courierCertificate: blob,
  timeDelegate: blob,
  visitLeaseSeconds: 120,
  devices: [
    {
      id: "lock-1",
      model: "C2",
      network: "ble",
      door: "front",
      doorName: "Front door",
      doorKind: "RESIDENCE",
      doorUnit: "unit-1a",
      address: "C0:FF:EE:00:00:01",
      staticPublicKey: base64(32),
      pairingId: base64(16),
      login: { salt: base64(16), hash: base64(32) },
    },
  ],
  people: [
    { id: "chloe", name: "Chlo\u00e9" },
    { id: "kira", name: "Kira", role: "MANAGER", unit: "unit-1a" },
  ],
  settings: { version: 4, settings: [{ setting: "health.intervalSeconds", value: 30 }] },
};
const lockDesired = {
  v: 1,
  kind: "lock",
  revision: 2,
  device: "lock-1",
  policy,
  urgent: "revocation",
  visitBy: at,
  keyset: { epoch: 1, blob },
  bundles: [
    { from: 6, manifest: blob, bytes: base64(90) },
    { from: 0, manifest: blob, bytes: base64(300) },
  ],
  release: blob,
  confirmed: { ...policy, bootCount: 3, logNext: 41, at, by: "gateway-attic" },
  revocations,
};
const deviceDesired = {
  v: 1,
  kind: "device",
  revision: 2,
  device: "reader-1",
  policy,
  manifest: blob,
  bundle: base64(300),
  revocations,
};
const panelDesired = {
  v: 1,
  kind: "panel",
  revision: 3,
  device: "panel-1",
  panelNumber: 1,
  door: "front",
  doorName: "Front door",
  rotation: 3,
  current: "HTTPS://EXAMPLE.ORG/L/04002003DEQMRYA5CSV2EGC5",
  retired: ["HTTPS://EXAMPLE.ORG/L/040000010D95S2704K19CJBQ"],
  at,
  seenAt: at,
};

/** By the names under which the schemas are exported. */
export const messageSamples: Readonly<Record<string, { readonly schema: z.ZodType; readonly sample: object }>> = {
  leaseCommandSchema: {
    schema: leaseCommandSchema,
    sample: { v: 1, id: "lease-1", from: "gateway-attic", device: "lock-1", action: "take" },
  },
  leaseResultSchema: {
    schema: leaseResultSchema,
    sample: {
      v: 1,
      id: "lease-1",
      device: "lock-1",
      state: "refused",
      forMs: 90_000,
      by: "gateway-cellar",
      reason: "held",
    },
  },
  birthSchema: {
    schema: birthSchema,
    sample: {
      v: 1,
      device: "lock-1",
      model: "C2",
      via: "gateway-attic",
      bootCount: 3,
      boot,
      firmware: "11.2.0",
      hardware: null,
      courierPublicKey: base64(32),
      timePublicKey: base64(32),
    },
  },
  stateSchema: {
    schema: stateSchema,
    sample: { v: 1, device: "lock-1", via: "gateway-attic", online: true, heardAt: at },
  },
  healthSchema: {
    schema: healthSchema,
    sample: {
      v: 1,
      device: "lock-1",
      via: "gateway-attic",
      battery: { millivolts: 5600, percent: 80, at },
      firmware: { version: "11.2.0", at },
      firmwareVerdict: "ok",
      clock: { quality: "set", driftMs: -20, at },
      uptimeSeconds: 60,
      bootCount: 3,
      boot,
      gatewayBoot: { id: "ab".repeat(16), uptimeMs: 86_400_000 },
      lastSyncAt: at,
      sync: {
        state: "pending",
        why: "newer policy",
        since: at,
        desired: policy,
        reported: { ...policy, at },
        heardAt: at,
      },
      signal: { rssi: -71, at },
      exposure: { revoked: 1, signedOut: 0, since: at },
      lastFault: { code: "timeout", at },
      firmwareGates: [{ capability: "short-doorcodes", verdict: "able", version: "2.0.7" }],
      gateway: {
        loopLag: { p50Ms: 0, p99Ms: 2.1, maxMs: 14 },
        store: { bytes: 40960, waiting: 3 },
        disk: { freeBytes: 2e9, totalBytes: 8e9 },
        memory: null,
        residentBytes: 7e7,
        temperatureCelsius: 48.2,
        power: { underVoltage: false, throttled: null, underVoltageSinceBoot: null, throttledSinceBoot: null },
        time: { synchronised: true, source: "systemd-timesyncd" },
        machineUptimeSeconds: 90_000,
      },
      at,
    },
  },
  gatewayDesiredSchema: { schema: gatewayDesiredSchema, sample: gatewayDesired },
  lockDesiredSchema: { schema: lockDesiredSchema, sample: lockDesired },
  deviceDesiredSchema: { schema: deviceDesiredSchema, sample: deviceDesired },
  panelDesiredSchema: { schema: panelDesiredSchema, sample: panelDesired },
  desiredSchema: { schema: desiredSchema, sample: lockDesired },
  reportedSchema: {
    schema: reportedSchema,
    sample: {
      v: 1,
      device: "lock-1",
      policy,
      clock: "set",
      logNext: 300,
      report: base64(180),
      mac: base64(32),
      at,
      courier: "gateway-attic",
    },
  },
  exposureSchema: {
    schema: exposureSchema,
    sample: {
      v: 1,
      gateway: "gateway-attic",
      at,
      exposures: [{ device: "lock-1", person: "chloe", since: at, what: "signed-out", holds: policy }],
      settings: {
        version: 4,
        applied: ["health.intervalSeconds"],
        waiting: ["sync.automatic"],
        refused: [{ setting: "upstream.url", reason: "not-from-afar" }],
      },
      erasures: { people: 2, lastAt: at },
    },
  },
  eventBatchSchema: {
    schema: eventBatchSchema,
    sample: {
      v: 1,
      device: "lock-1",
      events: [
        { boot: 1, sequence: 7, at: { unixSeconds: null, quality: "unset" }, kind: "boot" },
        {
          boot: 1,
          sequence: 8,
          at: { unixSeconds: at, quality: "set" },
          kind: "access-denied",
          person: "chloe",
          credential: "chloe-app",
          credentialType: "app-key",
          reason: "CREDENTIAL_LOST",
          standards: {
            onvif: { code: { reason: "Other", detail: "CREDENTIAL_LOST" }, lossy: true },
            matter: { code: { operationError: 2 }, lossy: true },
            bacnet: { code: 14, lossy: false },
          },
          failedChecks: ["CREDENTIAL_LOST"],
          warnings: ["BATTERY_LOW"],
          detail: "lost",
          entryTag: "0011aabb",
          raw: base64(90),
          facts: { before: 1, after: 2 },
        },
      ],
    },
  },
  claimRequestSchema: { schema: claimRequestSchema, sample: claimRequest },
  renewRequestSchema: {
    schema: renewRequestSchema,
    sample: { v: 1, ask: "renew", id: "00".repeat(8), request: base64(200) },
  },
  enrolmentRequestSchema: { schema: enrolmentRequestSchema, sample: claimRequest },
  enrolmentAnswerSchema: {
    schema: enrolmentAnswerSchema,
    sample: {
      v: 1,
      state: "issued",
      id: "00".repeat(8),
      device: "lock-1",
      site: "house",
      certificate: base64(400),
      authority: base64(400),
      notAfter: at,
      renewAt: at,
    },
  },
  receiptSchema: {
    schema: receiptSchema,
    sample: { v: 1, device: "lock-1", through: 300, missing: [{ from: 301, to: 305 }] },
  },
  timeCommandSchema: {
    schema: timeCommandSchema,
    sample: { v: 1, id: "t-1", from: "gateway-attic", device: "lock-1", nonce: base64(16) },
  },
  timeResultSchema: {
    schema: timeResultSchema,
    sample: { v: 1, id: "t-1", device: "lock-1", state: "done", answer: blob, reason: "none" },
  },
  pairCommandSchema: {
    schema: pairCommandSchema,
    sample: {
      v: 1,
      id: "p-1",
      from: "gateway-attic",
      device: "lock-1",
      address: "C0:FF:EE:00:00:01",
      statement: base64(90),
      mac: base64(32),
      confirmation: base64(32),
    },
  },
  pairResultSchema: {
    schema: pairResultSchema,
    sample: { v: 1, id: "p-1", device: "lock-1", state: "done", sealed: base64(90), reason: "not-open" },
  },
  stickerCommandSchema: {
    schema: stickerCommandSchema,
    sample: { v: 1, id: "s-1", from: "gateway-attic", device: "panel-1", action: "rotate", rotation: 3 },
  },
  stickerResultSchema: {
    schema: stickerResultSchema,
    sample: { v: 1, id: "s-1", device: "panel-1", state: "refused", rotation: 4, reason: "another-rotation" },
  },
  unlockCommandSchema: {
    schema: unlockCommandSchema,
    sample: { v: 1, id: "0a".repeat(16), device: "reader-1", via: "gateway-attic", command: blob },
  },
  unlockResultSchema: {
    schema: unlockResultSchema,
    sample: { v: 1, id: "0a".repeat(16), device: "reader-1", state: "refused", reason: "replayed" },
  },
  gatewayCommandSchema: {
    schema: gatewayCommandSchema,
    sample: {
      v: 1,
      id: "0a".repeat(16),
      device: "gateway-attic",
      bootId: "ab".repeat(16),
      notAfterUptimeMs: 60_000,
      order: { action: "sync", device: "lock-1" },
    },
  },
  gatewayResultSchema: {
    schema: gatewayResultSchema,
    sample: {
      v: 1,
      id: "0a".repeat(16),
      device: "gateway-attic",
      state: "failed",
      reason: "not-done",
      answer: {
        sync: { device: "lock-1", outcome: "pending", to: policy, reportedAt: at },
        fault: { code: "radio", reason: "no-adapter" },
        erased: { events: 3, waiting: 1, signed: 0 },
        reloaded: { waiting: ["http.port"], mistakes: 0 },
        diagnosis: {
          version: "0.1.0",
          uptimeSeconds: 60,
          outboxDepth: 0,
          linkAttempts: 1,
          radioFault: null,
          devicesConnected: 2,
          locks: [{ state: "in-sync", locks: 4 }],
          refused: [{ code: "wrong-password", times: 1 }],
        },
      },
    },
  },
};
