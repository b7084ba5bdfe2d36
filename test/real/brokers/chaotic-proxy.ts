/** A line to a broker that breaks, crawls and swallows: a TCP proxy, between a broker and everybody else. */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { SeededRandom } from "../../../emulator/world/random.ts";

export interface Weather {
  /** Every connection is cut after at most so many bytes of either direction, in the middle of whatever it carries. */
  readonly cutWithinBytes?: number;
  /** Bytes a second of each connection and direction. */
  readonly bytesPerSecond?: number;
  /** Connections stay open and nothing passes. */
  readonly isBlackHole?: boolean;
  /** Nobody gets through to begin with. */
  readonly isClosed?: boolean;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  bytesLeft: number;
}

export class ChaoticProxy {
  readonly port: number;
  /** How many connections it cut in the middle of something. */
  cuts = 0;
  readonly #server: Server;
  readonly #targetPort: () => number;
  readonly #random: SeededRandom;
  readonly #pairs = new Set<Pair>();
  #weather: Weather = {};

  private constructor(server: Server, port: number, targetPort: () => number, random: SeededRandom) {
    this.#server = server;
    this.port = port;
    this.#targetPort = targetPort;
    this.#random = random;
    server.on("connection", (near) => this.#connect(near));
  }

  static async open(targetPort: () => number, random: SeededRandom): Promise<ChaoticProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return new ChaoticProxy(server, port, targetPort, random);
  }

  /** For the connections that are there and those that come. */
  become(weather: Weather): void {
    this.#weather = weather;
    for (const pair of this.#pairs) {
      pair.bytesLeft = this.#bytesLeft();
      if (weather.isClosed === true) cut(pair);
      else if (weather.isBlackHole !== true) wake(pair);
    }
  }

  cutAll(): void {
    for (const pair of this.#pairs) cut(pair);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cutAll();
    await closed;
  }

  #connect(near: Socket): void {
    const far = connect(this.#targetPort(), "127.0.0.1");
    const pair = { near, far, bytesLeft: this.#bytesLeft() };
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      // Whatever ends one end ends the other; why does not matter here.
      from.on("error", () => cut(pair));
      from.on("close", () => {
        cut(pair);
        this.#pairs.delete(pair);
      });
      from.on("data", (chunk: Buffer) => this.#pass(pair, from, to, chunk));
    }
    if (this.#weather.isClosed === true) cut(pair);
  }

  #pass(pair: Pair, from: Socket, to: Socket, chunk: Buffer): void {
    const { bytesPerSecond, isBlackHole } = this.#weather;
    if (isBlackHole === true) {
      // What is held back comes when the weather is better.
      from.pause();
      from.unshift(chunk);
      return;
    }
    const passed = chunk.subarray(0, pair.bytesLeft);
    pair.bytesLeft -= passed.length;
    to.write(passed);
    if (passed.length < chunk.length) {
      this.cuts += 1;
      cut(pair);
    } else if (bytesPerSecond !== undefined) {
      from.pause();
      setTimeout(() => from.resume(), (passed.length / bytesPerSecond) * 1000);
    }
  }

  #bytesLeft(): number {
    const { cutWithinBytes } = this.#weather;
    return cutWithinBytes === undefined ? Number.POSITIVE_INFINITY : 1 + this.#random.integer(cutWithinBytes);
  }
}

function cut({ near, far }: Pair): void {
  near.destroy();
  far.destroy();
}

function wake({ near, far }: Pair): void {
  near.resume();
  far.resume();
}
