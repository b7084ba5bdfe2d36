/** The authority's side of unlock commands, without sockets and on a stepped clock. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { UnlockRecord } from "../../../emulator/cloud/unlock-record.ts";
import { unlockLifetimeMs } from "../../../emulator/cloud/unlocks.ts";
import { bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs } from "../../../protocol/base/units.ts";
import { ed25519PublicKey } from "../../../protocol/crypto.ts";
import { type UnlockCommandMessage, unlockCommandSchema } from "../../../protocol/wire/messages/command.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { macBootReport, unlockCommand, verifyUnlock } from "../../../protocol/wire/unlock-command.ts";
import { catchMessages, deviceId, gateway, json, siteText, startCloud, type TestCloud } from "./fixture.ts";

const device = deviceId("gate-r29");
/** The garage's keys: Alice always, Mona never at noon, Otto not at all; Carl has one and is neither resident nor manager. */
const site = siteText
  .replace(
    "  - {id: carl,",
    "  - {id: mona, name: Mona, email: m@maple.example, role: MANAGER}\n  - {id: otto, name: Otto, email: o@maple.example, role: MANAGER}\n  - {id: carl,",
  )
  .replace(
    "credentials:",
    '  - {id: nights, name: Nights, doors: [garage], members: [mona], schedule: night}\nschedules:\n  - {id: night, weekly: [{days: [mon, tue, wed, thu, fri, sat, sun], from: "20:00", to: "24:00"}]}\ncredentials:',
  );
const bootId = new Uint8Array(16).fill(0x22);

/** A cloud whose gate panel was enrolled, born through the gateway, and has said its boot. */
async function heardCloud(uptimeMs = 60_000) {
  const started = await startCloud({ site });
  const { cloud } = started;
  const messages = catchMessages(cloud);
  const listening = await cloud.broker.listen(0);
  if (!listening.ok) throw new Error(listening.fault.code);
  const enrolled = cloud.authority.enrol(device);
  if (!enrolled.ok) throw new Error(enrolled.fault.code);
  const sayBirth = (
    uptime: number,
    change: Partial<{ bootCount: number; mac: Uint8Array; bootId: Uint8Array }> = {},
  ) => {
    const { bootCount = 1, bootId: id = bootId } = change;
    const report = { pairingId: enrolled.value.pairingId, bootId: id, bootCount, uptimeMs: uptime };
    const mac = bytesToHex(change.mac ?? macBootReport(enrolled.value.reportKey, report));
    const boot = { id: bytesToHex(id), uptimeMs: uptime, mac };
    const birth = { v: 1, device, model: "R29", via: gateway, bootCount, boot, firmware: null, hardware: null };
    return receive(cloud, `${device}/birth`, birth);
  };
  expect(sayBirth(uptimeMs)).toBe(true);
  messages.length = 0;
  const answer = (id: string, state: string, more: object = {}, from = gateway) =>
    receive(cloud, `${device}/result/unlock`, { v: 1, id, device, state, ...more }, from);
  const commands = () =>
    messages
      .filter(({ topic }) => topic.channel === "command")
      .map(({ topic, payload }) => {
        const read = parsePayload(unlockCommandSchema, utf8(payload));
        if (!read.ok) throw new Error(read.fault.code);
        return { topic, message: read.value };
      });
  return { ...started, enrolled: enrolled.value, sayBirth, answer, commands };
}

function receive(cloud: TestCloud, topic: string, message: unknown, from = gateway): boolean {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined) throw new Error(`${topic} is no topic`);
  return cloud.intake.receive(from, parsed, json(message));
}

describe("who may have a door opened", () => {
  it.each([
    ["a manager without a key", "otto", { code: "ACCESS_DENIED", reason: "NO_ACCESS_RIGHTS" }],
    ["a manager outside the schedule", "mona", { code: "ACCESS_DENIED", reason: "OUT_OF_SCHEDULE" }],
    ["a resident without a key", "bob", { code: "ACCESS_DENIED", reason: "NO_ACCESS_RIGHTS" }],
    ["somebody with a key who is neither", "carl", { code: "ROLE_MAY_NOT_UNLOCK", role: "NON_RESIDENT" }],
    ["nobody", "support", { code: "no-such-person" }],
  ])("[V7] %s is refused with the reason; nothing is signed", async (_who, by, fault) => {
    const { cloud, commands } = await heardCloud();
    expect(await cloud.unlocks.request("garage", by)).toMatchObject({ ok: false, fault });
    expect(commands()).toEqual([]);
    const reason = "reason" in fault ? fault.reason : fault.code;
    const recorded = by === "support" ? [] : [{ door: "garage", person: by, outcome: "denied", reason, command: null }];
    expect(cloud.unlockRecord.list()).toMatchObject(recorded);
  });

  it("[V7] a revoked person is refused from that moment", async () => {
    const { cloud, commands } = await heardCloud();
    cloud.authority.revoke("alice");
    const refused = { ok: false, fault: { code: "ACCESS_DENIED", reason: "CREDENTIAL_REVOKED" } };
    expect(await cloud.unlocks.request("garage", "alice")).toMatchObject(refused);
    expect(commands()).toEqual([]);
  });

  it("[V7] a door with offline locks only, and one that there is not, are said so", async () => {
    const { cloud } = await heardCloud();
    expect(await cloud.unlocks.request("lobby", "alice")).toMatchObject({ fault: { code: "NO_NETWORKED_DEVICE" } });
    expect(await cloud.unlocks.request("vault", "alice")).toMatchObject({ fault: { code: "no-such-door" } });
  });
});

describe("a command of the authority", () => {
  it("[V7] is good for 10 s of the device's own uptime, told by its report and the time since, and never for more", async () => {
    const { cloud, clock, commands, answer, enrolled } = await heardCloud(60_000);
    clock.advance(5_000);
    const asked = cloud.unlocks.request("garage", "alice");
    const [sent] = commands();
    if (sent === undefined) throw new Error("nothing was sent");
    expect(sent.topic).toEqual({ site: "maple-court", device, channel: "command", name: "unlock" });
    expect(sent.message).toMatchObject({ device, via: gateway });
    expect(takenAt(sent.message, 65_000)).toBe("ok");
    expect(takenAt(sent.message, 65_000 + unlockLifetimeMs)).toBe("ok");
    expect(takenAt(sent.message, 65_001 + unlockLifetimeMs)).toBe("expired");
    const { id } = sent.message;
    for (const state of ["accepted", "executing", "done"]) expect(answer(id, state)).toBe(true);
    const outcome = { command: id, door: "garage", device, by: "alice", state: "done", reason: null };
    expect(await asked).toEqual({ ok: true, value: { ...outcome, heard: ["accepted", "executing", "done"] } });
    expect(cloud.unlockRecord.list()).toMatchObject([
      {
        command: id,
        door: "garage",
        device,
        person: "alice",
        outcome: "done",
        steps: [{ step: "sent" }, {}, {}, { step: "done" }],
      },
    ]);

    function takenAt({ command }: UnlockCommandMessage, uptimeMs: number): string {
      const { pairingId, unlockKey } = enrolled;
      const read = verifyUnlock(command, { pairingId, unlockKey, bootId, uptimeMs, isSeen: () => false });
      return read.ok ? "ok" : read.fault.code;
    }
  });

  it("[V6] an uptime that a gateway made up, held back or said again changes nothing", async () => {
    const { cloud, clock, sayBirth, commands } = await heardCloud(60_000);
    clock.advance(1_000);
    sayBirth(86_400_000, { mac: new Uint8Array(32) });
    sayBirth(30_000);
    sayBirth(60_000);
    void cloud.unlocks.request("garage", "alice");
    expect(notAfter(commands()[0]?.message)).toBe(61_000 + unlockLifetimeMs);
    sayBirth(500, { bootCount: 2, bootId: new Uint8Array(16).fill(9) });
    sayBirth(70_000);
    void cloud.unlocks.request("garage", "alice");
    expect(notAfter(commands()[1]?.message)).toBe(500 + unlockLifetimeMs);
  });

  it("[V8] without an answer it is unconfirmed, not failed, and a late answer is still written down", async () => {
    const { cloud, clock, commands, answer } = await heardCloud();
    const asked = cloud.unlocks.request("garage", "alice");
    const id = commands()[0]?.message.id ?? "";
    answer(id, "accepted");
    clock.advance(20_000);
    expect(await asked).toMatchObject({ value: { state: "unconfirmed", heard: ["accepted"] } });
    expect(cloud.unlockRecord.list()).toMatchObject([{ outcome: "unconfirmed" }]);
    expect(answer(id, "done")).toBe(true);
    expect(cloud.unlockRecord.list()).toMatchObject([{ outcome: "done" }]);
    expect(commands()).toHaveLength(1);
  });

  it("[V8] results that nobody asked for, of another device, gateway or order are refused and counted", async () => {
    const { cloud, commands, answer } = await heardCloud();
    cloud.authority.registerGateway(deviceId("gateway-east"), "another long password");
    const asked = cloud.unlocks.request("garage", "alice");
    const id = commands()[0]?.message.id ?? "";
    expect(answer("00".repeat(16), "done")).toBe(false);
    expect(answer(id, "done", {}, deviceId("gateway-east"))).toBe(false);
    expect(answer(id, "open-sesame")).toBe(false);
    expect(answer(id, "failed", { reason: "device-offline" })).toBe(true);
    expect(answer(id, "done")).toBe(false);
    expect(receive(cloud, `${device}/result/open`, { v: 1, id, device, state: "done" })).toBe(false);
    expect(await asked).toMatchObject({ value: { state: "failed", reason: "device-offline", heard: ["failed"] } });
    expect(cloud.record.refusals().map(({ code }) => code)).toEqual([
      "command-unknown",
      "not-a-step",
      "payload-bad-shape",
      "gateway-mismatch",
      "unlock-unknown",
    ]);
  });

  it("[V7] without a link, or for a device that was never heard, nothing is signed", async () => {
    const { cloud, commands } = await heardCloud();
    await cloud.broker.setLink(false);
    expect(await cloud.unlocks.request("garage", "alice")).toMatchObject({
      value: { state: "not-sent", reason: "no-link" },
    });
    expect(commands()).toEqual([]);
    const { cloud: young } = await startCloud({ site });
    expect(await young.unlocks.request("garage", "alice")).toMatchObject({ value: { reason: "device-never-heard" } });
  });

  it("[V1] the ids of a thousand commands are all different, and the key that signs is in none of them", async () => {
    const { cloud, clock, commands } = await heardCloud();
    for (let count = 0; count < 1_000; count++) {
      void cloud.unlocks.request("garage", "alice");
      clock.advance(13_000);
      await Promise.resolve();
    }
    const ids = commands().map(({ message }) => message.id);
    expect(new Set(ids).size).toBe(1_000);
    expect(ed25519PublicKey(cloud.authority.keys.roles.unlock)).toHaveLength(32);
  });
});

describe("the record of unlock commands", () => {
  it("[V7] survives a restart, takes no change, and takes no id twice", () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-unlocks-"));
    const path = join(folder, "cloud.sqlite");
    const line = { at: unixMs(1), command: "ab".repeat(16), door: "garage", device, person: "alice", reason: null };
    const first = new DatabaseSync(path);
    const record = new UnlockRecord(first);
    record.append({ ...line, step: "sent" });
    record.append({ ...line, step: "done" });
    expect(() => record.append({ ...line, step: "sent" })).toThrow(/UNIQUE/);
    expect(() => first.exec("UPDATE unlocks SET person = 'bob'")).toThrow(/append-only/);
    expect(() => first.exec("DELETE FROM unlocks")).toThrow(/append-only/);
    first.close();
    const second = new DatabaseSync(path);
    const again = new UnlockRecord(second);
    expect(again.isIssued("ab".repeat(16))).toBe(true);
    expect(again.list()).toMatchObject([
      { person: "alice", outcome: "done", steps: [{ step: "sent" }, { step: "done" }] },
    ]);
    second.close();
    rmSync(folder, { recursive: true, force: true });
  });
});

function notAfter(message: UnlockCommandMessage | undefined): number | undefined {
  const read = message === undefined ? undefined : unlockCommand.decode(message.command.bytes);
  return read?.ok === true ? read.value.notAfterUptimeMs : undefined;
}
