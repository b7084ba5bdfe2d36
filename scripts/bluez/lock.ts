/** `doorlink-emulator lock` alone, for the virtual machine: the whole command would bring the cloud and its libraries along. */
import { Command } from "commander";
import { registerLockCommand } from "../../emulator/lock-command.ts";

const program = new Command("doorlink-emulator");
registerLockCommand(program, (code) => {
  process.exitCode = code;
});
void program.parseAsync(process.argv.slice(2), { from: "user" });
