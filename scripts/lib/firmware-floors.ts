/** Prints `protocol/firmware/floors.ts`, made from `floors.yaml` beside it: rules are pure, and open no file. */
import { readFileSync } from "node:fs";
import { floorTableSchema } from "../../protocol/firmware/floor-table.ts";
import { formatMistake, parseDocument } from "../../protocol/site/document.ts";

const text = readFileSync(new URL("../../protocol/firmware/floors.yaml", import.meta.url), "utf8");
const read = parseDocument(text, floorTableSchema);
if (!read.ok) throw new Error(read.fault.mistakes.map(formatMistake).join("\n"));
process.stdout.write(`/** Made from floors.yaml by scripts/lib/firmware-floors.ts; change it there. */
export const shippedFloors = ${JSON.stringify(read.value.value, null, 2)} as const;
`);
