/**
 * `doorlink-emulator claim DEVICE`: gives a claim string to a networked device of a running emulated site, as an installer types it into the
 * device's set-up page. The string comes from standard input or a file, never as an argument, where every user of the machine could read it.
 */
import { readFile } from "node:fs/promises";
import { text as readText } from "node:stream/consumers";
import type { Command } from "commander";
import { parseClaim } from "../protocol/wire/claim-string.ts";

interface Flags {
  readonly claim: string;
  readonly site: string;
}

export function registerClaimCommand(program: Command, setExitCode: (code: number) => void): void {
  program
    .command("claim")
    .description("Give a claim string to a networked device of a running emulated site")
    .argument("<device>", "its device id")
    .option(
      "--claim <file>",
      "a file with the string, or with the JSON of doorlink device add --json; - for standard input",
      "-",
    )
    .option("--site <url>", "where the emulated site answers", "http://127.0.0.1:8700")
    .action(async (device: string, flags: Flags) => setExitCode(await giveClaim(device, flags)));
}

/** 0: the device has it; 1: the site says no; 2: there is no claim string in it; 3: nobody answers. */
async function giveClaim(device: string, { claim: path, site }: Flags): Promise<number> {
  const read = await (path === "-" ? readText(process.stdin) : readFile(path, "utf8")).catch(() => "");
  const claim = /DOORLINK-CLAIM:[0-9A-Z]+/.exec(read)?.[0] ?? "";
  const parsed = parseClaim(claim);
  if (!parsed.ok)
    return complain(`no claim string in ${path === "-" ? "standard input" : path}: ${parsed.fault.code}`, 2);
  const url = `${site}/api/devices/${encodeURIComponent(device)}/claim`;
  const headers = { "content-type": "application/json" };
  const asked = {
    method: "POST",
    headers,
    body: JSON.stringify({ claim }),
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  };
  try {
    const answer = await fetch(url, asked);
    if (answer.ok) return 0;
    const { code } = (await answer.json()) as { readonly code?: unknown };
    return complain(`${device}: ${String(code)}`, 1);
  } catch {
    return complain(`no emulated site answers at ${site}`, 3);
  }
}

function complain(what: string, exitCode: number): number {
  process.stderr.write(`doorlink-emulator claim: ${what}\n`);
  return exitCode;
}

const ANSWER_LIMIT_MS = 10_000;
