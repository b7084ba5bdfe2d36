/**
 * `scripts/test-bluez`: runs the virtual machine (or takes a saved run) and judges what came out of it.
 * Exit codes: 0 everything holds, 1 something does not, 2 usage, 3 the machine could not be run.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Fact, factSchema } from "./facts.ts";
import { judge, type Verdict } from "./judge.ts";
import { parseLine } from "./lines.ts";
import type { MachineRun } from "./vm.ts";

const usage = `usage: scripts/test-bluez [--json] [--save FILE] [--judge FILE] [--console] [--processors 1|2] [--limit SECONDS]
       scripts/test-bluez --prepare
  --prepare      only install and build what the machine needs; exit code 3 and one line when it cannot be had here
  --json         print one JSON object on standard output at the end
  --save FILE    write the facts that the machine told, one JSON object a line
  --judge FILE   judge such a file instead of running the machine
  --console      show the machine's console at the end, also when everything holds
  --processors   of the machine (default 2)
  --limit        seconds after which the machine is stopped (default 170)`;

const startedAt = performance.now();
process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  if (options.judge !== undefined) return tellVerdict(judgeFile(options.judge), options.json, {});
  const { kernel, root } = options;
  if (kernel === undefined || root === undefined) return 2;
  // A saved run is judged without the bundler that the machine needs.
  const { runMachine } = await import("./vm.ts");
  const lines: string[] = [];
  const run = await runMachine({
    kernel,
    root,
    processors: options.processors,
    limitSeconds: options.limitSeconds,
    onLine: (text) => {
      lines.push(text);
      say(progressOf(text));
    },
  });
  if (options.save !== undefined) writeFileSync(options.save, `${lines.join("\n")}\n`);
  return tellRun(run, lines, options);
}

function tellRun(run: MachineRun, lines: readonly string[], options: Options): number {
  const facts = readFacts(lines);
  const verdict = judge(facts.read);
  const objections = [...facts.objections, ...verdict.objections];
  if (run.end !== "powered-off") objections.unshift(`the machine was stopped: ${run.end}`);
  if (objections.length > 0 || options.console) process.stderr.write(`${run.console}\n`);
  const seconds = {
    pack: rounded(run.packMs / 1000),
    machine: rounded(run.runMs / 1000),
    whole: rounded((performance.now() - startedAt) / 1000),
  };
  const code = tellVerdict({ ...verdict, objections }, options.json, { seconds });
  return run.end === "not-started" || run.end === "interrupted" ? 3 : code;
}

function tellVerdict(verdict: Verdict, json: boolean, more: object): number {
  const holds = verdict.objections.length === 0;
  for (const objection of verdict.objections) say(`FAILS  ${objection}`);
  say(`scripts/test-bluez: ${holds ? "everything holds" : `${verdict.objections.length} do not hold`}`);
  if (json) process.stdout.write(`${JSON.stringify({ test: "bluez", holds, ...verdict, ...more })}\n`);
  return holds ? 0 : 1;
}

function judgeFile(path: string): Verdict {
  const facts = readFacts(readFileSync(path, "utf8").split("\n"));
  const verdict = judge(facts.read);
  return { ...verdict, objections: [...facts.objections, ...verdict.objections] };
}

function readFacts(lines: readonly string[]): {
  readonly read: readonly Fact[];
  readonly objections: readonly string[];
} {
  const read: Fact[] = [];
  const objections: string[] = [];
  for (const text of lines) {
    if (text.trim() === "") continue;
    const fact = factSchema.safeParse(parseLine(text.trim()));
    if (fact.success) read.push(fact.data);
    else objections.push(`not a fact: ${text.slice(0, 120)}`);
  }
  return { read, objections };
}

/** One short line for each fact, so that a terminal shows that something happens. */
function progressOf(text: string): string {
  const fact = factSchema.safeParse(parseLine(text.trim()));
  if (!fact.success) return text.slice(0, 200);
  const shown = Object.entries(fact.data).filter(
    ([, value]) =>
      typeof value === "number" || typeof value === "boolean" || (typeof value === "string" && value.length < 60),
  );
  return shown.map(([name, value]) => `${name} ${typeof value === "number" ? rounded(value) : value}`).join(", ");
}

interface Options {
  readonly json: boolean;
  readonly help: boolean;
  readonly console: boolean;
  readonly save: string | undefined;
  readonly judge: string | undefined;
  readonly kernel: string | undefined;
  readonly root: string | undefined;
  readonly processors: 1 | 2;
  readonly limitSeconds: number;
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        console: { type: "boolean", default: false },
        save: { type: "string" },
        judge: { type: "string" },
        kernel: { type: "string" },
        root: { type: "string" },
        processors: { type: "string", default: "2" },
        limit: { type: "string", default: "170" },
      },
    });
    const { json, help, console, save, judge: file, kernel, root } = values;
    const limitSeconds = Number(values.limit);
    const isUsable = ["1", "2"].includes(values.processors) && Number.isInteger(limitSeconds) && limitSeconds > 0;
    if (!isUsable) return undefined;
    const processors = values.processors === "1" ? 1 : 2;
    return { json, help, console, save, judge: file, kernel, root, processors, limitSeconds };
  } catch {
    // parseArgs throws for options it does not know; the usage says which there are.
    return undefined;
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Progress goes to standard error, so that standard output holds the JSON object alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
