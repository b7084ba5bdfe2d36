/**
 * `scripts/bench upstream`: how fast what had waited for a link goes up over a long round trip, beside mqtt.js' own replay of its offline store
 * over the same link in the same run; whether a stated rate is kept; and how long what happens now waits meanwhile.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import mqtt from "mqtt";
import type { Clock } from "../../agent/ports/clock.ts";
import type { Store } from "../../agent/ports/store.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { createMqttTransport } from "../../agent/upstream/mqtt-transport.ts";
import { Upstream } from "../../agent/upstream/upstream.ts";
import { type DeviceId, monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure, median, rounded } from "./result.ts";
import { benchDevice, benchEvents } from "./store-events.ts";

export async function benchUpstream({ quick }: BenchOptions): Promise<BenchResult> {
  const replay = await withCloud((cloud) => measureReplay(cloud, quick ? 5 : 40));
  const figures: Figure[] = [];
  for (const devices of quick ? [20] : [1, 20]) {
    const events = quick ? 20_000 : 200_000;
    const drained = await withCloud((cloud) =>
      measureDrain(cloud, { devices, events, perSecond: Number.POSITIVE_INFINITY }),
    );
    const ratio = drained.perSecond / replay;
    figures.push({
      id: `drain-${devices}-${devices === 1 ? "device" : "devices"}`,
      value: Math.round(drained.perSecond),
      unit: "events/s",
      anchor: { name: "mqtt.js' replay of its own store", value: rounded(replay) },
      ratio: Math.round(ratio),
      target: "ratio >= 1000",
      holds: ratio >= 1000 && drained.isWhole,
    });
    figures.push({
      id: `drain-${devices}-doubled`,
      value: drained.doubles,
      unit: "events sent twice",
      target: "value <= 0",
      holds: drained.doubles === 0,
    });
  }
  return benchResult(
    "upstream",
    [...figures, ...(await rateFigures(quick))],
    [
      `link: a proxy on loopback that delays each byte by ${ROUND_TRIP_MS / 2} ms either way and limits nothing else`,
      "the authority receipts each message when it has parsed it, and keeps it in memory",
    ],
  );
}

async function rateFigures(quick: boolean): Promise<readonly Figure[]> {
  const stated = 1_000;
  const events = stated * (quick ? 3 : 15);
  const free = await withCloud((cloud) => measureDrain(cloud, { devices: 1, events: 64, perSecond: stated, live: 20 }));
  const drained = await withCloud((cloud) => measureDrain(cloud, { devices: 1, events, perSecond: stated, live: 20 }));
  const kept = drained.perSecond / stated;
  const [waits, alone] = [median(drained.liveMs), median(free.liveMs)];
  return [
    {
      id: "stated-rate",
      value: Math.round(drained.perSecond),
      unit: "events/s",
      anchor: { name: "backlogEventsPerSecond", value: stated },
      ratio: rounded(kept),
      // The first second's worth goes at once.
      target: "0.9 <= ratio <= 1.5",
      holds: kept >= 0.9 && kept <= 1.5,
    },
    {
      id: "live-during-drain",
      value: rounded(waits),
      unit: "ms from the disk to the authority, of the device whose backlog drains",
      anchor: { name: "with nothing waiting", value: rounded(alone) },
      ratio: rounded(waits / alone),
      target: "ratio <= 1.5",
      holds: waits / alone <= 1.5,
    },
  ];
}

/** Messages a second that mqtt.js sends of what was published while it was offline. */
async function measureReplay(cloud: Cloud, messages: number): Promise<number> {
  const client = mqtt.connect(cloud.url, { clientId: "replay", manualConnect: true, reconnectPeriod: 0, clean: false });
  const sent = Array.from({ length: messages }, (_, index) =>
    client.publishAsync("replayed", benchEvents(index + 1, 1)[0]?.body ?? "", { qos: 1 }),
  );
  const connected = new Promise<void>((resolve) =>
    client.on("packetreceive", ({ cmd }) => cmd === "connack" && resolve()),
  );
  client.connect();
  await connected;
  const startedMs = performance.now();
  await Promise.all(sent);
  const perSecond = messages / ((performance.now() - startedMs) / 1000);
  await client.endAsync(true);
  return perSecond;
}

interface DrainPlan {
  readonly devices: number;
  readonly events: number;
  readonly perSecond: number;
  /** Events that happen while the rest goes up. */
  readonly live?: number;
}

interface Drained {
  readonly perSecond: number;
  readonly isWhole: boolean;
  readonly doubles: number;
  readonly liveMs: readonly number[];
}

async function measureDrain(cloud: Cloud, plan: DrainPlan): Promise<Drained> {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-bench-upstream-"));
  const store = await openSqliteStore(join(folder, "agent.db"), failed);
  try {
    await fill(store, plan);
    return await drain(store, cloud, plan);
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

async function drain(
  store: Store,
  cloud: Cloud,
  { devices, events, perSecond, live = 0 }: DrainPlan,
): Promise<Drained> {
  const login = { url: cloud.url, site: "bench", gateway: "gateway-bench" as DeviceId, username: "gateway-bench" };
  const upstream = new Upstream({
    ...login,
    transport: createMqttTransport(login),
    store,
    clock,
    random: { bytes: (length) => new Uint8Array(randomBytes(length)), fraction: () => 0 },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    backoff: { firstMs: 10, capMs: 10 },
    backlogEventsPerSecond: () => perSecond,
    onDesired: async () => undefined,
    onUnlock: () => undefined,
    onStoreError: failed,
  });
  const running = upstream.run();
  await until(() => upstream.status().connected);
  const startedMs = performance.now();
  const happened: number[] = [];
  for (let index = 0; index < live; index++) {
    await new Promise((resolve) => setTimeout(resolve, LIVE_EVERY_MS));
    happened.push(Date.now());
    await appendLive(store, upstream, events / devices + index + 1);
  }
  await until(async () => (await store.outbox()).length === 0);
  const elapsedMs = performance.now() - startedMs;
  const heard = await cloud.ask();
  await upstream.close({ topic: { site: "bench", device: login.gateway, channel: "state" }, payload: "{}" });
  await running;
  const cameAt = new Map(heard.live);
  return {
    perSecond: events / (elapsedMs / 1000),
    isWhole: heard.events === events + live,
    doubles: heard.doubles,
    liveMs: happened.map((atMs, index) => (cameAt.get(events / devices + index + 1) ?? Number.NaN) - atMs),
  };
}

async function appendLive(store: Store, upstream: Upstream, sequence: number): Promise<void> {
  const said = { boot: 3, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "door" };
  const events = [{ boot: 3, sequence, body: JSON.stringify(said) }];
  await store.appendEvents({ device: benchDevice(0), receivedAtMs: unixMs(Date.now()), events });
  upstream.eventsStored(benchDevice(0), sequence, sequence);
}

async function fill(store: Store, { devices, events }: DrainPlan): Promise<void> {
  const each = events / devices;
  for (let device = 0; device < devices; device++) {
    for (let done = 0; done < each; done += 2_000) {
      const some = benchEvents(done + 1, Math.min(2_000, each - done));
      await store.appendEvents({ device: benchDevice(device), receivedAtMs: unixMs(Date.now()), events: some });
    }
  }
}

interface Heard {
  readonly events: number;
  readonly doubles: number;
  readonly live: readonly (readonly [number, number])[];
}

interface Cloud {
  readonly url: string;
  ask(): Promise<Heard>;
}

async function withCloud<Value>(work: (cloud: Cloud) => Promise<Value>): Promise<Value> {
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [cloudProgram, String(ROUND_TRIP_MS)]);
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const readLine = async (): Promise<string> => String((await lines.next()).value);
  const { port }: { port: number } = JSON.parse(await readLine());
  try {
    return await work({
      url: `mqtt://127.0.0.1:${port}`,
      ask: async () => {
        child.stdin.write("\n");
        return JSON.parse(await readLine());
      },
    });
  } finally {
    child.kill("SIGKILL");
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DRAIN_LIMIT_MS;
  while (performance.now() < deadline) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it took too long");
}

function failed(error: unknown): void {
  throw error;
}

const clock: Clock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

const cloudProgram = fileURLToPath(new URL("./upstream-cloud.ts", import.meta.url));
const ROUND_TRIP_MS = 150;
const LIVE_EVERY_MS = 50;
const DRAIN_LIMIT_MS = 180_000;
