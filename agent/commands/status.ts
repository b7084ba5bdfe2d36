/** `doorlink status`: what needs a person first, and below it the site. SPEC G34. */
import { countAttention } from "../attention/find-attention.ts";
import { type AttentionGroup, type AttentionView, attentionGroups, type SelfView } from "../http/health-views.ts";
import { type DeviceView, type LockView, type StatusView, statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows, progressText, timeText, versionText } from "./output.ts";

export async function runStatus(context: CommandContext): Promise<number> {
  const answer = await context.client.get("/api/status", statusView);
  if (!answer.ok) return complain(context, answer.fault);
  if (context.json) writeJson(context, answer.value);
  else context.write(statusText(answer.value));
  return countAttention(answer.value.attention) > 0 ? exitCodes.finding : exitCodes.fine;
}

export function statusText(status: StatusView): string {
  return `${attentionText(status.attention)}\n${siteText(status)}`;
}

/** Each group with its own lines, so that none is overlooked because another is long; an empty one says so. */
export function attentionText(attention: AttentionView): string {
  const rows = attentionGroups.flatMap((group): readonly (readonly string[])[] => {
    const title = groupTitles[group];
    const items = attention[group];
    if (items.length === 0) return [[title, "nothing"]];
    const shown = items
      .slice(0, ITEMS_SHOWN)
      .map(({ who, doorName, what, ageSeconds, remedy }, index) => [
        index === 0 ? title : "",
        doorName === null || doorName === who ? who : `${who} (${doorName})`,
        what,
        ageSeconds === null ? "-" : ageText(ageSeconds),
        remedy,
      ]);
    const left = items.length - shown.length;
    return left === 0 ? shown : [...shown, ["", `and ${left} more: doorlink status --json`]];
  });
  return alignRows(rows);
}

function siteText(status: StatusView): string {
  const { gateway, site, upstream, broker, radio, devices } = status;
  const age = (since: number): string => ageText(status.at - since);
  const refused = Object.values(broker.refused).reduce((sum, count) => sum + count, 0);
  const head = alignRows([
    ["gateway", `${gateway}, doorlink ${status.version}, up ${ageText(status.uptimeSeconds)}`],
    [
      "site",
      site === null ? "not known yet: the authority has not said" : `${site.name} (${site.id}), ${site.timeZone}`,
    ],
    [
      "upstream",
      upstream.connected
        ? `linked for ${age(upstream.since)}${upstream.url === null ? "" : ` to ${upstream.url}`}, ${upstream.outboxDepth} events wait`
        : `no link for ${age(upstream.since)} (${upstream.lastFault ?? "not tried yet"}), ${upstream.outboxDepth} events wait`,
    ],
    [
      "broker",
      `${brokerText(broker, age)}, ${broker.connected.length} devices connected, ${refused} messages refused${conflictText(broker.conflicting)}`,
    ],
    ["store", storeText(status.store)],
    ["radio", radioText(radio, age(radio.since))],
    ["machine", machineText(status.self)],
    ...configurationRows(status.configuration),
  ]);
  const table = alignRows([
    ["DEVICE", "MODEL", "DOOR", "ONLINE", "HEARD", "SYNC", "SYNCED", "POLICY", "BATTERY", "FIRMWARE", "EXPOSED"],
    ...devices.map(deviceRow),
  ]);
  const locks = devices.flatMap((device) => (device.lock === null ? [] : [lockRow(device, device.lock)]));
  return locks.length === 0 ? `${head}\n${table}` : `${head}\n${table}\n${alignRows([lockHead, ...locks])}`;
}

const lockHead = ["LOCK", "SYNC", "WHY", "FOR", "ITS OWN REPORT (UTC)", "HEARD", "VISIT BY (UTC)", "NEXT VISIT"];

/** How the door sync stands, and what holds the next visit off. */
function lockRow({ device }: DeviceView, lock: LockView): readonly string[] {
  const { state, why, sinceAgeSeconds, reported, heardAgeSeconds, visitBy, progress } = lock;
  return [
    device,
    progress === null ? state : `${state}: ${progressText({ active: true, ...progress })}`,
    why ?? "-",
    sinceAgeSeconds === null ? "-" : ageText(sinceAgeSeconds),
    reported === null ? "never reported" : `version ${versionText(reported)} at ${timeText(reported.at)}`,
    ageText(heardAgeSeconds),
    visitBy === null ? "-" : timeText(visitBy),
    nextVisitText(lock),
  ];
}

function nextVisitText({ nextVisit, pauseSeconds, failures, automaticVisitsToday }: LockView): string {
  if (nextVisit === null) return "-";
  const { reason, heldOff } = nextVisit;
  switch (heldOff) {
    case null:
      return `now: ${reason}`;
    case "back-off":
      return `${reason}, in ${pauseSeconds} s after ${failures} failed`;
    case "budget":
      return `${reason}, tomorrow: ${automaticVisitsToday} visits today`;
    case "manual":
      return `${reason}, when somebody asks`;
    case "not-heard":
      return `${reason}, when it is heard`;
    default:
      return `${reason}, held off: ${heldOff}`;
  }
}

/** Names the devices: somebody speaks in their name, or their log was written anew. */
function storeText({ filling, usedBytes, limitBytes, diskFull, droppedEvents }: StatusView["store"]): string {
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MB`;
  const size = limitBytes === null ? megabytes(usedBytes) : `${megabytes(usedBytes)} of ${megabytes(limitBytes)}`;
  const state = diskFull ? "the disk is full" : filling;
  return `${size}, ${state}${droppedEvents === 0 ? "" : `, ${droppedEvents} telemetry events gave way`}`;
}

function brokerText({ port, link }: StatusView["broker"], age: (since: number) => string): string {
  if (link === undefined) return `port ${port ?? "-"}`;
  const { url, connected, since, lastFault } = link;
  return connected
    ? `${url} linked for ${age(since)}`
    : `${url} no link for ${age(since)} (${lastFault ?? "not tried yet"})`;
}

function conflictText(conflicting: StatusView["broker"]["conflicting"]): string {
  const devices = Object.entries(conflicting).map(([device, count]) => `${count} of ${device}`);
  return devices.length === 0 ? "" : `, events that contradict earlier ones: ${devices.join(", ")}`;
}

/** Nothing when nothing is to be done. */
function configurationRows({ mistakes, waitsForRestart }: StatusView["configuration"]): readonly (readonly string[])[] {
  const waits = waitsForRestart.length === 0 ? [] : [["restart", `needed for ${waitsForRestart.join(", ")}`]];
  return [...waits, ...mistakes.map((mistake, index) => [index === 0 ? "config" : "", mistake])];
}

/** What is not known is said so: a missing sensor is not a cool one. */
function machineText(self: SelfView | null): string {
  if (self === null) return "not measured";
  const { temperatureCelsius, disk, power, time, loopLag } = self;
  const celsius = temperatureCelsius === null ? "temperature unknown" : `${temperatureCelsius.toFixed(0)} °C`;
  const space = disk === null ? "disk unknown" : `${(disk.freeBytes / GIGABYTE).toFixed(1)} GB free`;
  const supply = power.underVoltage === null ? "supply unknown" : power.underVoltage ? "under-voltage" : "supply good";
  const clock = time.synchronised === null ? "time source unknown" : time.synchronised ? "time set" : "time not set";
  const lag = loopLag === null ? "loop lag unknown" : `loop lag ${loopLag.p99Ms.toFixed(0)} ms`;
  return [celsius, space, supply, clock, lag].join(", ");
}

function radioText({ working, fault }: StatusView["radio"], since: string): string {
  if (working === null) return "not used yet";
  return working ? "works" : `does not work for ${since}: ${fault ?? "unknown"}`;
}

function exposedText({ personName, person, what }: DeviceView["exposure"][number]): string {
  return `${personName ?? person}${what === "signed-out" ? " (signed out)" : ""}`;
}

function deviceRow(device: DeviceView): readonly string[] {
  const { firmware, battery, power, holds, desired, exposure } = device;
  return [
    device.device,
    device.model,
    device.doorName,
    device.online === null ? "-" : device.online ? "yes" : "no",
    device.network === "passive" ? "-" : ageText(device.heardAgeSeconds),
    device.syncState ?? "-",
    device.network === "ble" ? ageText(device.syncAgeSeconds) : "-",
    desired === null ? "-" : `${holds === null ? "?" : versionText(holds)}/${desired.version}`,
    battery === null ? (power === "battery" ? "unknown" : "-") : `${battery.percent} % ${ageText(battery.ageSeconds)}`,
    firmware.version === null ? firmware.verdict : `${firmware.version} ${firmware.verdict}`,
    exposure.map(exposedText).join(", ") || "-",
  ];
}

const groupTitles: Readonly<Record<AttentionGroup, string>> = {
  sync: "Sync",
  upgrade: "Upgrade",
  lowBattery: "Low battery",
  stickers: "Stickers",
  alerts: "Alerts",
};
/** Five groups of these are still one screen. */
const ITEMS_SHOWN = 8;
const GIGABYTE = 1e9;
