import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTimeForGateway } from "../../../agent/enrolment/authority-time.ts";
import { issueDailyCode } from "../../../emulator/cloud/doorcodes.ts";
import { base64ToBytes, bytesToBase64, utf8 } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { verifyTyped } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { timeResultSchema } from "../../../protocol/wire/messages/command.ts";
import { gatewayDesiredSchema, lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { standardsOf } from "../../../protocol/wire/messages/event.ts";
import { receiptSchema } from "../../../protocol/wire/messages/receipt.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { logRelease, signedTypes, timeAnswer } from "../../../protocol/wire/signed-objects.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import {
  catchMessages,
  gateway,
  json,
  noon,
  PairedLock,
  plainEvent,
  sealedEvent,
  startCloud,
  type TestCloud,
} from "./fixture.ts";

function receive(cloud: TestCloud, topic: string, message: unknown): boolean {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined) throw new Error(`${topic} is no topic`);
  return cloud.intake.receive(gateway, parsed, message instanceof Uint8Array ? message : json(message));
}

function sendEvents(cloud: TestCloud, device: string, events: readonly unknown[]): boolean {
  return receive(cloud, `${device}/event`, { v: 1, device, events });
}

function lastRefusal(cloud: TestCloud): unknown {
  return cloud.record.refusals(1)[0]?.["code"];
}

describe("event batches", () => {
  it("are stored before their receipt goes out, which covers them", async () => {
    const { cloud } = await startCloud();
    const storedAtReceipt: number[] = [];
    cloud.broker.publish = ({ topic, payload }) => {
      expect(topic).toEqual({ site: "maple-court", device: "gate-r29", channel: "receipt" });
      const receipt = parsePayload(receiptSchema, utf8(payload));
      expect(receipt).toMatchObject({ ok: true, value: { through: 2, missing: [] } });
      storedAtReceipt.push(cloud.record.summary().events);
    };
    expect(sendEvents(cloud, "gate-r29", [plainEvent(1), plainEvent(2)])).toBe(true);
    expect(storedAtReceipt).toEqual([2]);
  });

  it("keep the word that a firmware reports no reason", async () => {
    const { cloud } = await startCloud();
    const reasonAbsent = "not reported by this firmware";
    sendEvents(cloud, "gate-r29", [plainEvent(1, { kind: "access-denied", person: undefined, reasonAbsent })]);
    const [event] = cloud.record.events({ kind: "access-denied" });
    expect(event).toMatchObject({ device: "gate-r29", reasonAbsent });
    expect(event).not.toHaveProperty("reason");
  });

  it("[M13] keep the reason in the standards' words, and take no codes that are not the reason's", async () => {
    const { cloud } = await startCloud();
    const reason = "OUT_OF_SCHEDULE";
    const denied = { kind: "access-denied", reason, standards: standardsOf(reason) };
    expect(sendEvents(cloud, "gate-r29", [plainEvent(1, denied)])).toBe(true);
    expect(cloud.record.events({ device: "gate-r29" })).toMatchObject([
      { reason, standards: { bacnet: { code: 136, lossy: false }, matter: { code: { operationError: 3 } } } },
    ]);
    for (const wrong of [
      { ...denied, reason: "CREDENTIAL_EXPIRED" },
      { ...denied, reason: undefined },
      { ...denied, kind: "access-granted" },
    ]) {
      expect(sendEvents(cloud, "gate-r29", [plainEvent(2, wrong)])).toBe(false);
      expect(lastRefusal(cloud)).toBe("standards-not-of-reason");
    }
  });

  it("[M13] of a lock get the codes from the authority, by the reason that the lock sealed; a gateway's are not taken", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const event = lock.deny("1234567");
    const standards = standardsOf("CREDENTIAL_UNKNOWN");
    expect(sendEvents(cloud, "lobby-lock", [{ ...event, standards }])).toBe(false);
    expect(lastRefusal(cloud)).toBe("standards-not-of-reason");
    expect(sendEvents(cloud, "lobby-lock", [event])).toBe(true);
    expect(cloud.record.events({ device: "lobby-lock" })).toMatchObject([{ standards: { bacnet: { code: 129 } } }]);
  });

  it("of a device that the site does not have, or under another device's topic, are refused and counted", async () => {
    const { cloud } = await startCloud();
    expect(sendEvents(cloud, "stranger-lock", [plainEvent(1)])).toBe(false);
    expect(lastRefusal(cloud)).toBe("device-unknown");
    expect(receive(cloud, "gate-r29/event", { v: 1, device: "lobby-lock", events: [plainEvent(1)] })).toBe(false);
    expect(lastRefusal(cloud)).toBe("device-mismatch");
    expect(cloud.record.summary()).toMatchObject({ events: 0, refused: 2 });
  });
});

describe("[E3] a lock's log", () => {
  /** What becomes of one event in the lock's name. */
  function taken(cloud: TestCloud, event: unknown): unknown {
    return sendEvents(cloud, "lobby-lock", [event]) ? "taken" : lastRefusal(cloud);
  }

  const recorded = (cloud: TestCloud) =>
    cloud.record.events({ device: "lobby-lock" }).map(({ sequence, kind }) => [sequence, kind]);

  async function withLock() {
    const { cloud } = await startCloud();
    return { cloud, lock: PairedLock.pair(cloud, "lobby-lock") };
  }

  it("[E3] a batch is recorded as the entries it is of, each with its own bytes, and the receipt covers them", async () => {
    const { cloud, lock } = await withLock();
    lock.log({ kind: "boot" });
    lock.log({ kind: "access-denied", reason: "CREDENTIAL_REVOKED", person: "bob" });
    lock.log({ kind: "access-granted", person: "alice" });
    const messages = catchMessages(cloud);
    expect(taken(cloud, lock.sealed(1, 3))).toBe("taken");
    expect(recorded(cloud)).toEqual([
      [1, "boot"],
      [2, "access-denied"],
      [3, "access-granted"],
    ]);
    const [, denied] = cloud.record.events({ device: "lobby-lock" });
    expect(denied).toMatchObject({ boot: 1, reason: "CREDENTIAL_REVOKED", person: "bob", at: { unixSeconds: noon } });
    expect(JSON.parse(messages[0]?.payload ?? "{}")).toMatchObject({ device: "lobby-lock", through: 3, missing: [] });
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: 3, brokenAt: null });
  });

  it("[E3] several batches come in one message, and batches that overlap store no entry twice", async () => {
    const { cloud, lock } = await withLock();
    for (let count = 0; count < 6; count++) lock.log({ kind: "boot" });
    expect(sendEvents(cloud, "lobby-lock", [lock.sealed(1, 2), lock.sealed(3, 4)])).toBe(true);
    // Another gateway read from another place on.
    expect(sendEvents(cloud, "lobby-lock", [lock.sealed(2, 6)])).toBe(true);
    expect(recorded(cloud).map(([sequence]) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(cloud.record.summary()).toMatchObject({ events: 6, redelivered: 3, conflicting: 0, duplicates: 0 });
  });

  it("[E3] a gateway cannot forge at all: what no lock sealed is log-not-sealed, whatever it carries", async () => {
    const { cloud, lock } = await withLock();
    const said = {
      boot: 1,
      sequence: 1,
      at: { unixSeconds: noon, quality: "set" },
      kind: "access-granted",
      person: "bob",
    };
    const entry = auditEntry.encode({ sequence: 1, boot: 1, clock: "set", kind: "access-granted", person: "bob" });
    for (const raw of [undefined, bytesToBase64(entry), lock.log({ kind: "boot" }).raw]) {
      expect(taken(cloud, { ...said, ...(raw === undefined ? {} : { raw }) })).toBe("log-not-sealed");
    }
    // What came beside it is the lock's, and is stored.
    expect(sendEvents(cloud, "lobby-lock", [lock.sealed(1, 1), said])).toBe(false);
    expect(cloud.record.summary()).toMatchObject({ events: 1, refused: 4 });
    expect(cloud.record.events({ device: "lobby-lock" })).toMatchObject([{ kind: "boot" }]);
  });

  it("[E3] log-not-sealed: a networked device, which has no seal, sends none", async () => {
    const { cloud, lock } = await withLock();
    const sealed = lock.log({ kind: "boot" });
    expect(sendEvents(cloud, "gate-r29", [plainEvent(1), sealed])).toBe(false);
    expect(lastRefusal(cloud)).toBe("log-not-sealed");
    // And a lock that is not paired has nobody's.
    expect(sendEvents(cloud, "garage-lock", [sealed])).toBe(false);
    expect(lastRefusal(cloud)).toBe("log-not-sealed");
  });

  it("[E3] batch-malformed: bytes that are no batch, and none at all", async () => {
    const { cloud, lock } = await withLock();
    const { raw, ...bare } = lock.log({ kind: "boot" });
    expect(taken(cloud, bare)).toBe("batch-malformed");
    expect(taken(cloud, { ...bare, raw: "AAAA" })).toBe("batch-malformed");
    expect(taken(cloud, { ...bare, raw: `${raw.slice(0, -4)}AAAA`.slice(8) })).toBe("batch-malformed");
    expect(cloud.record.summary().events).toBe(0);
  });

  it("[E3] batch-of-another-pairing: of another lock, and of a pairing that nobody knows", async () => {
    const { cloud, lock } = await withLock();
    const other = PairedLock.pair(cloud, "garage-lock");
    expect(taken(cloud, other.log({ kind: "boot" }))).toBe("batch-of-another-pairing");
    const batch = sealAuditBatch(lock.keys.audit, new Uint8Array(16).fill(9), 1, []);
    expect(taken(cloud, sealedEvent(auditBatch.encode(batch), 1, 1))).toBe("batch-of-another-pairing");
  });

  it("[E3] batch-does-not-open: sealed under another key, and any bit of a batch that was changed on the way", async () => {
    const { cloud, lock } = await withLock();
    lock.log({ kind: "access-denied", person: "bob", reason: "CREDENTIAL_REVOKED" });
    lock.log({ kind: "boot" });
    const entry = auditEntry.encode({ sequence: 1, boot: 1, clock: "set", kind: "access-granted", person: "bob" });
    for (const key of [new Uint8Array(32), lock.keys.chain, lock.keys.report]) {
      const batch = auditBatch.encode(sealAuditBatch(key, lock.pairingId, 1, [entry]));
      expect(taken(cloud, sealedEvent(batch, 1, 1))).toBe("batch-does-not-open");
    }
    const honest = lock.sealed(1, 2);
    const bytes = base64ToBytes(honest.raw) ?? new Uint8Array(0);
    const faults = new Set<unknown>();
    for (let at = 0; at < bytes.length; at++) {
      const spoiled = bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
      faults.add(taken(cloud, { ...honest, raw: bytesToBase64(spoiled) }));
    }
    expect([...faults].sort()).toEqual(["batch-does-not-open", "batch-malformed", "batch-of-another-pairing"]);
    expect(cloud.record.summary().events).toBe(0);
    expect(taken(cloud, honest)).toBe("taken");
  });

  it("[E3] batch-not-as-said: named otherwise than its header says, or sealed around other entries than it says", async () => {
    const { cloud, lock } = await withLock();
    for (let count = 0; count < 4; count++) lock.log({ kind: "boot" });
    const honest = lock.sealed(2, 4);
    for (const wrong of [
      { ...honest, sequence: 5 },
      { ...honest, sequence: 3 },
      { ...honest, facts: { first: 1, last: 4 } },
      { ...honest, facts: { first: 2, last: 5 } },
      { ...honest, facts: { first: 2 } },
      { ...honest, facts: undefined },
    ]) {
      expect(taken(cloud, wrong)).toBe("batch-not-as-said");
    }
    const entry = (sequence: number) => auditEntry.encode({ sequence, boot: 1, clock: "unset", kind: "boot" });
    for (const entries of [
      [entry(2), entry(4)],
      [entry(2), entry(2)],
      [entry(3), entry(4)],
      [entry(2), utf8("no entry")],
    ]) {
      expect(taken(cloud, lock.sealedAs(2, entries))).toBe("batch-not-as-said");
    }
    expect(cloud.record.summary().events).toBe(0);
    expect(taken(cloud, honest)).toBe("taken");
  });

  it("[E3] a former pairing's log that comes late is opened too, and is nothing of the new one's chain", async () => {
    const { cloud, lock: former } = await withLock();
    const late = former.log({ kind: "access-granted", person: "alice" });
    const lock = PairedLock.pair(cloud, "lobby-lock", "lobby-lock-replaced");
    expect(lock.pairingId).not.toEqual(former.pairingId);
    expect(taken(cloud, late)).toBe("taken");
    expect(cloud.record.events({ device: "lobby-lock" })).toMatchObject([{ sequence: 1, person: "alice" }]);
    expect(cloud.chains.state("lobby-lock")).toMatchObject({ pairingId: lock.pairingId, through: 0, brokenAt: null });
    expect(cloud.chains.release("lobby-lock")).toBeNull();
    // What only the former lock could have sealed is not opened under the new one's name, nor the other way round.
    const mixed = sealAuditBatch(former.keys.audit, lock.pairingId, 2, []);
    expect(taken(cloud, sealedEvent(auditBatch.encode(mixed), 2, 1))).toBe("batch-does-not-open");
  });

  it("[Z12] another lock under the name of one is another lock: both logs are kept whole, and the new one's is released", async () => {
    const { cloud, lock: former } = await withLock();
    const late = [former.log({ kind: "boot" }), former.log({ kind: "access-granted", person: "alice" })];
    expect(taken(cloud, former.log({ kind: "boot" }))).toBe("taken");
    const next = PairedLock.pair(cloud, "lobby-lock", "another-lock");
    const said = [next.log({ kind: "boot" }), next.log({ kind: "access-denied", reason: "CREDENTIAL_REVOKED" })];
    expect(said.map(({ sequence }) => sequence)).toEqual([65_537, 65_538]);
    for (const event of said) expect(taken(cloud, event)).toBe("taken");
    expect(receive(cloud, "lobby-lock/reported", next.report(1))).toBe(true);
    expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: 65_538, brokenAt: null });
    expect(cloud.chains.release("lobby-lock")).not.toBeNull();
    // What the former lock said and somebody carried for long comes still, and is nobody else's.
    for (const event of late) expect(taken(cloud, event)).toBe("taken");
    const summary = cloud.record.summary();
    expect(summary).toMatchObject({ events: 5, duplicates: 0, conflicting: 0 });
    expect(summary.devices.find(({ device }) => device === "lobby-lock")?.gaps).toBe(0);
  });

  it("[E3] a run that does not open keeps none of those beside it from the record", async () => {
    const { cloud, lock } = await withLock();
    const runs = [lock.log({ kind: "boot" }), lock.log({ kind: "boot" }), lock.log({ kind: "boot" })];
    const spoiled = runs.map((run, nth) => (nth === 1 ? { ...run, raw: "AAAA" } : run));
    expect(sendEvents(cloud, "lobby-lock", spoiled)).toBe(false);
    expect(lastRefusal(cloud)).toBe("batch-malformed");
    expect(cloud.record.summary().events).toBe(2);
    expect(cloud.record.receipt(lock.device)).toEqual({ through: 1, missing: [{ from: 2, to: 2 }] });
  });

  it("[E3] the logs of so many former pairings are opened, and no more", async () => {
    const { cloud, lock: oldest } = await withLock();
    const others = Array.from({ length: 17 }, (_, nth) => PairedLock.pair(cloud, "lobby-lock", `lobby-lock-${nth}`));
    expect(taken(cloud, oldest.log({ kind: "boot" }))).toBe("batch-of-another-pairing");
    for (const each of others) expect(taken(cloud, each.sealedAs(1, []))).not.toBe("batch-of-another-pairing");
  });
});

describe("what the authority names", () => {
  async function withCode() {
    const { cloud, clock } = await startCloud();
    const lobby = PairedLock.pair(cloud, "lobby-lock");
    const garage = PairedLock.pair(cloud, "garage-lock");
    const issued = issueDailyCode(cloud.authority, { door: "lobby", person: "alice" });
    if (!issued.ok) throw new Error(issued.fault.code);
    return { cloud, clock, lobby, garage, code: issued.value.code };
  }

  const naming = (cloud: TestCloud) =>
    cloud.record.events({}).map(({ reason, authorityReason, authorityDetail }) => ({
      reason,
      authorityReason,
      authorityDetail,
    }));

  it("row 37: WRONG_LOCK: today's code of one door, typed at another door's lock", async () => {
    const { cloud, garage, code } = await withCode();
    expect(sendEvents(cloud, "garage-lock", [garage.deny(code)])).toBe(true);
    expect(naming(cloud)).toEqual([
      {
        reason: "CREDENTIAL_UNKNOWN",
        authorityReason: "WRONG_LOCK",
        authorityDetail: "a daily doorcode of Lobby for 2026-12-24",
      },
    ]);
    expect(JSON.stringify(cloud.record.events({}))).not.toContain(code);
  });

  it("DOORCODE_ALREADY_USED: the right door again, after it was let in by a daily code that day", async () => {
    const { cloud, lobby, code } = await withCode();
    const granted = lobby.log({ kind: "access-granted", credentialType: "daily-doorcode" });
    sendEvents(cloud, "lobby-lock", [granted, lobby.deny(code)]);
    expect(naming(cloud)[1]).toMatchObject({ reason: "CREDENTIAL_UNKNOWN", authorityReason: "DOORCODE_ALREADY_USED" });
  });

  it("DOORCODE_EXPIRED: the right door, the day after", async () => {
    const { cloud, lobby, code } = await withCode();
    sendEvents(cloud, "lobby-lock", [lobby.deny(code, unixSeconds(noon + 86_400))]);
    expect(naming(cloud)).toMatchObject([{ authorityReason: "DOORCODE_EXPIRED" }]);
  });

  it("row 35: an expiry is shown with the lock's clock and with the authority's own time", async () => {
    const { cloud, clock, lobby, code } = await withCode();
    clock.advance(2 * 86_400_000);
    const late = unixSeconds(noon + 86_400);
    sendEvents(cloud, "lobby-lock", [lobby.deny(code, late)]);
    expect(cloud.record.events({})).toMatchObject([
      {
        authorityReason: "DOORCODE_EXPIRED",
        at: { unixSeconds: late, quality: "set" },
        receivedAt: (noon + 2 * 86_400) * 1_000,
      },
    ]);
  });

  it("CREDENTIAL_NOT_SYNCED: the right door on the right day, and nothing shows that the lock has the day's key", async () => {
    const { cloud, lobby, code } = await withCode();
    sendEvents(cloud, "lobby-lock", [lobby.deny(code)]);
    expect(naming(cloud)).toMatchObject([{ authorityReason: "CREDENTIAL_NOT_SYNCED" }]);
  });

  it("row 37: WRONG_LOCK also for a permanent code of another door", async () => {
    const { cloud, garage } = await withCode();
    sendEvents(cloud, "garage-lock", [garage.deny("4815162")]);
    expect(naming(cloud)).toMatchObject([
      { authorityReason: "WRONG_LOCK", authorityDetail: "a permanent doorcode of Lobby" },
    ]);
  });

  it("judges the day by the lock's clock when the log comes days later", async () => {
    const { cloud, clock, lobby, code } = await withCode();
    clock.advance(5 * 86_400_000);
    const granted = lobby.log({ kind: "access-granted", credentialType: "daily-doorcode" });
    sendEvents(cloud, "lobby-lock", [granted, lobby.deny(code)]);
    expect(naming(cloud)[1]).toMatchObject({ authorityReason: "DOORCODE_ALREADY_USED" });
  });

  it("nothing: digits that were never given out, and denials that the lock named itself", async () => {
    const { cloud, lobby, code } = await withCode();
    const never = code === "0000000" ? "1111111" : "0000000";
    sendEvents(cloud, "lobby-lock", [
      lobby.deny(never),
      lobby.log({ kind: "access-denied", reason: "OUT_OF_SCHEDULE" }),
    ]);
    expect(naming(cloud).map(({ authorityReason }) => authorityReason)).toEqual([undefined, undefined]);
  });
});

describe("reports and the audit chain", () => {
  function chain(cloud: TestCloud) {
    const { through, brokenAt } = cloud.chains.state("lobby-lock") ?? {};
    return { through, brokenAt };
  }

  it("check the recorded log against the head that the lock reports, whichever comes first", async () => {
    for (const order of ["events-first", "report-first"]) {
      const { cloud } = await startCloud();
      const lock = PairedLock.pair(cloud, "lobby-lock");
      const events = [lock.log({ kind: "boot" }), lock.log({ kind: "access-granted", person: "alice" })];
      const report = lock.report(1);
      if (order === "events-first") sendEvents(cloud, "lobby-lock", events);
      expect(receive(cloud, "lobby-lock/reported", report)).toBe(true);
      if (order === "report-first") {
        expect(chain(cloud).through).toBe(0);
        sendEvents(cloud, "lobby-lock", events);
      }
      expect(chain(cloud)).toEqual({ through: 2, brokenAt: null });
    }
  });

  it("release on the lock what is recorded and checked, and nothing else", async () => {
    const { cloud } = await startCloud();
    const messages = catchMessages(cloud);
    const lock = PairedLock.pair(cloud, "lobby-lock");
    sendEvents(cloud, "lobby-lock", [lock.log({ kind: "boot" })]);
    expect(cloud.chains.release("lobby-lock")).toBeNull();
    receive(cloud, "lobby-lock/reported", lock.report(1));
    const desired = messages.filter(({ topic }) => topic.channel === "desired").at(-1);
    const read = parsePayload(lockDesiredSchema, utf8(desired?.payload ?? ""));
    const release = read.ok ? read.value.release : null;
    if (release === null) throw new Error("expected a release");
    const { release: key } = authorityPublicKeys(cloud.authority.keys.roles);
    expect(verifyTyped(key, signedTypes.release, release.bytes, release.signature)).toBe(true);
    expect(logRelease.decode(release.bytes)).toMatchObject({
      ok: true,
      value: { through: 1, pairingId: lock.pairingId },
    });
  });

  it("show a log that was changed on the way, and release none of it", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    // Whoever has got the key of the lock's seal writes an entry of their own in place of the lock's: only the chain can tell.
    const real = lock.log({ kind: "access-granted", person: "bob" });
    const forged = PairedLock.pair(cloud, "lobby-lock").log({ kind: "access-granted", person: "alice" });
    expect(forged.sequence).toBe(real.sequence);
    expect(sendEvents(cloud, "lobby-lock", [forged])).toBe(true);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 0, brokenAt: 1 });
    expect(cloud.chains.release("lobby-lock")).toBeNull();
  });

  it("refuse a report whose MAC is not the lock's, or of a device that is not paired", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    expect(receive(cloud, "lobby-lock/reported", lock.report(1, { mac: new Uint8Array(32) }))).toBe(false);
    expect(lastRefusal(cloud)).toBe("report-not-verified");
    expect(receive(cloud, "garage-lock/reported", { ...lock.report(1), device: "garage-lock" })).toBe(false);
    expect(lastRefusal(cloud)).toBe("report-not-paired");
    expect(cloud.chains.state("lobby-lock")?.report).toBeNull();
  });

  it("do not go back to an older report that comes late or again", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const older = lock.report(1);
    cloud.authority.revoke("bob");
    receive(cloud, "lobby-lock/reported", lock.report(2));
    receive(cloud, "lobby-lock/reported", older);
    expect(cloud.chains.state("lobby-lock")?.report).toMatchObject({ version: 2 });
  });

  it("[Y9] go on after a part that the lock's MACed report says it has lost", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    for (let lost = 0; lost < 3; lost++) lock.log({ kind: "boot" });
    lock.lose(3);
    const gap = lock.log({ kind: "log-gap", before: 1, after: 3 });
    sendEvents(cloud, "lobby-lock", [gap]);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 4, brokenAt: null });
    expect(cloud.chains.state("lobby-lock")?.unchecked).toBe(3);
    expect(cloud.record.summary()).toMatchObject({ events: 1, gaps: 0 });
    const next = lock.log({ kind: "access-granted", person: "alice" });
    sendEvents(cloud, "lobby-lock", [next]);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 5, brokenAt: null });
  });

  it("[Y9] a lost part is believed in either order of events and report, and the receipt then covers it", async () => {
    for (const order of ["events-first", "report-first"]) {
      const { cloud } = await startCloud();
      const lock = PairedLock.pair(cloud, "lobby-lock");
      for (let lost = 0; lost < 3; lost++) lock.log({ kind: "boot" });
      lock.lose(3);
      const events = [lock.log({ kind: "log-gap", before: 1, after: 3 }), lock.log({ kind: "boot" })];
      const messages = catchMessages(cloud);
      if (order === "events-first") sendEvents(cloud, "lobby-lock", events);
      receive(cloud, "lobby-lock/reported", lock.report(1));
      if (order === "report-first") sendEvents(cloud, "lobby-lock", events);
      expect(chain(cloud)).toEqual({ through: 5, brokenAt: null });
      const receipt = messages.filter(({ topic }) => topic.channel === "receipt").at(-1);
      expect(JSON.parse(receipt?.payload ?? "{}")).toMatchObject({ through: 5, missing: [] });
    }
  });

  it("[Y9] a gap entry that somebody with the key of the lock's seal made up proves nothing: no release, a broken chain, and a gap", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const real = Array.from({ length: 5 }, () => lock.log({ kind: "access-granted", person: "bob" }));
    // Well-formed, under the name of the lock's fifth entry: it is to hide the four before it.
    const forger = PairedLock.pair(cloud, "lobby-lock");
    for (let skipped = 0; skipped < 4; skipped++) forger.log({ kind: "boot" });
    const forged = forger.log({ kind: "log-gap", before: 1, after: 4 });
    expect(forged.sequence).toBe(5);
    expect(sendEvents(cloud, "lobby-lock", [forged])).toBe(true);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 0, brokenAt: 5 });
    expect(cloud.chains.release("lobby-lock")).toBeNull();
    expect(cloud.record.summary().gaps).toBe(4);
    expect(cloud.record.receipt(lock.device)).toEqual({ through: null, missing: [{ from: 1, to: 4 }] });
    // The truth from another gateway does not mend what was written first; it is counted.
    sendEvents(cloud, "lobby-lock", real);
    expect(chain(cloud)).toEqual({ through: 0, brokenAt: 5 });
    expect(cloud.record.summary()).toMatchObject({ gaps: 0, conflicting: 1 });
  });

  it("[Y9] a true report of a loss covers no more than it says, and no altered entry after it", async () => {
    const lostThree = async () => {
      const { cloud } = await startCloud();
      const lock = PairedLock.pair(cloud, "lobby-lock");
      for (let lost = 0; lost < 3; lost++) lock.log({ kind: "boot" });
      lock.lose(3);
      return { cloud, lock };
    };
    const hidden = await lostThree();
    const hides = hidden.lock.log({ kind: "access-granted", person: "bob" });
    sendEvents(hidden.cloud, "lobby-lock", [hidden.lock.log({ kind: "log-gap", before: 1, after: 4 })]);
    receive(hidden.cloud, "lobby-lock/reported", hidden.lock.report(1));
    expect(chain(hidden.cloud)).toEqual({ through: 0, brokenAt: 5 });
    sendEvents(hidden.cloud, "lobby-lock", [hides]);
    expect(chain(hidden.cloud)).toEqual({ through: 5, brokenAt: null });

    const altered = await lostThree();
    const forger = PairedLock.pair(altered.cloud, "lobby-lock");
    for (let skipped = 0; skipped < 3; skipped++) forger.log({ kind: "boot" });
    altered.lock.log({ kind: "access-granted", person: "bob" });
    sendEvents(altered.cloud, "lobby-lock", [forger.log({ kind: "access-granted", person: "alice" })]);
    receive(altered.cloud, "lobby-lock/reported", altered.lock.report(1));
    expect(chain(altered.cloud)).toEqual({ through: 0, brokenAt: 4 });
    expect(altered.cloud.chains.release("lobby-lock")).toBeNull();
  });

  it("[Y9] what is missing without a word about it waits: nothing is released and nothing is called broken", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const [first, second] = [lock.log({ kind: "boot" }), lock.log({ kind: "boot" })];
    sendEvents(cloud, "lobby-lock", [second]);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 0, brokenAt: null });
    expect(cloud.chains.release("lobby-lock")).toBeNull();
    sendEvents(cloud, "lobby-lock", [first]);
    expect(chain(cloud)).toEqual({ through: 2, brokenAt: null });
  });

  it("[Y9] what is here although the lock has lost it meanwhile is checked by the chain over all of it", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const early = [lock.log({ kind: "boot" }), lock.log({ kind: "access-granted", person: "alice" })];
    sendEvents(cloud, "lobby-lock", early);
    lock.lose(2);
    sendEvents(cloud, "lobby-lock", [lock.log({ kind: "log-gap", before: 1, after: 2 })]);
    receive(cloud, "lobby-lock/reported", lock.report(1));
    expect(chain(cloud)).toEqual({ through: 3, brokenAt: null });
    expect(cloud.chains.state("lobby-lock")?.unchecked).toBe(0);
  });
});

describe("births, time and exposure", () => {
  it("answers a gateway's birth with its certificate", async () => {
    const { cloud } = await startCloud();
    const messages = catchMessages(cloud);
    const birth = { v: 1, device: gateway, model: "gateway", bootCount: 1, firmware: "0.1.0", hardware: null };
    const key = new Uint8Array(32).fill(5);
    receive(cloud, `${gateway}/birth`, birth);
    receive(cloud, `${gateway}/birth`, { ...birth, courierPublicKey: Buffer.from(key).toString("base64") });
    const certificates = messages.map(({ payload }) => {
      const read = parsePayload(gatewayDesiredSchema, utf8(payload));
      if (!read.ok) throw new Error(JSON.stringify(read.fault));
      return read.value.courierCertificate;
    });
    expect(certificates[0]).toBeNull();
    const { courier } = authorityPublicKeys(cloud.authority.keys.roles);
    const certificate = certificates[1];
    if (certificate === null || certificate === undefined) throw new Error("expected a certificate");
    expect(verifyTyped(courier, signedTypes.courier, certificate.bytes, certificate.signature)).toBe(true);
  });

  it("takes a device's birth only by way of the gateway that brings it", async () => {
    const { cloud } = await startCloud();
    const birth = { v: 1, device: "gate-r29", model: "R29", bootCount: 1, firmware: "29.30.10.712", hardware: null };
    expect(receive(cloud, "gate-r29/birth", { ...birth, via: "gateway-other" })).toBe(false);
    expect(lastRefusal(cloud)).toBe("gateway-mismatch");
    expect(receive(cloud, "gate-r29/birth", { ...birth, via: gateway })).toBe(true);
    expect(receive(cloud, "lobby-link/birth", { ...birth, device: "lobby-link", via: gateway })).toBe(true);
  });

  it("tells a lock the time for its nonce, and nobody else", async () => {
    const { cloud, clock } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const messages = catchMessages(cloud);
    clock.advance(1_234);
    const nonce = new Uint8Array(16).fill(3);
    const command = {
      v: 1,
      id: "c-1",
      from: gateway,
      device: "lobby-lock",
      nonce: Buffer.from(nonce).toString("base64"),
    };
    expect(receive(cloud, "authority/command/time", command)).toBe(true);
    expect(messages[0]?.topic).toEqual({ site: "maple-court", device: gateway, channel: "result", name: "time" });
    const result = parsePayload(timeResultSchema, utf8(messages[0]?.payload ?? ""));
    if (!result.ok || result.value.answer === undefined) throw new Error("expected an answer");
    const { bytes, signature } = result.value.answer;
    expect(verifyTyped(authorityPublicKeys(cloud.authority.keys.roles).time, signedTypes.time, bytes, signature)).toBe(
      true,
    );
    expect(timeAnswer.decode(bytes)).toMatchObject({
      ok: true,
      value: { nonce, pairingId: lock.pairingId, unixMs: noon * 1000 + 1_234 },
    });
    expect(receive(cloud, "authority/command/time", { ...command, from: "gateway-other" })).toBe(false);
    receive(cloud, "authority/command/time", { ...command, device: "gate-r29" });
    for (const message of messages.slice(1)) expect(JSON.parse(message.payload)).toMatchObject({ state: "refused" });
    expect(messages).toHaveLength(2);
    // A nonce has 16 bytes; what has another length is no such command.
    expect(receive(cloud, "authority/command/time", { ...command, nonce: "AAAA" })).toBe(false);
    expect(lastRefusal(cloud)).toBe("payload-bad-shape");
    expect(messages).toHaveLength(2);
    expect(receive(cloud, "authority/command/unlock", command)).toBe(false);
    expect(lastRefusal(cloud)).toBe("command-unknown");
  });

  it("[I10] tells a gateway the time for its own nonce, under a pairing id that no lock has", async () => {
    const { cloud, clock } = await startCloud();
    const messages = catchMessages(cloud);
    clock.advance(1_234);
    const nonce = new Uint8Array(16).fill(9);
    const asked = { v: 1, id: "time-2", from: gateway, nonce: Buffer.from(nonce).toString("base64") };
    expect(receive(cloud, "authority/command/time", { ...asked, device: gateway })).toBe(true);
    const result = parsePayload(timeResultSchema, utf8(messages.at(-1)?.payload ?? ""));
    if (!result.ok || result.value.answer === undefined) throw new Error("expected an answer");
    const pairing = { root: cloud.authority.root, keyset: cloud.authority.keyset };
    expect(readTimeForGateway(pairing, nonce, result.value.answer)).toBe(noon * 1000 + 1_234);
    // Another gateway's id is no lock's.
    expect(receive(cloud, "authority/command/time", { ...asked, device: "gateway-other" })).toBe(true);
    expect(JSON.parse(messages.at(-1)?.payload ?? "")).toMatchObject({ state: "refused" });
  });
});

describe("what the authority says of a grant", () => {
  const grantBy = (credential: string) => ({ kind: "access-granted", credential, credentialType: "app-key" }) as const;
  const warnings = (cloud: TestCloud) =>
    cloud.record.events({ kind: "access-granted" }).map(({ authorityWarnings }) => authorityWarnings);
  const stale = ["REVOKED_NOT_SYNCED", "POLICY_STALE"];

  async function withRevoked() {
    const { cloud, clock } = await startCloud();
    catchMessages(cloud);
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const held = lock.log({ kind: "policy-committed", before: 0, after: 1 });
    clock.advance(3_600_000);
    cloud.authority.revoke("bob");
    const version = cloud.authority.policyVersions().find(({ device }) => device === "lobby-lock")?.version ?? 0;
    expect(version).toBeGreaterThan(1);
    return { cloud, lock, held, version, later: unixSeconds(noon + 7_200) };
  }

  it("[D21] REVOKED_NOT_SYNCED: let in after the revocation by a lock that had not heard of it", async () => {
    const { cloud, lock, held, version, later } = await withRevoked();
    const log = [
      held,
      lock.log({ ...grantBy("bob-app"), unixSeconds: noon }),
      lock.log({ ...grantBy("bob-app"), unixSeconds: later }),
      lock.log({ ...grantBy("alice-app"), unixSeconds: later }),
      lock.log({ ...grantBy("bob-app"), unixSeconds: later, clock: "lower-bound" }),
      lock.log({ ...grantBy("bob-app"), unixSeconds: later, clock: "unset" }),
      lock.log({ kind: "policy-committed", before: 1, after: version }),
      lock.log({ ...grantBy("bob-app"), unixSeconds: later }),
    ];
    expect(sendEvents(cloud, "lobby-lock", log)).toBe(true);
    expect(warnings(cloud)).toEqual([undefined, stale, undefined, stale, undefined, undefined]);
    // What the lock chained stays as it is.
    expect(cloud.record.events({ kind: "access-granted" })[1]).not.toHaveProperty("warnings");
  });

  it("[D21] also when the lock's report of the newer version came before its log", async () => {
    const { cloud, lock, held, version, later } = await withRevoked();
    const log = [held, lock.log({ ...grantBy("bob-app"), unixSeconds: later })];
    expect(receive(cloud, "lobby-lock/reported", lock.report(version))).toBe(true);
    expect(cloud.authority.state.policies["lobby-lock"]?.revocations).toEqual([]);
    expect(sendEvents(cloud, "lobby-lock", log)).toBe(true);
    expect(warnings(cloud)).toEqual([stale]);
  });

  it("[D21] without a word in its log about what it held, only what it has not confirmed counts", async () => {
    for (const confirms of [false, true]) {
      const { cloud, lock, version, later } = await withRevoked();
      const granted = lock.log({ ...grantBy("bob-app"), unixSeconds: later });
      if (confirms) expect(receive(cloud, "lobby-lock/reported", lock.report(version))).toBe(true);
      expect(sendEvents(cloud, "lobby-lock", [granted])).toBe(true);
      expect(warnings(cloud)).toEqual([confirms ? undefined : stale]);
    }
  });

  it("[D21] a password reset ends certificates and takes nobody's way in: no warning", async () => {
    const { cloud, clock } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    clock.advance(3_600_000);
    cloud.authority.resetPassword("bob");
    sendEvents(cloud, "lobby-lock", [lock.log({ ...grantBy("bob-app"), unixSeconds: unixSeconds(noon + 7_200) })]);
    expect(warnings(cloud)).toEqual([undefined]);
  });
});

describe("hostile payloads", () => {
  const topics = [
    "gate-r29/event",
    "gate-r29/state",
    "gate-r29/health",
    "lobby-lock/event",
    "lobby-lock/reported",
    `${gateway}/birth`,
    `${gateway}/reported`,
    "authority/command/time",
  ];

  it("any bytes under any topic are taken or counted as refused, and never throw", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    catchMessages(cloud);
    const event = lock.log({ kind: "boot" });
    const batch = json({ v: 1, device: "lobby-lock", events: [event] });
    const mangled = fc
      .record({ at: fc.nat(batch.length - 1), byte: fc.integer({ min: 0, max: 255 }) })
      .map(({ at, byte }) => Uint8Array.from(batch, (old, index) => (index === at ? byte : old)));
    const payloads = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(utf8), mangled);
    let refused = cloud.record.summary().refused;
    fc.assert(
      fc.property(fc.constantFrom(...topics), payloads, (topic, payload) => {
        if (!receive(cloud, topic, payload)) refused += 1;
        expect(cloud.record.summary().refused).toBe(refused);
      }),
      { numRuns: 300 },
    );
  });

  it("names what is wrong: not JSON, not UTF-8, a future version, another shape, too large", async () => {
    const { cloud } = await startCloud();
    const faultOf = (payload: unknown) => {
      expect(receive(cloud, "gate-r29/event", payload)).toBe(false);
      return lastRefusal(cloud);
    };
    const batch = { v: 1, device: "gate-r29", events: [plainEvent(1)] };
    expect(faultOf(utf8("{no"))).toBe("payload-not-json");
    expect(faultOf(Uint8Array.of(0xff, 0xfe))).toBe("payload-not-utf8");
    expect(faultOf({ ...batch, v: 2 })).toBe("payload-future-version");
    expect(faultOf({ ...batch, code: "1234567" })).toBe("payload-bad-shape");
    expect(faultOf({ ...batch, events: Array.from({ length: 65 }, (_, index) => plainEvent(index + 1)) })).toBe(
      "payload-bad-shape",
    );
    expect(faultOf(new Uint8Array(512 * 1024 + 1))).toBe("payload-too-large");
    expect(cloud.record.summary()).toMatchObject({ events: 0, refused: 6 });
    expect(sendEvents(cloud, "gate-r29", [plainEvent(1)])).toBe(true);
  });
});
