/**
 * Hearing what is on the air. BlueZ remembers devices for a while and lists them though they left, with their last
 * service data; but it drops every RSSI when a discovery ends. So each scan is a discovery of its own, and what shows
 * an RSSI during it was heard in it (SPEC R5). Where another program keeps a discovery running all the time, that rule is as
 * good as that program's discovery is young.
 */
import { ADVERTISEMENT_UUID } from "../../protocol/wire/ble-service.ts";
import { pause } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";
import type { ScanOptions, Sighting } from "../ports/radio.ts";
import type { BluezSession, ListedDevice } from "./bluez-session.ts";

/** Listens once; the discovery is stopped before the sightings are given. Throws RadioError. */
export async function listen(session: BluezSession, options: ScanOptions, clock: Clock): Promise<readonly Sighting[]> {
  const heard = await discover(session, options, clock, (devices) => options.enough?.(sightingsOf(devices)) ?? false);
  return sightingsOf(heard);
}

/** Listens until one address is heard; true when it was. For a lock that BlueZ does not list any more. Throws RadioError. */
export async function hearAddress(
  session: BluezSession,
  address: string,
  durationMs: number,
  clock: Clock,
): Promise<boolean> {
  const isIt = (device: ListedDevice): boolean => device.address === address;
  const heard = await discover(session, { durationMs }, clock, (devices) => devices.some(isIt));
  return heard.some(isIt);
}

/** Polls, in growing steps, which devices have an RSSI. Looking costs one call, whatever the number of devices. */
async function discover(
  session: BluezSession,
  options: Pick<ScanOptions, "durationMs" | "signal">,
  clock: Clock,
  enough: (devices: readonly ListedDevice[]) => boolean,
): Promise<readonly ListedDevice[]> {
  const stop = AbortSignal.any(options.signal === undefined ? [session.stopped] : [session.stopped, options.signal]);
  const endsAtMs = clock.monotonicMs() + options.durationMs;
  let heard: readonly ListedDevice[] = [];
  await session.startDiscovery();
  for (let stepMs = FIRST_LOOK_MS; ; stepMs = Math.min(stepMs * 2, LONGEST_LOOK_MS)) {
    const leftMs = endsAtMs - clock.monotonicMs();
    await pause(clock, Math.max(0, Math.min(stepMs, leftMs)), stop);
    heard = (await session.listDevices()).filter((device) => device.rssi !== undefined).slice(0, SIGHTING_LIMIT);
    if (enough(heard) || options.signal?.aborted === true || clock.monotonicMs() >= endsAtMs) break;
  }
  await session.stopDiscovery();
  return heard;
}

function sightingsOf(devices: readonly ListedDevice[]): readonly Sighting[] {
  return devices.flatMap(({ address, name, rssi, serviceData }) => {
    const advertisement = serviceData.get(ADVERTISEMENT_UUID);
    return advertisement === undefined || rssi === undefined ? [] : [{ address, name, rssi, advertisement }];
  });
}

const FIRST_LOOK_MS = 50;
const LONGEST_LOOK_MS = 800;
/** Three times the locks that one gateway serves; what a crowd of phones adds beyond that is not looked at. */
const SIGHTING_LIMIT = 1_000;
