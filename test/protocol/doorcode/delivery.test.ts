import { describe, expect, it } from "vitest";
import { localDay, unixSeconds } from "../../../protocol/base/units.ts";
import { advanceDelivery, type DeliveryRecord, openDelivery } from "../../../protocol/doorcode/delivery.ts";

const auditKey = new Uint8Array(32).fill(9);
const now = unixSeconds(1_800_000_000);
const slot = { localDay: localDay(20_781), mode: "single-use", slot: 3, code: "1234567" } as const;
const request = {
  issuerId: "alice",
  doorId: "lobby",
  slot,
  channel: "email",
  recipient: "Aunt.May@example.org",
} as const;

function opened(differing: object = {}): DeliveryRecord {
  const record = openDelivery({ ...request, ...differing }, auditKey, now);
  if (!record.ok) throw new Error(record.fault.code);
  return record.value;
}

describe("delivery of a doorcode", () => {
  it("[C11] names issuer, door, day and channel, and neither the code nor the whole recipient", () => {
    const record = opened();
    expect(record).toMatchObject({
      issuerId: "alice",
      doorId: "lobby",
      slot: { localDay: 20_781, mode: "single-use", slot: 3 },
      channel: "email",
      recipient: "A***@example.org",
      state: "queued",
    });
    expect(JSON.stringify(record)).not.toMatch(/1234567|Aunt|May/);
  });

  it("[C11] the same recipient has the same tag, another key another", () => {
    expect(opened({ recipient: "aunt.may@example.org" }).recipientTag).toBe(opened().recipientTag);
    const other = openDelivery(
      request,
      auditKey.map((byte) => byte ^ 1),
      now,
    );
    expect(other.ok && other.value.recipientTag).not.toBe(opened().recipientTag);
  });

  it.each([
    ["phone-message", "+1 555 010042", "***42"],
    ["call-screen", "", "at the door"],
  ] as const)("[C11] by %s", (channel, recipient, shown) => {
    expect(opened({ channel, recipient }).recipient).toBe(shown);
  });

  it.each([
    ["email", "nobody"],
    ["phone-message", "12"],
    ["call-screen", "x"],
    ["email", `${"x".repeat(260)}@example.org`],
  ] as const)("[C11] %s to %j is no address", (channel, recipient) => {
    expect(openDelivery({ ...request, channel, recipient }, auditKey, now)).toEqual({
      ok: false,
      fault: { code: "not-an-address", channel, length: recipient.length },
    });
  });

  it("[C11] goes on from queued to sent to delivered, and fails from either", () => {
    const states = ["queued", "sent", "delivered", "failed"] as const;
    const allowed = states.flatMap((from) =>
      states.filter((to) => advanceDelivery({ ...opened(), state: from }, to, now).ok).map((to) => `${from} ${to}`),
    );
    expect(allowed).toEqual(["queued sent", "queued failed", "sent delivered", "sent failed"]);
  });
});
