/**
 * `scripts/chaos NAME`: exit code 0 when every count that must be zero is zero, 1 when one is not, 2 for another name or option.
 * A campaign shows how far it is on a terminal, and is quiet in a pipe.
 */
import { parseArgs } from "node:util";
import { runBleChaos } from "./ble.ts";
import type { Campaign, CampaignOptions } from "./campaign.ts";
import { runClusterChaos } from "./cluster.ts";
import { runIntakeChaos } from "./intake.ts";
import { runSyncChaos } from "./sync.ts";

const usage = `expected one of
  scripts/chaos sync [--cuts N | --seed N] [--json] [--quick]     whole sites in memory, cut anywhere; --seed shows one of them
  scripts/chaos ble [--syncs N] [--json] [--quick]                the agent's real D-Bus path, visit after visit in one process
  scripts/chaos intake [--kills N] [--cuts N] [--json] [--quick]  the real agent under load, killed and cut from power; nothing acknowledged is lost
  scripts/chaos cluster [--json] [--quick]                        two agents and a clustered broker, whose nodes die one at a time
`;

async function main(args: readonly string[]): Promise<number> {
  const read = readArguments(args);
  const campaign = read === undefined ? undefined : campaignNamed(read.name);
  if (read === undefined || campaign === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  const { holds, counts, text } = await campaign(read.options);
  process.stdout.write(read.isJson ? `${JSON.stringify(counts)}\n` : text);
  return holds ? 0 : 1;
}

function campaignNamed(name: string): Campaign | undefined {
  if (name === "sync") return runSyncChaos;
  if (name === "intake") return runIntakeChaos;
  if (name === "cluster") return runClusterChaos;
  return name === "ble" ? runBleChaos : undefined;
}

function readArguments(
  args: readonly string[],
): { readonly name: string; readonly isJson: boolean; readonly options: CampaignOptions } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        cuts: { type: "string" },
        syncs: { type: "string" },
        kills: { type: "string" },
        seed: { type: "string" },
      },
    });
    const [name, ...rest] = positionals;
    const [cuts, syncs, kills, seed] = [values.cuts, values.syncs, values.kills, values.seed].map(wholeNumber);
    if (name === undefined || rest.length > 0) return undefined;
    const show = (line: string): void => {
      if (process.stderr.isTTY) process.stderr.write(`\r${line.padEnd(78)}`);
    };
    return { name, isJson: values.json, options: { quick: values.quick, cuts, syncs, kills, seed, show } };
  } catch {
    return undefined;
  }
}

/** Undefined stays undefined; anything but a whole number from 1 on throws, which the caller takes for a wrong option. */
function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error("a whole number from 1 on");
  return value;
}

process.exitCode = await main(process.argv.slice(2));
