/** The subcommand `doorlink-emulator cloud`. What runs the cloud is loaded only when it is asked for. */
import type { Command } from "commander";
import { readCloudSettings } from "./cloud-settings.ts";

/** Adds the subcommand; `setExitCode` takes 0 after a clean stop, 2 for bad options, 3 when the machine is not as needed. */
export function registerCloudCommand(program: Command, setExitCode: (code: number) => void): void {
  program
    .command("cloud")
    .description("the emulated cloud: authority, upstream broker, directory page, manager's API, record")
    .option("--http-port <port>", "port of the HTTP side", "8701")
    .option("--mqtt-port <port>", "port of the upstream MQTT broker", "8702")
    .option("--broker-url <urls>", "an external broker instead: mqtts://host:8883, several with commas between")
    .option("--broker-user <name>", "the authority's user name there")
    .option("--broker-password-file <file>", "a file with its password")
    .option("--broker-ca <file>", "PEM of who signed that broker's certificate")
    .option("--visit-lease <seconds>", "how long a gateway may visit a lock, where there are several (default 120)")
    .option("--public-url <url>", "where visitors' phones reach this cloud (default http://127.0.0.1:<http port>)")
    .option("--state <folder>", "folder of this process alone, made when it is not there", ".doorlink/cloud")
    .option("--seed <number>", "seed of the emulated authority's keys", "1")
    .action(async (options: Readonly<Record<string, string | undefined>>) => {
      const settings = readCloudSettings(options);
      if (settings.ok) {
        const { runCloud } = await import("./run-cloud.ts");
        return setExitCode(await runCloud(settings.value));
      }
      for (const mistake of settings.fault.mistakes) process.stderr.write(`doorlink-emulator cloud: ${mistake}\n`);
      return setExitCode(exitBadInput);
    });
}

const exitBadInput = 2;
