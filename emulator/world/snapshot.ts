/** Everything that the page shows of the world, as plain data. No code, key or password is part of it. */

import { unixSeconds } from "../../protocol/base/units.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { hasKey } from "../../protocol/site/rights.ts";
import { auditEntryToEvent } from "../../protocol/wire/audit-event.ts";
import type { LockHost } from "../device/lock-host.ts";
import type { NetworkedHost } from "../device/networked-host.ts";
import type { ResidentPhone } from "../people/resident-phone.ts";
import { credentialsOf, type HouseOptions, type InHouse } from "./house.ts";
import type { Walls } from "./walls.ts";

export interface SnapshotParts extends InHouse {
  readonly walls: Walls;
  readonly phones: ReadonlyMap<string, ResidentPhone>;
  readonly broughtUp: () => boolean;
}

export function worldSnapshot(parts: SnapshotParts) {
  const { options, broughtUp } = parts;
  const { site } = options.worldSite;
  return {
    site: { id: site.id, name: site.name, timeZone: site.timeZone, doorcodeDigits: site.doorcodeDigits },
    seed: options.seed,
    start: options.start,
    now: options.clock.nowMs(),
    broughtUp: broughtUp(),
    doors: site.doors.map(({ id, name, kind }) => ({
      id,
      name,
      kind,
      devices: site.devices.filter(({ door }) => door === id).map((device) => device.id),
      panels: site.panels.filter(({ door }) => door === id).map((panel) => panel.id),
    })),
    devices: site.devices.map(({ id }) => deviceSnapshot(parts, id)),
    panels: site.panels.map((panel) => panelSnapshot(parts, panel)),
    people: site.people.map(({ id }) => personSnapshot(parts, id)),
    log: options.log.latest(),
  };
}

export type WorldSnapshot = ReturnType<typeof worldSnapshot>;

/** One device as somebody with a screwdriver could see it; undefined when there is no such device. */
export function deviceSnapshot({ house, options }: SnapshotParts, id: string) {
  const { site, world } = options.worldSite;
  const device = site.devices.find((each) => each.id === id);
  if (device === undefined) return undefined;
  const model = modelByName[device.model];
  const truth = world.devices.find((each) => each.id === id);
  const lock = house.locks.get(device.id);
  const networked = house.networked.get(device.id);
  return {
    id,
    name: device.name,
    model: model.name,
    door: device.door,
    doorName: site.doors.find((door) => door.id === device.door)?.name ?? device.door,
    network: model.network,
    address: device.address ?? null,
    firmware: truth?.firmware ?? null,
    hardware: truth?.hardware ?? null,
    hasKeypad: model.digitTimeoutMs !== undefined,
    checkMarkKey: model.checkMarkKey,
    keypadWakesByKey: model.keypadWake === "any-key",
    /** Dark: the next key only wakes it (SPEC K5). */
    keypadAsleep: (lock ?? networked)?.keypadAsleep ?? false,
    digits: site.doorcodeDigits,
    ...(lock === undefined ? {} : lockPart(lock, options)),
    ...(networked === undefined ? {} : networkedPart(networked)),
  };
}

/** A device's own log, decoded, oldest first; undefined when there is no such device. */
export function deviceLog({ house, options }: SnapshotParts, id: string) {
  const device = options.worldSite.site.devices.find((each) => each.id === id);
  if (device === undefined) return undefined;
  const personByCredential = new Map(options.worldSite.site.credentials.map((each) => [each.id, each.person]));
  const lock = house.locks.get(device.id);
  if (lock === undefined) {
    const journal = house.networked.get(device.id)?.firmware.journal;
    return (journal?.all() ?? []).map(({ event, truth }) => ({ ...event, ...(truth === undefined ? {} : { truth }) }));
  }
  const entries = lock.firmware.log?.read(0, Number.POSITIVE_INFINITY) ?? [];
  return entries.flatMap((bytes) => {
    const event = auditEntryToEvent(bytes);
    if (!event.ok) return [];
    const { raw: _raw, ...shown } = event.value;
    const person = shown.credential === undefined ? undefined : personByCredential.get(shown.credential);
    return [{ ...shown, ...(person === undefined ? {} : { person }) }];
  });
}

/** What is to be seen of a lock itself. */
export function lockPart(host: LockHost, { clock }: Pick<HouseOptions, "clock">) {
  const { firmware } = host;
  const { epoch, version, stale } = firmware.policy;
  const reading = firmware.clock(clock.monotonicMs());
  return {
    bolt: firmware.bolt,
    /** Null on a lock without a second bolt. */
    deadbolt: firmware.hardware.deadbolt === undefined ? null : deadboltState(firmware.hardware.deadbolt),
    holds: version === 0 ? null : { epoch, version, stale },
    /** Of this pairing's first entry: numbers go on over factory resets. */
    logBegan: firmware.log?.firstSequence ?? null,
    logFirst: firmware.log?.first ?? null,
    logNext: firmware.log?.next ?? null,
    bootCount: firmware.bootCount,
    paired: firmware.paired,
    /** Why it is not paired any more, when rot took its pairing (SPEC L17); null: it did not. */
    lostPairing: firmware.lostPairing ?? null,
    visited: host.visited,
    clock: {
      quality: reading.quality,
      unixMs: reading.unixMs ?? null,
      errorMs: reading.unixMs === undefined ? null : reading.unixMs - clock.nowMs(),
    },
    battery: firmware.battery ?? null,
  };
}

function deadboltState({ extended }: { readonly extended: boolean }): "extended" | "retracted" {
  return extended ? "extended" : "retracted";
}

function networkedPart(host: NetworkedHost) {
  const { journal, holds } = host.firmware;
  return {
    bolt: host.firmware.relay,
    /** Null: the policy that it was installed with. */
    holds: holds.version === 0 ? null : { epoch: holds.epoch, version: holds.version, stale: false },
    logBegan: 1,
    logFirst: journal.through + 1,
    logNext: journal.next,
    bootCount: journal.boot,
    connected: host.connected,
    reportsReasons: host.firmware.reportsReasons,
    battery: null,
  };
}

function panelSnapshot({ walls, options }: SnapshotParts, panel: { id: string; name: string; door: string }) {
  const stickers = walls.wall(panel.id)?.stickers.length ?? 0;
  return {
    ...panel,
    doorName: options.worldSite.site.doors.find(({ id }) => id === panel.door)?.name ?? panel.door,
    /** Index of the sticker on top; null while none hangs there. */
    mounted: stickers === 0 ? null : stickers - 1,
  };
}

function personSnapshot({ options, phones, handsets }: SnapshotParts, id: string) {
  const { site, world } = options.worldSite;
  const person = site.people.find((each) => each.id === id);
  const phone = world.phones.find((each) => each.person === id);
  const now = unixSeconds(options.clock.nowMs() / 1000);
  return {
    id,
    name: person?.name ?? id,
    role: person?.role ?? null,
    unit: site.units.find((unit) => unit.id === person?.unit)?.name ?? null,
    showInIntercom: person?.showInIntercom ?? false,
    credentials: credentialsOf(options, id).map(({ id: credential, kind, person: owner }) => ({
      id: credential,
      kind,
      own: owner === id,
    })),
    /** Doors this person has a key to by the site file; what a lock still believes is another matter. */
    doors: site.doors.filter((door) => hasKey(site, id, door.id, now)).map((door) => door.id),
    /** Phones on which this person is signed in to the app, their own or another. */
    signedInOn: handsets.phonesOf(id),
    phone:
      phone === undefined
        ? null
        : {
            id: phone.id,
            model: phone.model,
            os: phone.os,
            app: phone.app.version ?? null,
            ...phones.get(phone.id)?.state,
          },
  };
}
