import { describe, expect, it } from "vitest";
import { reasonToStandards } from "../../../../protocol/access/reason-standards.ts";
import { reasonCodes } from "../../../../protocol/access/reasons.ts";
import { utf8 } from "../../../../protocol/base/bytes.ts";
import {
  EVENT_BATCH_LIMIT,
  eventBatchSchema,
  eventSchema,
  standardsOf,
} from "../../../../protocol/wire/messages/event.ts";

const denied = {
  boot: 1,
  sequence: 7,
  at: { unixSeconds: 1_790_000_000, quality: "set" },
  kind: "access-denied",
} as const;

describe("an event in the standards' words", () => {
  it("[M13] every reason's codes fit the event and read back as they were, marks of loss included", () => {
    for (const reason of reasonCodes) {
      const standards = standardsOf(reason);
      const event = { ...denied, reason, ...(standards === undefined ? {} : { standards }) };
      const read = eventSchema.parse(JSON.parse(JSON.stringify(event)));
      expect(read).toEqual(event);
      const { onvif, matter, bacnet } = reasonToStandards(reason);
      expect([read.standards?.onvif, read.standards?.matter, read.standards?.bacnet]).toEqual([onvif, matter, bacnet]);
    }
  });

  it("[M13] what no standard can say has no codes at all", () => {
    expect(standardsOf("DEVICE_CLOCK_WRONG")).toBeUndefined();
    expect(standardsOf("OUT_OF_SCHEDULE")).toEqual({
      onvif: { code: { reason: "NotPermittedAtThisTime" }, lossy: false },
      matter: { code: { operationError: 3 }, lossy: false },
      bacnet: { code: 136, lossy: false },
    });
  });

  it("[M13] is no place for free words", () => {
    const standards = { onvif: { code: { reason: "Other" }, lossy: true } };
    expect(eventSchema.safeParse({ ...denied, standards }).success).toBe(true);
    for (const wrong of [
      { osdp: 1 },
      { bacnet: { code: "129", lossy: false } },
      { onvif: { code: { note: "x" }, lossy: true } },
    ]) {
      expect(eventSchema.safeParse({ ...denied, standards: wrong }).success).toBe(false);
    }
  });

  it("[M7] a full message of denials with every code stays under 48 KiB", () => {
    const standards = standardsOf("LEASE_ENDED");
    const event = {
      ...denied,
      person: "p".repeat(32),
      credential: "c".repeat(32),
      credentialType: "permanent-doorcode",
      reason: "LEASE_ENDED",
      failedChecks: ["LEASE_ENDED", "OUT_OF_SCHEDULE"],
      entryTag: "01234567",
      raw: Buffer.alloc(160).toString("base64"),
      standards,
    };
    const text = JSON.stringify({
      v: 1,
      device: "d".repeat(32),
      events: Array.from({ length: EVENT_BATCH_LIMIT }, () => event),
    });
    expect(eventBatchSchema.safeParse(JSON.parse(text)).success).toBe(true);
    expect(utf8(text).length).toBeLessThan(48 * 1024);
  });

  it("[V5] an opening by command names the command by its id, and only so", () => {
    const opened = { ...denied, kind: "access-granted", credentialType: "remote", command: "ab".repeat(16) };
    expect(eventSchema.safeParse(opened).success).toBe(true);
    expect(eventSchema.safeParse({ ...opened, command: "4815162" }).success).toBe(false);
  });
});
