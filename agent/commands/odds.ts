/** `doorlink odds`: how easily each lock of a site is opened by guessing, per day, against the site's bound. */
import type { Command } from "commander";
import { unixSeconds } from "../../protocol/base/units.ts";
import { type DeviceOdds, oddsText, siteOdds } from "../../protocol/site/odds.ts";
import { type CommandOutput, readSite } from "./decide.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows } from "./output.ts";

export interface OddsOptions {
  readonly site: string;
  readonly json?: boolean;
}

export function registerOddsCommand(program: Command, output: CommandOutput): void {
  program
    .command("odds")
    .description("the odds of guessing a code, per lock and day")
    .requiredOption("--site <file>", "the site's file (YAML)")
    .option("--json", "one JSON object on stdout")
    .action(async (options: OddsOptions) => output.finish(await runOdds(options, output)));
}

/**
 * 0 when everything with a keypad keeps the site's bound or is waived, 1 when a lock does not or a reader would not even with our throttle,
 * 2 when the file is wrong.
 */
export async function runOdds(options: OddsOptions, output: Omit<CommandOutput, "finish">): Promise<number> {
  // No answer here depends on when it is asked: any start will do for the file's relative times.
  const site = await readSite(options.site, { start: anyStart, anyOdds: true });
  if (!site.ok) {
    output.warn(site.fault.text);
    return exitCodes.usage;
  }
  const { guessing } = site.value;
  const devices = siteOdds(site.value);
  if (options.json === true) {
    const rows = devices.map((one) => ({
      ...one,
      triesPerDay: one.triesPerDay ?? null,
      acceptedByDigits: Object.fromEntries(one.acceptedByDigits),
    }));
    output.write(`${JSON.stringify({ bound: guessing.bound, waiver: guessing.waiver ?? null, devices: rows })}\n`);
  } else {
    output.write(oddsTable(devices));
    const { waiver } = guessing;
    if (waiver !== undefined) output.write(`Waived by ${waiver.by}: ${waiver.reason}\n`);
  }
  return devices.some(({ verdict }) => verdict.startsWith("beyond bound")) ? exitCodes.finding : exitCodes.fine;
}

function oddsTable(devices: readonly DeviceOdds[]): string {
  return alignRows([
    ["DEVICE", "MODEL", "DOOR", "TRIES A DAY", "CODES", "ODDS A DAY", "AT KEY RENEWAL", "BOUND", "VERDICT"],
    ...devices.map((device) => [
      device.deviceId,
      device.model,
      device.doorId,
      device.triesPerDay === undefined ? "unknown" : String(device.triesPerDay),
      [...device.acceptedByDigits].map(([digits, count]) => `${count} of ${digits} digits`).join(", ") || "none",
      throttledText(device, device.odds),
      throttledText(device, device.renewalOdds),
      oddsText(device.bound),
      device.verdict,
    ]),
  ]);
}

function throttledText({ triesPerDay }: DeviceOdds, odds: number): string {
  return triesPerDay === undefined && odds > 0 ? `${oddsText(odds)} if throttled` : oddsText(odds);
}

const anyStart = unixSeconds(1_800_000_000);
