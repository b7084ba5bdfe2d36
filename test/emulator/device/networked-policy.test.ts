/** What a networked device makes of policies that come to it: it takes its authority's newer ones and nothing else. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import { type DeviceTime, NetworkedDevice, type PolicyEnrolment } from "../../../emulator/device/networked-device.ts";
import { encodePolicy, policyRoot } from "../../../protocol/access/policy.ts";
import { type DeviceId, monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { authorityKeysFromSeed, authorityPublicKeys, signOpenSnapshot } from "../../../protocol/sync/authority.ts";
import type { DeviceDesired } from "../../../protocol/wire/messages/desired.ts";
import { verifyPolicyReport } from "../../../protocol/wire/policy-report.ts";
import { mapleCourt, START } from "./lock-bench.ts";

const bytesOf = (fill: number, length = 32): Uint8Array => new Uint8Array(length).fill(fill);
const keys = authorityKeysFromSeed(bytesOf(3));
const enrolment: PolicyEnrolment = {
  pairingId: bytesOf(0x11, 16),
  policyKey: authorityPublicKeys(keys).policy,
  codeHashKey: bytesOf(7),
  reportKey: bytesOf(5),
};
const installedKey = bytesOf(4);
const device = "gate-panel" as DeviceId;

function at(uptimeMs: number): DeviceTime {
  return { unixMs: unixMs(START * 1000 + uptimeMs), monotonicMs: monotonicMs(uptimeMs) };
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-policy-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Power on: the installed policy, and whatever `flash` holds. */
function boot(flash = new MemoryFlash(), enrolled: PolicyEnrolment | null = enrolment): NetworkedDevice {
  const options = { epoch: 1, version: 1, now: START, codeHashKey: installedKey };
  const compiled = compileLockPolicy(mapleCourt(), device, options);
  if (!compiled.ok) throw new Error(compiled.fault.code);
  const journal = new EventJournal(join(folder, "journal"));
  const panel = new NetworkedDevice(
    { model: modelByName.R29, firmware: "29.30.10.712", codeKey: installedKey, personByCredential: new Map() },
    compiled.value,
    { flash, journal, bootId: bytesOf(6, 16) },
    at(0),
  );
  const policy = enrolled === null ? {} : { policy: enrolled };
  panel.enrol({ entryTagKey: bytesOf(8), dailyKeys: [], ...policy });
  return panel;
}

function withoutBen(): Site {
  const site = mapleCourt();
  const people = site.people.map((person) =>
    person.id === "ben-okafor" ? { ...person, revokedAt: unixSeconds(START - 1) } : person,
  );
  return { ...site, people };
}

interface Order {
  readonly version?: number;
  readonly epoch?: number;
  readonly pairingId?: Uint8Array;
  readonly notAfter?: number;
  readonly signers?: typeof keys;
  readonly forDevice?: string;
}

function order(site: Site, options: Order = {}): DeviceDesired {
  const { version = 1, epoch = 1, pairingId = enrolment.pairingId, signers = keys, forDevice = device } = options;
  const { codeHashKey } = enrolment;
  const compiled = compileLockPolicy(site, forDevice, { epoch, version, now: START, codeHashKey });
  if (!compiled.ok) throw new Error(compiled.fault.code);
  const bundle = encodePolicy(compiled.value);
  const notAfter = unixSeconds(options.notAfter ?? START + 86_400);
  const manifest = signOpenSnapshot(signers, { pairingId, epoch, version, notAfter }, bundle);
  return { v: 1, kind: "device", revision: 1, device, policy: { epoch, version }, manifest, bundle, revocations: [] };
}

const bensCard = { kind: "token", tokenKind: "rf-card", value: "7f31aa02", authentic: true } as const;

describe("a networked device's policy", () => {
  it("[M15] is the authority's newest from the moment that it comes: who is revoked is denied by name", () => {
    const panel = boot();
    expect(panel.present(bensCard, at(1_000)).granted).toBe(true);
    const taken = panel.takePolicy(order(withoutBen(), { version: 2 }), at(2_000));
    expect(taken).toMatchObject({ ok: true, value: { epoch: 1, version: 2 } });
    expect(panel.present(bensCard, at(3_000))).toMatchObject({ granted: false, reason: "CREDENTIAL_REVOKED" });
    expect(panel.journal.all().at(-1)?.event).toMatchObject({ kind: "access-denied", reason: "CREDENTIAL_REVOKED" });
  });

  it("[M15] judges codes by the key of enrolment from the first delivered policy on", () => {
    const panel = boot();
    const typed = () => (keysOfCode("606142", false) ?? []).flatMap((key) => panel.press(key, at(1_000)));
    const installed = typed();
    expect(installed).toMatchObject([{ recognised: true }]);
    expect(panel.takePolicy(order(mapleCourt()), at(2_000)).ok).toBe(true);
    expect(typed()).toEqual(installed.map((outcome) => ({ ...outcome, sequence: expect.any(Number) })));
  });

  it("[M15] decides after a restart as it did before it", () => {
    const flash = new MemoryFlash();
    expect(boot(flash).takePolicy(order(withoutBen(), { version: 2 }), at(1_000)).ok).toBe(true);
    const again = boot(new MemoryFlash(flash.image()));
    expect(again.holds).toMatchObject({ epoch: 1, version: 2 });
    expect(again.present(bensCard, at(1_000))).toMatchObject({ granted: false, reason: "CREDENTIAL_REVOKED" });
    expect(again.takePolicy(order(mapleCourt(), { version: 1 }), at(2_000))).toMatchObject({
      fault: { code: "rollback" },
    });
  });

  it("[M15] is written by two writes, and a power cut between them leaves the old one", () => {
    const flash = new MemoryFlash();
    const panel = boot(flash);
    expect(panel.takePolicy(order(mapleCourt(), { version: 1 }), at(1_000)).ok).toBe(true);
    flash.cutPowerAtWrite(2);
    expect(() => panel.takePolicy(order(withoutBen(), { version: 2 }), at(2_000))).toThrow("power was lost");
    const again = boot(new MemoryFlash(flash.image()));
    expect(again.holds.version).toBe(1);
    expect(again.present(bensCard, at(1_000)).granted).toBe(true);
  });

  it.each([
    ["bad-signature", { signers: authorityKeysFromSeed(bytesOf(9)) }],
    ["wrong-pairing", { pairingId: bytesOf(0x12, 16) }],
    ["rollback", { version: 2 }],
    ["rollback", { version: 1 }],
    ["rollback", { epoch: 0, version: 9 }],
    ["expired", { version: 3, notAfter: START - 1 }],
  ] as const)("[M15] is not taken as %s, and the one held goes on deciding", (code, change) => {
    const panel = boot();
    expect(panel.takePolicy(order(withoutBen(), { version: 2 }), at(1_000)).ok).toBe(true);
    const came = order(mapleCourt(), { version: 3, ...change });
    expect(panel.takePolicy(came, at(2_000))).toEqual({ ok: false, fault: { code } });
    expect(panel.holds.version).toBe(2);
    expect(panel.present(bensCard, at(3_000)).granted).toBe(false);
  });

  it("[M15] is taken whole only, and by an enrolled device only", () => {
    const panel = boot();
    const mine = order(mapleCourt(), { version: 3 });
    const other = order(withoutBen(), { version: 3 });
    expect(panel.takePolicy({ ...mine, bundle: other.bundle }, at(1_000))).toMatchObject({
      fault: { code: "root-mismatch" },
    });
    expect(panel.takePolicy({ ...mine, bundle: mine.bundle.subarray(1) }, at(1_000))).toMatchObject({
      fault: { code: "root-mismatch" },
    });
    const stranger = boot(new MemoryFlash(), null);
    expect(stranger.takePolicy(mine, at(1_000))).toMatchObject({ fault: { code: "not-enrolled" } });
    expect(stranger.policyReport(monotonicMs(1_000))).toBeUndefined();
    expect(panel.holds.version).toBe(0);
  });
});

describe("what a networked device says of its policy", () => {
  it("[M14] is true, under its own MAC, and orders by boot and uptime", () => {
    const panel = boot();
    const read = (uptimeMs: number) => {
      const said = panel.policyReport(monotonicMs(uptimeMs));
      if (said === undefined) throw new Error("an enrolled device reports");
      const report = verifyPolicyReport(enrolment, said.report, said.mac);
      expect(verifyPolicyReport({ ...enrolment, reportKey: bytesOf(1) }, said.report, said.mac).ok).toBe(false);
      return report.ok ? report.value : undefined;
    };
    expect(read(1_000)).toMatchObject({ epoch: 0, version: 0, bootCount: 1, uptimeMs: 1_000 });
    const came = order(withoutBen(), { version: 2 });
    expect(panel.takePolicy(came, at(2_000)).ok).toBe(true);
    expect(read(3_000)).toMatchObject({ epoch: 1, version: 2, root: policyRoot(came.bundle), uptimeMs: 3_000 });
  });
});
