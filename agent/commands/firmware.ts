/** `doorlink firmware`: what each device runs and what that means. Rows 84-89. */
import { type DeviceView, statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows } from "./output.ts";

/** 1 when a device is below its floor, or cannot be told to be at it. */
export async function runFirmware(context: CommandContext): Promise<number> {
  const answer = await context.client.get("/api/status", statusView);
  if (!answer.ok) return complain(context, answer.fault);
  const { devices } = answer.value;
  if (context.json) {
    const rows = devices.map(({ device, model, firmware }) => ({ device, model, ...firmware }));
    writeJson(context, { at: answer.value.at, devices: rows });
  } else context.write(firmwareText(devices));
  return devices.some(({ firmware }) => findings.has(firmware.verdict)) ? exitCodes.finding : exitCodes.fine;
}

export function firmwareText(devices: readonly DeviceView[]): string {
  return alignRows([
    ["DEVICE", "MODEL", "REPORTED", "AGE", "FLOOR", "VERDICT"],
    ...devices.map(({ device, model, firmware }) => [
      device,
      model,
      firmware.version ?? "not reported",
      firmware.ageSeconds === null ? "-" : ageText(firmware.ageSeconds),
      firmware.floor ?? "-",
      firmware.verdict,
    ]),
  ]);
}

const findings: ReadonlySet<string> = new Set(["below floor", "unknown", "not comparable"]);
