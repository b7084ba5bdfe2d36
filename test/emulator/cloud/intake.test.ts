import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { issueDailyCode } from "../../../emulator/cloud/doorcodes.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { verifyTyped } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { timeResultSchema } from "../../../protocol/wire/messages/command.ts";
import { gatewayDesiredSchema, lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { standardsOf } from "../../../protocol/wire/messages/event.ts";
import { receiptSchema } from "../../../protocol/wire/messages/receipt.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { logRelease, signedTypes, timeAnswer } from "../../../protocol/wire/signed-objects.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { catchMessages, gateway, json, noon, PairedLock, plainEvent, startCloud, type TestCloud } from "./fixture.ts";

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

  it("[M13] of a lock's own entries may carry the codes beside what the lock chained", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const event = lock.deny("1234567");
    const standards = standardsOf("CREDENTIAL_UNKNOWN");
    expect(sendEvents(cloud, "lobby-lock", [{ ...event, standards }])).toBe(true);
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

  it("of a paired lock are taken only as the lock chained them", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const honest = lock.log({ kind: "access-denied", reason: "CREDENTIAL_REVOKED", person: "bob" });
    expect(sendEvents(cloud, "lobby-lock", [{ ...honest, kind: "access-granted" }])).toBe(false);
    expect(lastRefusal(cloud)).toBe("entry-not-as-chained");
    const { raw: _chained, ...bare } = honest;
    expect(sendEvents(cloud, "lobby-lock", [bare])).toBe(false);
    expect(sendEvents(cloud, "lobby-lock", [{ ...honest, person: "alice" }])).toBe(false);
    expect(sendEvents(cloud, "lobby-lock", [honest])).toBe(true);
    expect(cloud.record.summary()).toMatchObject({ events: 1, refused: 3 });
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
    // The gateway writes an entry of its own in place of the lock's: a well-formed one, so only the chain can tell.
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

  it("[Y9] a gap entry that a gateway made up proves nothing: no release, a broken chain, and a gap", async () => {
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
    receive(cloud, "authority/command/time", { ...command, nonce: "AAAA" });
    for (const message of messages.slice(1)) expect(JSON.parse(message.payload)).toMatchObject({ state: "refused" });
    expect(messages).toHaveLength(3);
    expect(receive(cloud, "authority/command/unlock", command)).toBe(false);
    expect(lastRefusal(cloud)).toBe("command-unknown");
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

  it("an entry whose bytes are no entry is refused", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const event = lock.log({ kind: "boot" });
    expect(sendEvents(cloud, "lobby-lock", [{ ...event, raw: "AAAA" }])).toBe(false);
    expect(lastRefusal(cloud)).toBe("entry-not-as-chained");
  });
});
