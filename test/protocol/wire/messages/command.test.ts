import { describe, expect, it } from "vitest";
import { bytesToBase64, utf8 } from "../../../../protocol/base/bytes.ts";
import { birthSchema } from "../../../../protocol/wire/messages/birth.ts";
import * as commandFile from "../../../../protocol/wire/messages/command.ts";
import {
  commandsByName,
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  unlockCommandSchema,
  unlockReasons,
  unlockResultSchema,
} from "../../../../protocol/wire/messages/command.ts";
import * as gatewayCommandFile from "../../../../protocol/wire/messages/gateway-command.ts";
import { healthSchema } from "../../../../protocol/wire/messages/health.ts";
import { formatPayload, parsePayload } from "../../../../protocol/wire/payload.ts";

const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
const id = "0123456789abcdef0123456789abcdef";
const blob = { bytes: bytesToBase64(new Uint8Array(71)), signature: bytesToBase64(new Uint8Array(64)) };
const command = { v: 1 as const, id, device: "gym-lock", via: "gateway-main", command: blob };

describe("the messages of an unlock command", () => {
  it("[V4] a command carries its id, its device and its gateway around the signed bytes, and nothing else", () => {
    const text = formatPayload(unlockCommandSchema, command);
    const read = parsePayload(unlockCommandSchema, utf8(text));
    expect(read).toMatchObject({ ok: true, value: { id, command: { bytes: new Uint8Array(71) } } });
    expect(text.length).toBeLessThan(UNLOCK_PAYLOAD_LIMIT_BYTES / 2);
    const { command: _command, ...unsigned } = command;
    const { signature: _signature, ...bytesOnly } = blob;
    for (const wrong of [
      unsigned,
      { ...command, command: bytesOnly },
      { ...command, command: { ...blob, bytes: bytesToBase64(new Uint8Array(129)) } },
      { ...command, id: id.slice(1) },
      { ...command, id: id.toUpperCase() },
      { ...command, master: true },
      { ...command, v: 2 },
    ]) {
      expect(parsePayload(unlockCommandSchema, json(wrong)).ok).toBe(false);
    }
  });

  it("[V8] a result names one of the states and, if it did not go well, one of the reasons", () => {
    const result = { v: 1 as const, id, device: "gym-lock", state: "refused" as const };
    for (const reason of unlockReasons) {
      expect(parsePayload(unlockResultSchema, json({ ...result, reason })).ok).toBe(true);
    }
    expect(parsePayload(unlockResultSchema, json({ ...result, state: "opened" })).ok).toBe(false);
    expect(parsePayload(unlockResultSchema, json({ ...result, reason: "because" })).ok).toBe(false);
  });

  it("[V9] every command of the protocol stands in the one table", () => {
    const listed = Object.values(commandsByName).flatMap((pair) => [pair.command, pair.result]);
    const inFile = Object.entries({ ...commandFile, ...gatewayCommandFile }).filter(([name]) =>
      /(Command|Result)Schema$/.test(name),
    );
    expect(inFile.map(([, schema]) => schema).sort()).toEqual(listed.sort());
    expect(inFile).toHaveLength(listed.length);
  });

  it("[V6] birth and health say the boot and its uptime with a MAC; a device that takes no commands says nothing", () => {
    const boot = { id, uptimeMs: 60_000, mac: "ab".repeat(32) };
    const birth = { v: 1, device: "gym-lock", model: "R2", bootCount: 1, firmware: null, hardware: null };
    const health = {
      v: 1,
      device: "gym-lock",
      battery: null,
      firmware: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: 60,
      bootCount: 1,
      lastSyncAt: null,
      at: 1_790_000_000,
    };
    for (const [schema, message] of [
      [birthSchema, birth],
      [healthSchema, health],
    ] as const) {
      expect(parsePayload(schema, json(message)).ok).toBe(true);
      expect(parsePayload(schema, json({ ...message, boot }))).toMatchObject({ ok: true, value: { boot } });
      for (const wrong of [
        { ...boot, mac: "" },
        { ...boot, uptimeMs: -1 },
        { ...boot, uptimeMs: 0.5 },
        { id, mac: boot.mac },
      ]) {
        expect(parsePayload(schema, json({ ...message, boot: wrong })).ok).toBe(false);
      }
    }
  });
});
