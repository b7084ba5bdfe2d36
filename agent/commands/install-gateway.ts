/** `doorlink install-gateway`: the script that came with this program, with the same options. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { exitCodes } from "./exit-codes.ts";

export async function runInstallGateway(options: readonly string[]): Promise<number> {
  const script = places().find((path) => existsSync(path));
  if (script === undefined) {
    process.stderr.write("doorlink: install-gateway is not here: it comes with the packed package\n");
    return exitCodes.environment;
  }
  return new Promise((resolve) => {
    // Its questions and answers are the operator's own.
    const child = spawn("bash", [script, ...options], { stdio: "inherit" });
    child.once("error", ({ message }) => {
      process.stderr.write(`doorlink: install-gateway cannot be run: ${message}\n`);
      resolve(exitCodes.environment);
    });
    child.once("close", (code) => resolve(code ?? exitCodes.environment));
  });
}

/** Beside the bundle; above the rooms in the built tree; in a checkout. */
function places(): readonly string[] {
  const beside = join(dirname(process.argv[1] ?? ""), "install-gateway");
  const above = join(dirname(fileURLToPath(import.meta.url)), "../..");
  return [beside, join(above, "install-gateway"), join(above, "scripts/install-gateway")];
}
