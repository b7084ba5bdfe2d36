/** `doorlink status`: the site on one screen. */
import { type DeviceView, type LockView, type StatusView, statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows, progressText, timeText, versionText } from "./output.ts";

export async function runStatus(context: CommandContext): Promise<number> {
  const answer = await context.client.get("/api/status", statusView);
  if (!answer.ok) return complain(context, answer.fault);
  if (context.json) writeJson(context, answer.value);
  else context.write(statusText(answer.value));
  return exitCodes.fine;
}

export function statusText(status: StatusView): string {
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
        ? `linked for ${age(upstream.since)}, ${upstream.outboxDepth} events wait`
        : `no link for ${age(upstream.since)} (${upstream.lastFault ?? "not tried yet"}), ${upstream.outboxDepth} events wait`,
    ],
    [
      "broker",
      `port ${broker.port ?? "-"}, ${broker.connected.length} devices connected, ${refused} messages refused${conflictText(broker.conflicting)}`,
    ],
    ["radio", radioText(radio, age(radio.since))],
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
function conflictText(conflicting: StatusView["broker"]["conflicting"]): string {
  const devices = Object.entries(conflicting).map(([device, count]) => `${count} of ${device}`);
  return devices.length === 0 ? "" : `, events that contradict earlier ones: ${devices.join(", ")}`;
}

function radioText({ working, fault }: StatusView["radio"], since: string): string {
  if (working === null) return "not used yet";
  return working ? "works" : `does not work for ${since}: ${fault ?? "unknown"}`;
}

function exposedText({ personName, person, what }: DeviceView["exposure"][number]): string {
  return `${personName ?? person}${what === "signed-out" ? " (signed out)" : ""}`;
}

function deviceRow(device: DeviceView): readonly string[] {
  const { firmware, battery, holds, desired, exposure } = device;
  return [
    device.device,
    device.model,
    device.doorName,
    device.online === null ? "-" : device.online ? "yes" : "no",
    device.network === "passive" ? "-" : ageText(device.heardAgeSeconds),
    device.syncState ?? "-",
    device.network === "ble" ? ageText(device.syncAgeSeconds) : "-",
    desired === null ? "-" : `${holds === null ? "?" : versionText(holds)}/${desired.version}`,
    battery === null ? "-" : `${battery.percent} % ${ageText(battery.ageSeconds)}`,
    firmware.version === null ? firmware.verdict : `${firmware.version} ${firmware.verdict}`,
    exposure.map(exposedText).join(", ") || "-",
  ];
}
