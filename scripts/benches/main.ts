/** `scripts/bench NAME [--json] [--quick]`: exit code 0 when every target holds, 1 when one falls short, 2 for another name. */
import { parseArgs } from "node:util";
import { type BenchOptions, type BenchResult, benchText } from "./result.ts";

type Bench = (options: BenchOptions) => Promise<BenchResult>;

const benchByName: ReadonlyMap<string, () => Promise<Bench>> = new Map([
  ["idle", async () => (await import("./idle.ts")).benchIdle],
  ["decide", async () => (await import("./decide.ts")).benchDecide],
  ["sticker", async () => (await import("./sticker.ts")).benchSticker],
  ...(["read", "print", "grade", "size", "identity"] as const).map(
    (part) =>
      [
        `sticker-${part}`,
        async () => {
          const { benchSticker } = await import("./sticker.ts");
          return (options: BenchOptions) => benchSticker(options, [part]);
        },
      ] as const,
  ),
  ["upstream", async () => (await import("./upstream.ts")).benchUpstream],
  ["store", async () => (await import("./store.ts")).benchStore],
  ["sync", async () => (await import("./sync.ts")).benchSync],
  ["gateway", async () => (await import("./gateway.ts")).benchGateway],
  ["intake", async () => (await import("./intake.ts")).benchIntake],
]);

async function main(args: readonly string[]): Promise<number> {
  const usage = `expected scripts/bench NAME [--json] [--quick], NAME one of ${[...benchByName.keys()].join(", ")}\n`;
  const read = readArguments(args);
  const load = read === undefined ? undefined : benchByName.get(read.name);
  if (read === undefined || load === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  const bench = await load();
  const result = await bench({ quick: read.quick });
  process.stdout.write(read.json ? `${JSON.stringify(result)}\n` : benchText(result));
  return result.holds ? 0 : 1;
}

function readArguments(args: readonly string[]): { name: string; json: boolean; quick: boolean } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, quick: { type: "boolean", default: false } },
    });
    const [name, ...rest] = positionals;
    return name === undefined || rest.length > 0 ? undefined : { name, ...values };
  } catch {
    return undefined;
  }
}

process.exitCode = await main(process.argv.slice(2));
