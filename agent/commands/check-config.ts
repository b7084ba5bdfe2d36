/** `doorlink check-config FILE`: every mistake of a configuration before an agent is asked to go by it. */
import { formatMistake } from "../../protocol/site/document.ts";
import { loadConfig } from "../config.ts";
import { describeConfigFault } from "../config-text.ts";
import { describeTableFault, loadFloorTable } from "../firmware-table.ts";
import type { CommandContext } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

export async function runCheckConfig(
  path: string,
  { json, write, warn }: Pick<CommandContext, "json" | "write" | "warn">,
): Promise<number> {
  const read = await loadConfig(path, { needsSecrets: true });
  const tableFile = read.ok ? read.value.firmware.tableFile : undefined;
  const table = await loadFloorTable(tableFile);
  if (!table.ok && tableFile !== undefined) {
    const fault = { code: "firmware-table", text: describeTableFault(tableFile, table.fault) };
    if (json) write(`${JSON.stringify({ file: path, ok: false, fault, mistakes: [] })}\n`);
    else warn(fault.text);
    return exitCodes.usage;
  }
  if (json) {
    const mistakes = read.ok || read.fault.code !== "document-mistakes" ? [] : read.fault.mistakes;
    const fault = read.ok ? {} : { fault: { code: read.fault.code } };
    const lines = mistakes.map((mistake) => ({ ...mistake, text: formatMistake(mistake) }));
    write(`${JSON.stringify({ file: path, ok: read.ok, ...fault, mistakes: lines })}\n`);
  } else if (read.ok) write(`${path}: no mistakes\n`);
  else warn(describeConfigFault(path, read.fault));
  return read.ok ? exitCodes.fine : exitCodes.usage;
}
