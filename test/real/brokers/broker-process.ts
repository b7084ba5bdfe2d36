/** A broker as its own process: started, watched until it listens, ended. What it said stays for whoever must say why it ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { waitFor } from "../agent-process.ts";

export interface BrokerProcess {
  /** `mqtt://127.0.0.1:PORT`, or `mqtts://` where the configuration says that it speaks TLS. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Everything it wrote so far. */
  readonly said: () => string;
  /** Sends the signal (SIGKILL unless said) and waits for the end; the same port is free again afterwards. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** For a configuration that was written anew. */
  hangUp(): void;
  /** Stopped in its tracks (SIGSTOP), as on a machine that hangs: its sockets stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
}

export interface BrokerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly isTls: boolean;
  /** More than an open port: what it must have said before anybody may count on it. */
  readonly isReady?: (said: string) => boolean;
}

/** Started, and its port takes connections. */
export async function startBroker(options: BrokerCommand): Promise<BrokerProcess> {
  const { command, args, port, isTls, isReady = () => true } = options;
  const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-SAID_LIMIT_CHARACTERS);
    });
  }
  // A program that is not there says so by this event, and the wait below says which one it was.
  child.on("error", (error) => {
    said += error.message;
  });
  await waitFor(`${command} to listen on ${port}`, async () => {
    if (hasEnded(child) || child.pid === undefined) throw new Error(`${command} ended: ${said}`);
    return isReady(said) && (await isOpen(port));
  });
  return {
    url: `${isTls ? "mqtts" : "mqtt"}://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    said: () => said,
    stop: async (signal = "SIGKILL") => {
      if (hasEnded(child)) return;
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill(signal);
      await ended;
    },
    hangUp: () => child.kill("SIGHUP"),
    freeze: () => child.kill("SIGSTOP"),
    thaw: () => child.kill("SIGCONT"),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const settle = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

const SAID_LIMIT_CHARACTERS = 200_000;
