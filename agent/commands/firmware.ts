/** `doorlink firmware`: what each device runs and what that means. Rows 83-89. */
import { type DeviceView, statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows } from "./output.ts";

/** 1 when a device is below its floor, cannot be told to be at it, or lacks what this site uses. */
export async function runFirmware(context: CommandContext): Promise<number> {
  const answer = await context.client.get("/api/status", statusView);
  if (!answer.ok) return complain(context, answer.fault);
  const { devices } = answer.value;
  if (context.json) {
    const rows = devices.map(({ device, model, firmware }) => ({ device, model, ...firmware }));
    writeJson(context, { at: answer.value.at, devices: rows });
  } else context.write(firmwareText(devices));
  return devices.some(isFinding) ? exitCodes.finding : exitCodes.fine;
}

export function firmwareText(devices: readonly DeviceView[]): string {
  return alignRows([
    ["DEVICE", "MODEL", "REPORTED", "AGE", "FLOOR", "VERDICT", "SHORT CODES"],
    ...devices.map((view) => [
      view.device,
      view.model,
      view.firmware.version ?? "not reported",
      view.firmware.ageSeconds === null ? "-" : ageText(view.firmware.ageSeconds),
      view.firmware.floor ?? "-",
      view.firmware.verdict,
      gateText(view),
    ]),
  ]);
}

function gateText({ firmware }: DeviceView): string {
  const gate = firmware.gates.find(({ capability }) => capability === "short-doorcodes");
  if (gate === undefined) return "-";
  const use = gate.wanted === true ? ", used here" : "";
  return gate.verdict === "able" ? `able${use}` : `${gate.verdict} (${gate.version})${use}`;
}

function isFinding({ firmware }: DeviceView): boolean {
  const { verdict, gates } = firmware;
  return findings.has(verdict) || gates.some((gate) => gate.wanted === true && gate.verdict !== "able");
}

const findings: ReadonlySet<string> = new Set(["below floor", "unknown", "not comparable"]);
