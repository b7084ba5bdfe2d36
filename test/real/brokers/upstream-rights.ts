/** The users of a clustered broker that many sites share, as `agent/README.md` shows them, for the tests that hold that text to a running one. */
import { readFileSync } from "node:fs";

/** The block `accounts { ... }` of the README, for its two sites; every `$NAME_PASSWORD` becomes `password`. */
export function readmeAccounts(password: string): string {
  const text = readFileSync(new URL("../../../agent/README.md", import.meta.url), "utf8");
  const block = /```conf\n(accounts \{[\s\S]*?)```/.exec(text)?.[1];
  if (block === undefined) throw new Error("agent/README.md shows no accounts of a NATS cluster");
  return block.replaceAll(/\$[A-Z_]+_PASSWORD/g, `"${password}"`);
}
