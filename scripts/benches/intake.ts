/**
 * Durable intake: events a second from real sockets to a commit that survives a power cut, with PUBACK after it, beside the disk's own
 * sync rate and beside a commit for each message; then the round trip of a command while events come in on a slow disk, and what a
 * frozen device costs the others.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { buildDiskShim, slowDiskEnvironment } from "../lib/disk-shim.ts";
import { LeanClient } from "../lib/lean-mqtt.ts";
import { BrokerProcess, killBrokers, type StoreMode } from "./broker-process.ts";
import type { RoundTripAnswer } from "./intake-broker.ts";
import { benchDevice, benchPassword, benchSite, eventMessage } from "./intake-devices.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure, median, rounded } from "./result.ts";

export async function benchIntake({ quick }: BenchOptions): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), "doorlink-intake-"));
  try {
    const library = buildDiskShim(folder);
    const figures = [...(await rateFigures(folder, quick))];
    if (library !== undefined) {
      const slow = slowDiskEnvironment(library, SLOW_SYNC_MS);
      figures.push(...(await slowRateFigures(folder, slow, quick)), ...(await roundTripFigures(folder, slow, quick)));
    }
    figures.push(...(await frozenFigures(folder, quick)));
    const aside = library === undefined ? ["no C compiler here: nothing is said about a slow disk"] : [];
    return benchResult("intake", figures, [...assumptions, ...aside]);
  } finally {
    killBrokers();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function rateFigures(folder: string, quick: boolean): Promise<readonly Figure[]> {
  const rounds = quick ? 1 : 5;
  const seconds = quick ? 1 : 3;
  const measured: {
    readonly appended: number;
    readonly overwritten: number;
    readonly worker: Rate;
    readonly perMessage: Rate;
  }[] = [];
  for (let round = 0; round < rounds; round++) {
    const syncs = syncsASecond(join(folder, `raw-${round}`), quick ? 0.4 : 2);
    const worker = await eventsASecond(folder, "worker", seconds);
    measured.push({ ...syncs, worker, perMessage: await eventsASecond(folder, "per-message", seconds) });
  }
  const of = (pick: (one: (typeof measured)[number]) => number): number => median(measured.map(pick));
  const value = Math.round(of(({ worker }) => worker.rate));
  const beside = (id: string, anchor: string, pick: (one: (typeof measured)[number]) => number) => ({
    id,
    value,
    unit: "events/s",
    anchor: { name: anchor, value: Math.round(of(pick)) },
    // Of each round by itself: between two of them a disk may become ten times as fast.
    ratio: of((one) => one.worker.rate / pick(one)),
  });
  return [
    judged(
      beside("durable-beside-sync-rate", "appended and synced/s", ({ appended }) => appended),
      20,
      quick,
    ),
    judged(
      beside("durable-beside-per-message", "a commit each/s", ({ perMessage }) => perMessage.rate),
      8,
      quick,
    ),
    rounded3(beside("durable-beside-overwriting", "overwritten and synced/s", ({ overwritten }) => overwritten)),
    {
      id: "durable-cpu",
      value: rounded(of(({ worker }) => worker.cpuMicros)),
      unit: "us of CPU an event, broker and store",
      anchor: { name: "a commit each, us", value: rounded(of(({ perMessage }) => perMessage.cpuMicros)) },
      ratio: rounded(of(({ worker, perMessage }) => worker.cpuMicros / perMessage.cpuMicros)),
    },
  ];
}

async function slowRateFigures(folder: string, slow: NodeJS.ProcessEnv, quick: boolean): Promise<readonly Figure[]> {
  const seconds = quick ? 1 : 4;
  const { rate: worker } = await eventsASecond(folder, "worker", seconds, slow);
  const { rate: perMessage } = await eventsASecond(folder, "per-message", quick ? 4 : 15, slow);
  const figure = {
    id: "durable-sync-20-ms",
    value: Math.round(worker),
    unit: "events/s",
    anchor: { name: "a commit each/s", value: rounded(perMessage) },
    ratio: worker / perMessage,
  };
  return [judged(figure, 350, quick)];
}

async function roundTripFigures(folder: string, slow: NodeJS.ProcessEnv, quick: boolean): Promise<readonly Figure[]> {
  const worker = await roundTrips(folder, "worker", slow, quick);
  const sameThread = await roundTrips(folder, "per-turn", slow, quick);
  const [ours, theirs] = [percentile(worker.roundTripMs, 0.99), percentile(sameThread.roundTripMs, 0.99)];
  return [
    {
      id: "command-round-trip-p99",
      value: rounded(ours),
      unit: "ms at 200 events/s and syncs of 20 ms",
      anchor: { name: "store on the same thread, ms", value: rounded(theirs) },
      ratio: rounded(ours / theirs),
      target: `ratio <= ${quick ? 0.5 : 0.1}`,
      holds: ours / theirs <= (quick ? 0.5 : 0.1) && worker.unanswered === 0,
    },
    { id: "command-round-trip-p50", value: rounded(percentile(worker.roundTripMs, 0.5)), unit: "ms" },
    {
      id: "loop-lag-max",
      value: rounded(worker.loopLagMaxMs),
      unit: "ms",
      anchor: { name: "store on the same thread, ms", value: rounded(sameThread.loopLagMaxMs) },
      ratio: rounded(worker.loopLagMaxMs / sameThread.loopLagMaxMs),
    },
  ];
}

function judged(figure: Figure & { readonly ratio: number }, least: number, quick: boolean): Figure {
  // One second on a machine that has other things to do says that it works, not how well: a tenth of the target is asked for then.
  const asked = quick ? Math.max(1, least / 10) : least;
  return { ...rounded3(figure), target: `ratio >= ${asked}`, holds: figure.ratio >= asked };
}

function rounded3(figure: Figure & { readonly ratio: number }): Figure {
  return { ...figure, ratio: rounded(figure.ratio) };
}

/**
 * 256 bytes written and synced, one after the other: what the disk can do for who waits for each. `appended`: at the end of a file that
 * grows, as a log does. `overwritten`: over what is there already, which a file system with a journal may do without writing into that.
 */
function syncsASecond(path: string, seconds: number): { readonly appended: number; readonly overwritten: number } {
  const file = openSync(path, "w");
  const bytes = Buffer.alloc(256, 7);
  const rate = (placeOf: (count: number) => number): number => {
    const startedAt = performance.now();
    let syncs = 0;
    while (performance.now() - startedAt < seconds * 500) {
      writeSync(file, bytes, 0, bytes.length, placeOf(syncs));
      fdatasyncSync(file);
      syncs += 1;
    }
    return syncs / ((performance.now() - startedAt) / 1000);
  };
  const appended = rate((count) => count * bytes.length);
  writeSync(file, Buffer.alloc(OVERWRITTEN_BYTES), 0, OVERWRITTEN_BYTES, 0);
  fdatasyncSync(file);
  const overwritten = rate((count) => (count * bytes.length) % OVERWRITTEN_BYTES);
  closeSync(file);
  return { appended, overwritten };
}

/** Events a second, and what one costs the whole process: the second swings less on a machine that has other things to do. */
interface Rate {
  readonly rate: number;
  readonly cpuMicros: number;
}

async function eventsASecond(
  folder: string,
  mode: StoreMode,
  seconds: number,
  extra: NodeJS.ProcessEnv = {},
): Promise<Rate> {
  // Who commits each message acknowledges at the end of a turn of the event loop, and a thousand syncs may take longer than is measured
  // here. What bounds it is the sync, however many wait.
  const inFlight = mode === "per-message" ? 1 : IN_FLIGHT;
  const broker = await BrokerProcess.start(folder, mode, DEVICES, extra);
  const load = await Load.start(broker.port, DEVICES, inFlight);
  await pause(WARM_UP_MS);
  const [before, startedAt, cpuBefore] = [load.acknowledged, performance.now(), broker.cpuMicroseconds()];
  await pause(seconds * 1000);
  const events = load.acknowledged - before;
  const rate = events / ((performance.now() - startedAt) / 1000);
  const cpuMicros = ((broker.cpuMicroseconds() ?? Number.NaN) - (cpuBefore ?? Number.NaN)) / events;
  load.stop();
  await broker.kill();
  return { rate, cpuMicros };
}

async function roundTrips(
  folder: string,
  mode: StoreMode,
  slow: NodeJS.ProcessEnv,
  quick: boolean,
): Promise<RoundTripAnswer> {
  const broker = await BrokerProcess.start(folder, mode, DEVICES, slow);
  const load = await Load.start(broker.port, DEVICES, 0);
  load.tick(EVENTS_A_SECOND);
  await pause(WARM_UP_MS);
  const answer = await broker.ask({
    ask: "round-trips",
    count: quick ? 50 : 500,
    everyMs: 13,
    devices: numbers(DEVICES),
  });
  load.stop();
  await broker.kill();
  return answer;
}

/** One device reads no more and is given orders all the while, until its socket is full; the commands of all others are timed. */
async function frozenFigures(folder: string, quick: boolean): Promise<readonly Figure[]> {
  const broker = await BrokerProcess.start(folder, "worker", DEVICES, {});
  const load = await Load.start(broker.port, DEVICES, 0);
  load.tick(EVENTS_A_SECOND);
  await pause(WARM_UP_MS);
  load.clients[0]?.freeze();
  const answer = await broker.ask({
    ask: "round-trips",
    count: quick ? 400 : 1_000,
    everyMs: 10,
    devices: numbers(DEVICES).slice(1),
    orders: { device: 0, bytes: ORDER_BYTES },
  });
  const wasGivenUp = !answer.connected.includes(0);
  load.stop();
  await broker.kill();
  const late = answer.roundTripMs.filter((ms) => ms > FROZEN_DELAY_MS).length + answer.unanswered;
  return [
    {
      id: "frozen-device-delays-others-beyond-2-s",
      value: late,
      unit: `of ${answer.roundTripMs.length} commands to others`,
      target: "value <= 0, and the frozen one was given up",
      holds: late === 0 && wasGivenUp,
    },
    { id: "frozen-device-longest-delay", value: rounded(Math.max(...answer.roundTripMs)), unit: "ms" },
  ];
}

/** Devices that each keep so many messages under way, and answer every command at once. */
class Load {
  readonly clients: readonly LeanClient[];
  acknowledged = 0;
  readonly #inFlight: number;
  readonly #sequences: number[];
  readonly #ids: number[];
  #stopped = false;
  #cancelTick: () => void = () => undefined;

  private constructor(port: number, devices: number, inFlight: number) {
    this.#inFlight = inFlight;
    this.#sequences = numbers(devices).map(() => 1);
    this.#ids = numbers(devices).map(() => 1);
    this.clients = numbers(devices).map(
      (index) =>
        new LeanClient({
          port,
          clientId: benchDevice(index),
          password: benchPassword,
          onPuback: () => this.#acknowledge(index),
          onPublish: (topic, payload) => {
            if (topic.endsWith("/command/unlock")) this.#answer(index, payload.toString("latin1"));
          },
        }),
    );
  }

  static async start(port: number, devices: number, inFlight: number): Promise<Load> {
    const load = new Load(port, devices, inFlight);
    const codes = await Promise.all(load.clients.map(({ connected }) => connected));
    if (codes.some((code) => code !== 0)) throw new Error("a device was not let in");
    for (const [index, client] of load.clients.entries()) {
      const own = `dl/1/${benchSite}/${benchDevice(index)}`;
      client.subscribe(1, [`${own}/receipt`, `${own}/desired`, `${own}/command/+`]);
      for (let count = 0; count < inFlight; count++) load.sayAs(index);
    }
    return load;
  }

  /** So many events a second, from one device after the other. */
  tick(eventsASecond: number): void {
    let next = 0;
    const timer = setInterval(() => {
      this.sayAs(next);
      next = (next + 1) % this.clients.length;
    }, 1000 / eventsASecond);
    this.#cancelTick = () => clearInterval(timer);
  }

  sayAs(index: number): void {
    const device = benchDevice(index);
    const sequence = this.#sequences[index] ?? 1;
    this.#sequences[index] = sequence + 1;
    this.clients[index]?.publish(
      this.#nextId(index),
      `dl/1/${benchSite}/${device}/event`,
      eventMessage(device, sequence),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTick();
    for (const client of this.clients) client.destroy();
  }

  #acknowledge(index: number): void {
    this.acknowledged += 1;
    if (!this.#stopped && this.#inFlight > 0) this.sayAs(index);
  }

  #answer(index: number, id: string): void {
    const device = benchDevice(index);
    const result = `{"v":1,"id":"${id}","device":"${device}","state":"done"}`;
    this.clients[index]?.publish(this.#nextId(index), `dl/1/${benchSite}/${device}/result/unlock`, result);
  }

  #nextId(index: number): number {
    const id = ((this.#ids[index] ?? 1) % 65_535) + 1;
    this.#ids[index] = id;
    return id;
  }
}

function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const assumptions = [
  "events: messages of one event of about 285 bytes, each parsed and judged by the intake, committed with synchronous=FULL, acknowledged after that, and receipted; 100 devices with 10 under way, and with 1 where each message is a commit of its own",
  "the devices are a process of their own on the same machine, so that broker, store and devices share its cores",
  "the disk's own sync rate is that of 256 bytes appended and synced, as reference/mqtt.md measured it; some file systems overwrite and sync much faster, which is shown beside it",
  "slow disk: each fsync and fdatasync takes 20 ms longer",
];
const DEVICES = 100;
const IN_FLIGHT = 10;
const WARM_UP_MS = 500;
const OVERWRITTEN_BYTES = 1024 * 1024;
const SLOW_SYNC_MS = 20;
const EVENTS_A_SECOND = 200;
/** A policy of some hundred credentials. */
const ORDER_BYTES = 64 * 1024;
/** The broker gives a frozen device up after 2 s; its timer may fire a little late. */
const FROZEN_DELAY_MS = 2_100;
