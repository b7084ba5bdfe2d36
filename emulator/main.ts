/** The command `doorlink-emulator`: the emulated cloud and the emulated site, each a process of its own. */
import { Command, CommanderError } from "commander";
import { registerClaimCommand } from "./claim-command.ts";
import { registerCloudCommand } from "./cloud/cloud-command.ts";
import { registerLockCommand } from "./lock-command.ts";
import { packageVersion } from "./package-version.ts";
import { registerSiteCommand } from "./world/site-command.ts";

/** Runs one command line (without node and script) to its end. Gives the exit code: 0 fine, 1 finding, 2 usage or bad input, 3 environment. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const setExitCode = (code: number): void => {
    exitCode = code;
  };
  const program = await createProgram(setExitCode);
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version were asked for; everything else that the parser ends with is a wrong command line.
    return error.exitCode === 0 ? 0 : exitUsage;
  }
  return exitCode;
}

/** Every command that `doorlink-emulator` has; `setExitCode` takes the exit code of the one that ran. */
export async function createProgram(setExitCode: (code: number) => void): Promise<Command> {
  const program = new Command("doorlink-emulator")
    .description("Devices and a cloud that do not exist, behaving as if they did")
    .version(await packageVersion())
    .exitOverride();
  registerCloudCommand(program, setExitCode);
  registerSiteCommand(program, setExitCode);
  registerLockCommand(program, setExitCode);
  registerClaimCommand(program, setExitCode);
  return program;
}

const exitUsage = 2;
