import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { type DeviceTime, NetworkedDevice } from "../../../emulator/device/networked-device.ts";
import { IDS_KEPT, UnlockGuard } from "../../../emulator/device/networked-unlock.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { type DeviceId, monotonicMs, unixMs } from "../../../protocol/base/units.ts";
import { ed25519PublicKey } from "../../../protocol/crypto.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { isBootReportAuthentic, signUnlock, type UnlockCommand } from "../../../protocol/wire/unlock-command.ts";
import { mapleCourt, START } from "./lock-bench.ts";

const seed: Uint8Array = new Uint8Array(32).fill(1);
const bytesOf = (fill: number, length = 16): Uint8Array => new Uint8Array(length).fill(fill);
const enrolment = { pairingId: bytesOf(0x11), unlockKey: ed25519PublicKey(seed), reportKey: bytesOf(5, 32) };
const bootId = bytesOf(0x22);
const bootedAt = 1_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-unlock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The wall clock stands in 1970: nothing here may ask for it. */
function at(uptimeMs: number): DeviceTime {
  return { unixMs: unixMs(0), monotonicMs: monotonicMs(bootedAt + uptimeMs) };
}

function gymLock(options: { readonly boot?: Uint8Array; readonly enrolled?: boolean } = {}): NetworkedDevice {
  const compiled = compileLockPolicy(mapleCourt(), "gym-lock", { epoch: 1, version: 1, now: START, codeHashKey: seed });
  if (!compiled.ok) throw new Error(compiled.fault.code);
  const journal = new EventJournal(join(folder, "gym-lock.journal"));
  const device = new NetworkedDevice(
    { model: modelByName.R2, firmware: "2.1.0", codeKey: seed, personByCredential: new Map() },
    compiled.value,
    { flash: new MemoryFlash(), journal, bootId: options.boot ?? bootId },
    at(0),
  );
  const unlock = options.enrolled === false ? {} : { unlock: enrolment };
  device.enrol({ entryTagKey: seed, dailyKeys: [], ...unlock });
  return device;
}

let commands = 0;
function message(change: Partial<UnlockCommand> & { readonly id?: string } = {}, key = seed) {
  commands += 1;
  const commandId =
    change.commandId ??
    bytesOf(0)
      .with(0, commands & 0xff)
      .with(1, commands >> 8);
  const { id = bytesToHex(commandId), ...rest } = change;
  const signed = { pairingId: bytesOf(0x11), bootId, action: "unlock" as const, notAfterUptimeMs: 70_000, ...rest };
  const command = signUnlock(key, { ...signed, commandId });
  return { v: 1 as const, id, device: "gym-lock" as DeviceId, via: "gateway-main" as DeviceId, command };
}

describe("an unlock command at a networked lock", () => {
  it("[V5] opens, is logged first with its cause and id, and the lock locks again by itself", () => {
    const lock = gymLock();
    const order = message();
    expect(lock.unlock(order, at(60_000))).toEqual([{ state: "accepted" }, { state: "executing" }, { state: "done" }]);
    expect(lock.relay).toBe("unlocked");
    const logged = lock.journal.all().at(-1)?.event;
    expect(logged).toMatchObject({ kind: "access-granted", credentialType: "remote", command: order.id });
    expect(logged).not.toHaveProperty("person");
    lock.wake(at(65_000));
    expect(lock.relay).toBe("locked");
  });

  const refusals: readonly (readonly [string, () => ReturnType<typeof message>, string, string])[] = [
    ["nobody signed", () => message({}, bytesOf(9, 32)), "refused", "bad-signature"],
    ["was altered", () => altered(message()), "refused", "bad-signature"],
    ["is another device's", () => message({ pairingId: bytesOf(0x12) }), "refused", "wrong-device"],
    ["is of another boot", () => message({ bootId: bytesOf(0x23) }), "refused", "wrong-boot"],
    ["is late", () => message({ notAfterUptimeMs: 59_999 }), "expired", "expired"],
    ["is for later", () => message({ notAfterUptimeMs: 90_001 }), "refused", "too-far-ahead"],
    ["says another id outside", () => message({ id: "ff".repeat(16) }), "refused", "malformed-command"],
  ];
  it.each(refusals)("[V5] one that %s is refused by name and moves nothing", (_what, make, state, reason) => {
    const lock = gymLock();
    const before = lock.journal.next;
    expect(lock.unlock(make(), at(60_000))).toEqual([{ state, reason }]);
    expect([lock.relay, lock.journal.next]).toEqual(["locked", before]);
  });

  it("[V2] opens nothing twice: the same command again is replayed, after the relock too", () => {
    const lock = gymLock();
    const order = message();
    lock.unlock(order, at(60_000));
    expect(lock.unlock(order, at(60_001))).toEqual([{ state: "refused", reason: "replayed" }]);
    lock.wake(at(66_000));
    expect(lock.unlock(order, at(66_000))).toEqual([{ state: "refused", reason: "replayed" }]);
    expect(lock.relay).toBe("locked");
    expect(lock.journal.all().filter(({ event }) => event.kind === "access-granted")).toHaveLength(1);
  });

  it("[V3] after a loss of power the commands of the boot before are nothing, though the lock forgot what it took", () => {
    const used = message();
    const unused = message();
    gymLock().unlock(used, at(60_000));
    const rebooted = gymLock({ boot: bytesOf(0x77) });
    for (const order of [used, unused]) {
      expect(rebooted.unlock(order, at(60_000))).toEqual([{ state: "refused", reason: "wrong-boot" }]);
    }
    expect(rebooted.relay).toBe("locked");
  });

  it("[V3] without an authority it takes none", () => {
    const lock = gymLock({ enrolled: false });
    expect(lock.unlock(message(), at(60_000))).toEqual([{ state: "refused", reason: "not-enrolled" }]);
    expect(lock.bootFields(monotonicMs(2_000))).toBeUndefined();
  });

  it("[V6] says which boot it is and its uptime, with a MAC that its authority can check", () => {
    const lock = gymLock();
    const fields = lock.bootFields(monotonicMs(bootedAt + 60_000));
    const mac = Uint8Array.from(Buffer.from(fields?.mac ?? "", "hex"));
    expect(fields).toMatchObject({ id: "22".repeat(16), uptimeMs: 60_000 });
    const report = { pairingId: enrolment.pairingId, bootId, bootCount: lock.journal.boot, uptimeMs: 60_000 };
    expect(isBootReportAuthentic(enrolment.reportKey, report, mac)).toBe(true);
  });
});

describe("what a device remembers of commands", () => {
  it("[V3] only ids past their time are forgotten; while all are good, one more is refused", () => {
    const guard = new UnlockGuard(enrolment, { id: bootId, count: 1 });
    const orders = Array.from({ length: IDS_KEPT }, () => message());
    for (const order of orders) expect(guard.take(order, 60_000).ok).toBe(true);
    expect(guard.take(message(), 70_000)).toEqual({ ok: false, fault: { code: "too-many-commands" } });
    const first = orders[0] ?? message();
    expect(guard.take(first, 70_000)).toMatchObject({ fault: { code: "replayed" } });
    expect(guard.take(message({ notAfterUptimeMs: 80_000 }), 70_001).ok).toBe(true);
    expect(guard.take(first, 70_001)).toMatchObject({ fault: { code: "expired" } });
  });
});

function altered(order: ReturnType<typeof message>): ReturnType<typeof message> {
  const bytes = Uint8Array.from(order.command.bytes);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  return { ...order, command: { ...order.command, bytes } };
}
