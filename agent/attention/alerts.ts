/** What is wrong now with a device, with this gateway, or with the machine under it. SPEC G34. */
import type { AttentionItem, SelfView } from "../http/health-views.ts";
import type { DeviceView } from "../http/views.ts";
import type { AttentionInput } from "./attention-input.ts";

export function findAlerts({ status, tampered }: AttentionInput): readonly AttentionItem[] {
  const { gateway, self } = status;
  const item = (what: string, ageSeconds: number | null, remedy: string): AttentionItem => ({
    ...{ who: gateway, doorName: null, what, ageSeconds, remedy },
  });
  return [
    ...status.devices.flatMap((view) => deviceAlerts(view, tampered.has(view.device))),
    ...linkAlerts(status, item),
    ...(self === null ? [] : machineAlerts(self, item)),
  ];
}

type MakeItem = (what: string, ageSeconds: number | null, remedy: string) => AttentionItem;

function deviceAlerts(view: DeviceView, isTampered: boolean): readonly AttentionItem[] {
  const { device, doorName, clock, exposure, latestFault, network, online, heardAgeSeconds } = view;
  const item: MakeItem = (what, ageSeconds, remedy) => ({ who: device, doorName, what, ageSeconds, remedy });
  const sync = network === "ble" ? `doorlink sync ${device}` : "see that it is connected to this gateway";
  const items = exposure.map(({ personName, person, what, ageSeconds }) =>
    item(`still lets ${personName ?? person} in (${what.replace("-", " ")})`, ageSeconds, sync),
  );
  if (isTampered) items.push(item("says that it was tampered with", null, "look at it on site"));
  if (clock !== null && clock.quality !== "set") {
    const what = `its clock is ${clock.quality.replace("-", " ")}: daily codes and schedules are denied`;
    items.push(item(what, clock.ageSeconds, sync));
  }
  if (latestFault?.isOwn === true && latestFault.ageSeconds <= RECENT_FAULT_SECONDS) {
    items.push(
      item(`reported ${latestFault.code}`, latestFault.ageSeconds, "watch it; replace it when that comes again"),
    );
  }
  if (network === "mqtt" && online === false) {
    items.push(item("not connected", heardAgeSeconds, "look at its power and its network"));
  }
  return items;
}

function linkAlerts(status: AttentionInput["status"], item: MakeItem): readonly AttentionItem[] {
  const { upstream, radio, broker, configuration, devices, store, at } = status;
  const items: AttentionItem[] = [];
  const offlineSeconds = at - upstream.since;
  if (!upstream.connected && offlineSeconds >= LONG_OFFLINE_SECONDS) {
    const what = `no link upstream (${upstream.lastFault ?? "not tried yet"}), ${upstream.outboxDepth} events wait`;
    items.push(item(what, offlineSeconds, "look at this site's internet, and at upstream in the configuration"));
  }
  const { link } = broker;
  if (link !== undefined && !link.connected && at - link.since >= LONG_BROKER_SECONDS) {
    const what = `no link to the site's broker (${link.lastFault ?? "not tried yet"})`;
    items.push(item(what, at - link.since, "look at that broker, and at broker.external in the configuration"));
  }
  const hasLocks = devices.some(({ network }) => network === "ble");
  if (hasLocks && radio.working === false && at - radio.since >= LONG_RADIO_SECONDS) {
    items.push(item(`the radio does not work: ${radio.fault}`, at - radio.since, "systemctl status bluetooth"));
  }
  for (const [device, count] of Object.entries(broker.conflicting)) {
    const remedy = "somebody speaks in its name, or its log was written anew: look at it on site";
    items.push(item(`${count} events of ${device} contradict earlier ones`, null, remedy));
  }
  if (store.filling === "full") {
    const what = store.diskFull ? "the disk is full: events are refused" : "the store is full: events are refused";
    items.push(item(what, null, "restore the link upstream, or raise store.limitMegabytes"));
  }
  if (configuration.mistakes.length > 0) {
    const age = configuration.mistakesAt === null ? null : at - configuration.mistakesAt;
    items.push(item(`the configuration has ${configuration.mistakes.length} mistakes`, age, "mend it, then reload"));
  }
  return items;
}

function machineAlerts(self: SelfView, item: MakeItem): readonly AttentionItem[] {
  const { disk, power, temperatureCelsius, time, ageSeconds: age } = self;
  const items: AttentionItem[] = [];
  if (disk !== null && disk.freeBytes < LOW_DISK_BYTES) {
    items.push(
      item(`${Math.floor(disk.freeBytes / MEGABYTE)} MB of disk are free`, age, "make room where stateDir lies"),
    );
  }
  const supply = "give it its maker's own power supply and a short cable";
  if (power.underVoltage === true) items.push(item("under-voltage now", age, supply));
  else if (power.underVoltageSinceBoot === true) items.push(item("under-voltage since it started", age, supply));
  if (power.throttled === true) items.push(item("throttled now", age, "cool it, and look at its power supply"));
  if (temperatureCelsius !== null && temperatureCelsius >= HOT_CELSIUS) {
    items.push(item(`${temperatureCelsius.toFixed(0)} degrees Celsius`, age, "cool it: shade, air, a heat sink"));
  }
  if (time.synchronised === false) {
    items.push(item("its clock is not synchronised", age, "let it reach a time server: timedatectl timesync-status"));
  }
  return items;
}

const RECENT_FAULT_SECONDS = 7 * 86_400;
const LONG_OFFLINE_SECONDS = 600;
const LONG_RADIO_SECONDS = 300;
/** Panels at that broker are not heard; they keep what they have to say. */
const LONG_BROKER_SECONDS = 300;
const MEGABYTE = 1024 * 1024;
/** Beyond what the store needs in a day of a large site. */
const LOW_DISK_BYTES = 256 * MEGABYTE;
/** A Raspberry Pi slows down from here on. */
const HOT_CELSIUS = 80;
