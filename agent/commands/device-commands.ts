/** `doorlink device add|list|show|revoke`: how the devices of a site get their place, stand, and lose it again. */
import type { Command } from "commander";
import type { CommandContext } from "./command.ts";
import { type DeviceCommandParts, registerShownCommands } from "./device-certificates.ts";

interface AddOptions {
  readonly ble?: boolean;
  readonly mqtt?: boolean;
  readonly code?: string;
  readonly address?: string;
  readonly serial?: string;
  readonly minutes?: string;
  readonly qr?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

export function registerDeviceCommands(program: Command, parts: DeviceCommandParts): void {
  const device = program.command("device").description("the devices of this site");
  device
    .command("add <device>")
    .description(
      "give a device its place: pair a lock by the card from its box, or open a claim for a networked device",
    )
    .option("--ble", "a lock without internet, over this gateway's radio")
    .option(
      "--code <file>",
      "with --ble: the card's setup code: a text file, a photograph of it, or - for standard input",
    )
    .option("--address <address>", "with --ble: where it is on the air, when the site does not say")
    .option("--mqtt", "a networked device: prints the claim string that it enrols with")
    .option("--serial <serial>", "with --mqtt: as on its label, when it never said so itself")
    .option("--minutes <n>", "with --mqtt: how long the claim stays open, 60 when absent")
    .option("--qr", "with --mqtt: the claim as a QR symbol on the terminal as well")
    .option("--out <file>", "with --mqtt: the QR symbol as a PNG, readable by its owner alone")
    .option("--json", "one JSON object on stdout")
    .action(async (name: string, options: AddOptions) => {
      const { json, ...rest } = options;
      const wrong = whatIsWrong(rest);
      if (wrong !== undefined) return program.error(`error: ${wrong}`, { exitCode: 2 });
      const context = await parts.contextOf({ json: json === true });
      parts.finish(await add(name, rest, context));
    });
  registerShownCommands(device, parts);
}

/** Exactly one of the two ways, with its own options. */
function whatIsWrong(options: AddOptions): string | undefined {
  const { ble, mqtt, code, address, serial, minutes, qr, out } = options;
  if ((ble === true) === (mqtt === true))
    return "say --ble for a lock without internet, or --mqtt for a networked device";
  if (ble === true) {
    if (code === undefined) return "required option '--code <file>' not specified";
    const foreign = [serial, minutes, qr, out].some((given) => given !== undefined);
    return foreign ? "--serial, --minutes, --qr and --out go with --mqtt" : undefined;
  }
  return code !== undefined || address !== undefined ? "--code and --address go with --ble" : undefined;
}

async function add(device: string, options: AddOptions, context: CommandContext): Promise<number> {
  const { code, address, serial, minutes, qr, out } = options;
  if (code !== undefined) {
    const { runDeviceAdd } = await import("./device-add.ts");
    return runDeviceAdd({ device, code, ...(address === undefined ? {} : { address }) }, context);
  }
  const { runDeviceClaim } = await import("./device-claim.ts");
  return runDeviceClaim({ device, serial, minutes, qr: qr === true, out }, context);
}
