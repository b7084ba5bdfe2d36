import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import { type DeviceTime, NetworkedDevice } from "../../../emulator/device/networked-device.ts";
import { monotonicMs, unixMs } from "../../../protocol/base/units.ts";
import { type ModelName, modelByName } from "../../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { mapleCourt, START } from "./lock-bench.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-device-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const time: DeviceTime = { unixMs: unixMs(START * 1000), monotonicMs: monotonicMs(1_000) };
const codeKey = new Uint8Array(32).fill(4);
const bootId = new Uint8Array(16).fill(6);

function device(id: string, firmware: string | null): NetworkedDevice {
  const site = mapleCourt();
  const model: ModelName = site.devices.find((each) => each.id === id)?.model ?? "R29";
  const compiled = compileLockPolicy(site, id, { epoch: 1, version: 1, now: START, codeHashKey: codeKey });
  if (!compiled.ok) throw new Error(compiled.fault.code);
  const personByCredential = new Map(
    site.credentials.flatMap(({ id: credential, person }) =>
      person === undefined ? [] : [[credential, person] as const],
    ),
  );
  const hardware = { model: modelByName[model], firmware, codeKey, personByCredential };
  const memory = { flash: new MemoryFlash(), journal: new EventJournal(join(folder, `${id}.journal`)), bootId };
  return new NetworkedDevice(hardware, compiled.value, memory, time);
}

function rfCard(value: string) {
  return { kind: "token", tokenKind: "rf-card", value, authentic: true } as const;
}

describe("a panel or reader on the network", () => {
  it("row 89: at its floor a panel reports the reason with the vendor's text, below it no denial has one", () => {
    const denied = (panel: NetworkedDevice) => {
      panel.present(rfCard("7f31aa12"), time);
      return panel.journal.all().at(-1);
    };
    expect(denied(device("gate-panel", "29.30.10.712"))?.event).toMatchObject({
      kind: "access-denied",
      person: "leo-marsh",
      reason: "NO_ACCESS_RIGHTS",
      detail: "No access permission or door license is not available",
    });
    const below = denied(device("garage-panel", "320.30.12.15"));
    expect(below?.event).toMatchObject({ kind: "access-denied", person: "leo-marsh", credentialType: "rf-card" });
    for (const name of ["reason", "failedChecks", "detail"]) expect(below?.event).not.toHaveProperty(name);
    expect(below?.truth).toEqual({ reason: "NO_ACCESS_RIGHTS", failedChecks: ["NO_ACCESS_RIGHTS"] });
  });

  it("tells the reasons of Maple Court apart: not assigned, expired, no rights, unknown, licence, schedule, holiday", () => {
    const reason = (id: string, firmware: string | null, value: Parameters<NetworkedDevice["present"]>[0]) =>
      device(id, firmware).present(value, time).reason;
    expect(reason("gate-panel", "29.30.10.712", rfCard("7f31aa99"))).toBe("CREDENTIAL_UNASSIGNED");
    expect(reason("gate-panel", "29.30.10.712", rfCard("00000000"))).toBe("CREDENTIAL_UNKNOWN");
    expect(reason("gate-panel", "29.30.10.712", rfCard("7f31aa12"))).toBe("NO_ACCESS_RIGHTS");
    expect(reason("elevator-controller", "29.30.10.712", rfCard("7f31aa09"))).toBe("OUT_OF_SCHEDULE");
    expect(reason("bike-room-reader", null, rfCard("7f31aa02"))).toBe("DOOR_LICENSE_EXPIRED");
    expect(reason("gate-panel", "29.30.10.712", rfCard("7f31aa02"))).toBeUndefined();
    const gym = device("gym-lock", "2.1.0").present(
      { kind: "token", tokenKind: "keycard", value: "04a1b2c3d4e501", authentic: true },
      time,
    );
    expect(gym).toMatchObject({ granted: false, reason: "HOLIDAY_RESTRICTED" });
    const gate = device("gate-panel", "29.30.10.712");
    const typed = (keysOfCode("606142", false) ?? []).flatMap((key) => gate.press(key, time));
    expect(typed).toMatchObject([{ granted: false, reason: "CREDENTIAL_EXPIRED" }]);
    expect(gate.journal.all().at(-1)?.event).toMatchObject({
      detail: "Not within the valid period",
      person: "jonas-weber",
    });
  });

  it("[K5] a wired lock of DOOR sleeps too and its first press wakes it; a reader takes the first press as a digit", () => {
    const asleep = (one: NetworkedDevice) => one.isKeypadAsleep(time.monotonicMs);
    const [gym, gate] = [device("gym-lock", "2.1.0"), device("gate-panel", "29.30.10.712")];
    expect([asleep(gym), asleep(gate)]).toEqual([true, false]);
    const typed = (keys: string) => [...keys].flatMap((key) => gym.press(key as "1", time));
    expect(typed("01234567")).toMatchObject([{ granted: false, reason: "CREDENTIAL_UNKNOWN" }]);
    expect(asleep(gym)).toBe(true);
    expect(typed("1234567")).toEqual([]);
    const later = { ...time, monotonicMs: monotonicMs(time.monotonicMs + 5_001) };
    expect(gym.wake(later)).toMatchObject([{ reason: "ENTRY_TIMEOUT" }]);
  });

  it("holds no typed code in its journal", () => {
    const gate = device("gate-panel", "29.30.10.712");
    for (const code of ["606142", "999888"]) for (const key of keysOfCode(code, false) ?? []) gate.press(key, time);
    const written = JSON.stringify(gate.journal.all());
    expect(written).toContain("CREDENTIAL_UNKNOWN");
    expect(written).not.toContain("606142");
    expect(written).not.toContain("999888");
  });

  it("opens its relay for the model's time", () => {
    const gate = device("gate-panel", "29.30.10.712");
    expect(gate.present(rfCard("7f31aa02"), time).granted).toBe(true);
    expect(gate.relay).toBe("unlocked");
    expect(gate.nextWakeMs()).toBe(6_000);
    gate.wake({ ...time, monotonicMs: monotonicMs(6_000) });
    expect(gate.relay).toBe("locked");
  });
});

describe("the journal of a networked device", () => {
  it("names events by boot and sequence across restarts, and keeps what a receipt covered", () => {
    const path = join(folder, "x.journal");
    const at = { unixSeconds: START, quality: "set" as const };
    const first = new EventJournal(path);
    first.append({ at, kind: "boot" });
    first.append({ at, kind: "access-granted" });
    first.receive(1);
    const second = new EventJournal(path);
    second.append({ at, kind: "boot" });
    expect(second.all().map(({ event }) => [event.boot, event.sequence])).toEqual([
      [1, 1],
      [1, 2],
      [2, 3],
    ]);
    expect(second.through).toBe(1);
    second.receive(99);
    second.receive(0);
    expect(second.through).toBe(1);
    expect(second.read(2, 3, 10).map(({ event }) => event.sequence)).toEqual([2, 3]);
  });
});
