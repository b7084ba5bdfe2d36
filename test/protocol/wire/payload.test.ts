import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToBase64, utf8 } from "../../../protocol/base/bytes.ts";
import { birthSchema } from "../../../protocol/wire/messages/birth.ts";
import { timeCommandSchema } from "../../../protocol/wire/messages/command.ts";
import { desiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { EVENT_BATCH_LIMIT, eventBatchSchema } from "../../../protocol/wire/messages/event.ts";
import { healthSchema } from "../../../protocol/wire/messages/health.ts";
import { receiptSchema } from "../../../protocol/wire/messages/receipt.ts";
import { exposureSchema, reportedSchema } from "../../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../../protocol/wire/messages/state.ts";
import { formatPayload, PAYLOAD_LIMIT_BYTES, parsePayload } from "../../../protocol/wire/payload.ts";

const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
const state = { v: 1, device: "r29", online: true, heardAt: 1_790_000_000 };
const event = { boot: 1, sequence: 7, at: { unixSeconds: null, quality: "unset" }, kind: "boot" };

describe("payloads", () => {
  it("[M1] is a UTF-8 JSON object within the size limit", () => {
    expect(parsePayload(stateSchema, json(state))).toMatchObject({ ok: true, value: state });
    expect(parsePayload(stateSchema, utf8("{"))).toMatchObject({ ok: false, fault: { code: "payload-not-json" } });
    expect(parsePayload(stateSchema, Uint8Array.of(0x22, 0xff, 0x22))).toMatchObject({
      fault: { code: "payload-not-utf8" },
    });
    expect(parsePayload(stateSchema, new Uint8Array(PAYLOAD_LIMIT_BYTES + 1))).toEqual({
      ok: false,
      fault: { code: "payload-too-large", bytes: PAYLOAD_LIMIT_BYTES + 1, limitBytes: PAYLOAD_LIMIT_BYTES },
    });
  });

  it("[M1] names the path and what was expected there", () => {
    const fault = parsePayload(stateSchema, json({ ...state, device: "No Device" }));
    expect(fault).toMatchObject({ fault: { code: "payload-bad-shape", path: "device" } });
    expect(JSON.stringify(fault)).toContain("[a-z0-9-]{3,32}");
  });

  it("[M2] a message of a future version is told from a malformed one", () => {
    expect(parsePayload(stateSchema, json({ v: 2, anything: "new" }))).toEqual({
      ok: false,
      fault: { code: "payload-future-version", version: 2, supported: 1 },
    });
    expect(parsePayload(stateSchema, json({ ...state, v: 0 }))).toMatchObject({ fault: { code: "payload-bad-shape" } });
  });

  it("[M3] unknown keys are refused", () => {
    expect(parsePayload(stateSchema, json({ ...state, code: "1234567" }))).toMatchObject({
      fault: { code: "payload-bad-shape" },
    });
  });

  it("[M1] any bytes give a value or a fault, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.json(), (bytes, text) => {
        expect(typeof parsePayload(eventBatchSchema, bytes).ok).toBe("boolean");
        expect(typeof parsePayload(desiredSchema, utf8(text)).ok).toBe("boolean");
      }),
      { numRuns: 300 },
    );
  });
});

describe("messages", () => {
  it("[M4] unknown is null: firmware, battery and clock that a device did not say", () => {
    const birth = { v: 1 as const, device: "a08", model: "A08", bootCount: 3, firmware: null, hardware: null };
    expect(parsePayload(birthSchema, utf8(formatPayload(birthSchema, birth))).ok).toBe(true);
    const health = {
      v: 1,
      device: "a08",
      battery: null,
      firmware: null,
      firmwareVerdict: "unknown",
      clock: null,
      uptimeSeconds: null,
      bootCount: null,
      lastSyncAt: null,
      at: 1_790_000_000,
    };
    expect(parsePayload(healthSchema, json(health)).ok).toBe(true);
    expect(parsePayload(healthSchema, json({ ...health, battery: 0 })).ok).toBe(false);
  });

  it("[M5] an event is named by boot count and sequence and says how good its clock was", () => {
    const batch = { v: 1, device: "r29", events: [event] };
    expect(parsePayload(eventBatchSchema, json(batch)).ok).toBe(true);
    const { at: _, ...withoutClock } = event;
    expect(parsePayload(eventBatchSchema, json({ ...batch, events: [withoutClock] }))).toMatchObject({
      fault: { path: "events.0.at" },
    });
  });

  it("[M6] no field of an event can hold a code: unknown fields are refused and free text is bounded", () => {
    for (const field of ["code", "pin", "digits", "doorcode"]) {
      const batch = { v: 1, device: "r29", events: [{ ...event, [field]: "1234567" }] };
      expect(parsePayload(eventBatchSchema, json(batch)).ok).toBe(false);
    }
  });

  it("[M7] a batch holds 1 to 64 events", () => {
    const batch = (count: number) => json({ v: 1, device: "r29", events: Array.from({ length: count }, () => event) });
    expect(parsePayload(eventBatchSchema, batch(0)).ok).toBe(false);
    expect(parsePayload(eventBatchSchema, batch(EVENT_BATCH_LIMIT)).ok).toBe(true);
    expect(parsePayload(eventBatchSchema, batch(EVENT_BATCH_LIMIT + 1)).ok).toBe(false);
  });

  it("[M8] a receipt covers everything through a sequence and asks for what is missing", () => {
    const receipt = { v: 1, device: "r29", through: null, missing: [{ from: 3, to: 5 }] };
    expect(parsePayload(receiptSchema, json(receipt))).toMatchObject({ ok: true, value: receipt });
  });

  it("[M9] signed parts travel as base64 of the very bytes that were signed", () => {
    const blob = { bytes: bytesToBase64(Uint8Array.of(1, 2, 3)), signature: bytesToBase64(new Uint8Array(64)) };
    const desired = {
      v: 1,
      kind: "lock",
      revision: 1_790_000_000_000,
      device: "c1-lobby",
      policy: { epoch: 1, version: 4 },
      keyset: { epoch: 1, blob },
      bundles: [{ from: 0, manifest: blob, bytes: bytesToBase64(Uint8Array.of(9)) }],
      release: null,
      revocations: [{ person: "ivo", since: 1_790_000_000, epoch: 1, version: 4 }],
    };
    const read = parsePayload(desiredSchema, json(desired));
    expect(read).toMatchObject({ ok: true, value: { bundles: [{ manifest: { bytes: Uint8Array.of(1, 2, 3) } }] } });
    const [bundle] = desired.bundles;
    const broken = [{ ...bundle, bytes: "not base64!" }];
    expect(parsePayload(desiredSchema, json({ ...desired, bundles: broken })).ok).toBe(false);
    // A signature of another length is none, and would be somebody's mistake to send on.
    const short = { ...blob, signature: bytesToBase64(new Uint8Array(63)) };
    expect(parsePayload(desiredSchema, json({ ...desired, keyset: { epoch: 1, blob: short } })).ok).toBe(false);
  });

  it("[M10] a report travels with the lock's own bytes and MAC, an exposure names who, which lock and since when", () => {
    const reported = {
      v: 1,
      device: "c1-lobby",
      policy: { epoch: 1, version: 3 },
      clock: "set",
      logNext: 9,
      report: bytesToBase64(Uint8Array.of(1)),
      mac: bytesToBase64(new Uint8Array(32)),
      at: 1_790_000_000,
      courier: "gateway-maple",
    };
    expect(parsePayload(reportedSchema, json(reported)).ok).toBe(true);
    const exposure = { device: "c1-lobby", person: "ivo", since: 1_790_000_000, holds: null };
    const report = { v: 1, gateway: "gateway-maple", at: 1_790_000_100, exposures: [exposure] };
    expect(parsePayload(exposureSchema, json(report))).toMatchObject({ ok: true, value: { exposures: [exposure] } });
  });

  it("[M11] a lock's question for the time carries its nonce and its id comes back", () => {
    const command = {
      v: 1,
      id: "t-1",
      from: "gateway-maple",
      device: "c1-lobby",
      nonce: bytesToBase64(new Uint8Array(16)),
    };
    expect(parsePayload(timeCommandSchema, json(command)).ok).toBe(true);
  });
});

describe("writing", () => {
  it("[M9] what is written is what is read: base64 stays base64", () => {
    const message = {
      v: 1 as const,
      id: "t-1",
      from: "gateway-maple",
      device: "c1-lobby",
      nonce: bytesToBase64(new Uint8Array(16).fill(7)),
    };
    const read = parsePayload(timeCommandSchema, utf8(formatPayload(timeCommandSchema, message)));
    expect(read).toMatchObject({ ok: true, value: { nonce: new Uint8Array(16).fill(7) } });
  });
});
