/** `intake-broker.ts` as a process that is asked, and killed when it has answered. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RoundTripAnswer, RoundTripQuestion } from "./intake-broker.ts";

/** Where commits are made: in the agent's own thread, or on the event loop for each message or for each turn of it. */
export type StoreMode = "worker" | "per-message" | "per-turn";

export class BrokerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(
    folder: string,
    mode: StoreMode,
    devices: number,
    extra: NodeJS.ProcessEnv,
    { port = 0, certificates }: { readonly port?: number; readonly certificates?: string | undefined } = {},
  ): Promise<BrokerProcess> {
    made += 1;
    const secured = certificates === undefined ? [] : [certificates];
    const args = [mode, join(folder, `${made}.db`), String(port), String(devices), ...secured];
    const child = spawn(process.execPath, [BROKER, ...args], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
      env: { ...process.env, ...extra },
    });
    running.add(child);
    child.once("close", () => running.delete(child));
    const { stdout } = child;
    if (stdout === null) throw new Error("the broker has its pipes");
    return new BrokerProcess(child, Number(String(await once(stdout, "data"))));
  }

  async ask(question: RoundTripQuestion): Promise<RoundTripAnswer> {
    const answer = once(this.#child, "message");
    this.#child.send(question);
    const [message] = await answer;
    return message as RoundTripAnswer;
  }

  /** User and system time that it has used, all threads together; undefined on a system without /proc. */
  cpuMicroseconds(): number | undefined {
    try {
      const text = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8");
      // After the name, which may hold anything: utime and stime are the 14th and 15th field, in hundredths of a second.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) * 10_000;
    } catch {
      return undefined;
    }
  }

  async kill(): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

/** After a failure: a process that is not asked any more would keep this one waiting for it. */
export function killBrokers(): void {
  for (const child of running) child.kill("SIGKILL");
}

const running = new Set<ChildProcess>();
let made = 0;
const BROKER = fileURLToPath(new URL("./intake-broker.ts", import.meta.url));
