/** `doorlink status`: the site on one screen. */
import { type DeviceView, type StatusView, statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows } from "./output.ts";

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
  return `${head}\n${table}`;
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
    desired === null ? "-" : `${holds === null ? "?" : holds.version}/${desired.version}`,
    battery === null ? "-" : `${battery.percent} % ${ageText(battery.ageSeconds)}`,
    firmware.version === null ? firmware.verdict : `${firmware.version} ${firmware.verdict}`,
    exposure.map(({ personName, person }) => personName ?? person).join(", ") || "-",
  ];
}
