/** The operator's own firmware table, read once at the start: its lines come before those that doorlink ships. SPEC F7. */
import { readFile } from "node:fs/promises";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import {
  type FloorTable,
  floorTableSchema,
  shippedFloorTable,
  withOwnFloors,
} from "../protocol/firmware/floor-table.ts";
import { type DocumentFault, formatMistake, parseDocument } from "../protocol/site/document.ts";

export type FloorTableFault = DocumentFault | { readonly code: "unreadable"; readonly reason: string };

/** Lines for standard error, the last one ended too. */
export function describeTableFault(file: string, fault: FloorTableFault): string {
  if (fault.code === "unreadable") {
    return `doorlink: the firmware table ${file} cannot be read (${fault.reason}): mend firmware.tableFile\n`;
  }
  const lines = fault.mistakes.map((mistake) => `  ${formatMistake(mistake)}\n`);
  return `doorlink: ${file} has ${lines.length} mistake${lines.length === 1 ? "" : "s"}:\n${lines.join("")}`;
}

/** Without a file, what is shipped. Faults: unreadable; document-mistakes, all of them with their lines. */
export async function loadFloorTable(file: string | undefined): Promise<Result<FloorTable, FloorTableFault>> {
  if (file === undefined) return ok(shippedFloorTable);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    return failed({ code: "unreadable", reason });
  }
  const read = parseDocument(text, floorTableSchema);
  return read.ok ? ok(withOwnFloors(read.value.value)) : read;
}
