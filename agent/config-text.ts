/** What is wrong with a configuration, in the words of who has to mend it. */
import { formatMistake } from "../protocol/site/document.ts";
import type { ConfigFault } from "./config.ts";

/** Lines for standard error, the last one ended too. */
export function describeConfigFault(path: string, fault: ConfigFault): string {
  if (fault.code === "config-unreadable") {
    const { what, way } = unreadable.get(fault.reason) ?? { what: `cannot be read (${fault.reason})`, way: undefined };
    return `doorlink: the configuration ${path} ${what}${way === undefined ? "" : `: ${way}`}\n`;
  }
  const lines = fault.mistakes.map((mistake) => `  ${formatMistake(mistake)}\n`);
  return `doorlink: ${path} has ${lines.length} mistake${lines.length === 1 ? "" : "s"}:\n${lines.join("")}`;
}

/** By the system's word for it. */
const unreadable: ReadonlyMap<string, { readonly what: string; readonly way: string }> = new Map([
  [
    "ENOENT",
    {
      what: "is not there",
      way: "name the file that is, with run --config FILE, or write it: it needs site, gateway, stateDir and upstream.url",
    },
  ],
  ["EACCES", { what: "may not be read by this user", way: "give it to the user that the agent runs as" }],
  ["EISDIR", { what: "is a folder", way: "name the file in it" }],
]);
