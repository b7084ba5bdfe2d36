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
  "doorlink install-gateway": ({ folder }) => [
    ["--root", join(folder, "machine"), "--dry-run"],
    ["--root", join(folder, "machine"), "--uninstall", "--master"],
  ],
  "doorlink check-config": ({ folder, site }) => [[], [join(folder, "no-such.yaml")], [site, "--json"]],
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
  "doorlink broker-config": ({ agent, folder }) => [
    ["mosquitto", "--site", "maple-court", "--gateway", "gateway-main", "--out", join(folder, "broker")],
    ["nats", "--config", join(folder, "no-such.yaml"), "--agent", agent],
  ],
  "doorlink exposure": ({ agent }) => [["--agent", agent, "--json"]],
  "doorlink log": ({ agent }) => [["--agent", agent, "--json", "--limit", "5"]],
  "doorlink bundle": ({ agent, folder }) => [["--agent", agent, "--out", join(folder, "bundle.tar.gz"), "--json"]],
  "doorlink person erase": ({ agent }) => [
    ["leo-marsh", "--yes", "--agent", agent, "--json"],
    ["master", "--agent", agent],
  ],
  "doorlink firmware": ({ agent }) => [["--agent", agent]],
  "doorlink device add": ({ agent, folder }) => [
    ["roof-lock", "--ble", "--code", join(folder, "no-such-card.txt"), "--agent", agent],
    ["lobby-lock", "--ble", "--code", "DOORLINK:0", "--agent", agent, "--json"],
    ["gym-lock", "--mqtt", "--serial", "MASTER", "--agent", agent],
  ],
  "doorlink device list": ({ agent }) => [
    ["--agent", agent],
    ["--json", "--agent", agent],
  ],
  "doorlink device show": ({ agent }) => [
    ["gym-lock", "--agent", agent],
    ["master", "--agent", agent, "--json"],
  ],
  "doorlink device revoke": ({ agent }) => [
    ["gym-lock", "--agent", agent],
    ["master", "--agent", agent],
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
  "doorlink-emulator claim": ({ folder }) => [["gate-panel", "--claim", join(folder, "no-such-claim.txt")]],
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
