/** Every command of the two command lines, with what somebody who wants a door open might give it. A command without a line here fails row 72. */
import { join } from "node:path";
import type { Command } from "commander";

export interface CommandPlaces {
  readonly agent: string;
  /** A site file. */
  readonly site: string;
  /** To write to. */
  readonly folder: string;
}

export const commandEntries: Readonly<Record<string, (places: CommandPlaces) => readonly (readonly string[])[]>> = {
  "doorlink run": ({ folder }) => [[], ["--config", join(folder, "no-such.yaml")]],
  "doorlink status": ({ agent }) => [
    ["--agent", agent],
    ["--agent", agent, "--json"],
  ],
  "doorlink sync": ({ agent }) => [
    ["lobby-lock", "--agent", agent, "--json"],
    ["gym-lock", "--agent", agent],
    ["master", "--agent", agent],
    ["--urgent", "--agent", agent, "--json"],
  ],
  "doorlink exposure": ({ agent }) => [["--agent", agent, "--json"]],
  "doorlink log": ({ agent }) => [["--agent", agent, "--json", "--limit", "5"]],
  "doorlink firmware": ({ agent }) => [["--agent", agent]],
  "doorlink device add": ({ agent, folder }) => [
    ["roof-lock", "--ble", "--code", join(folder, "no-such-card.txt"), "--agent", agent],
    ["lobby-lock", "--ble", "--code", "DOORLINK:0", "--agent", agent, "--json"],
  ],
  "doorlink sticker make": ({ agent, folder }) => [
    ["lobby-link", "--out", folder, "--agent", agent],
    ["master", "--out", folder],
  ],
  "doorlink sticker rotate": ({ agent, folder }) => [
    ["lobby-link", "--agent", agent, "--out", folder, "--json"],
    ["master", "--agent", agent],
  ],
  "doorlink sticker retire": ({ agent }) => [
    ["package-link", "--agent", agent],
    ["master", "--agent", agent, "--json"],
  ],
  "doorlink sticker card": ({ folder }) => [["--out", join(folder, "card.pdf")]],
  "doorlink sticker check": ({ agent, site }) => [[site, "--agent", agent]],
  "doorlink sticker read": ({ site }) => [["--json", site]],
  "doorlink sticker list": ({ agent }) => [["--agent", agent]],
  "doorlink decide": ({ site }) => [
    ["--site", site, "--door", "gym", "--credential", "kira-app", "--at", "2026-12-24T12:00:00-05:00", "--json"],
    ["--site", site, "--door", "gym", "--credential", "master", "--at", "2026-12-24T12:00:00-05:00"],
  ],
  "doorlink odds": ({ site }) => [["--site", site]],
  "doorlink-emulator cloud": () => [["--http-port", "master"]],
  "doorlink-emulator site": ({ folder }) => [[], [join(folder, "no-such.yaml")]],
  "doorlink-emulator lock": ({ folder }) => [
    ["--model", "master"],
    ["--bus", `unix:path=${join(folder, "no-such.sock")}`],
  ],
};

/** The commands that do something, each with the words before it. */
export function listCommands(command: Command): readonly string[] {
  if (command.commands.length === 0) return [command.name()];
  return command.commands.flatMap((sub) => listCommands(sub).map((rest) => `${command.name()} ${rest}`));
}
