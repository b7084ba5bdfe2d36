/**
 * A process of its own for `scripts/bench store`, so that what it wrote and how much it grew are its own. `write FOLDER TOGETHER DEVICES COUNT`
 * appends COUNT events, TOGETHER in one commit, of so many devices by turns; `fill FOLDER COUNT` makes a backlog; `start FOLDER` opens
 * what is there and begins to send it. Each ends with one JSON line.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "../../agent/ports/store.ts";
import { nextBootCount } from "../../agent/store/boot-count.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { Outbox } from "../../agent/upstream/outbox.ts";
import { type DeviceId, monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { benchDevice, benchEvents } from "./store-events.ts";

const FILL_AT_ONCE = 2_000;
const [mode = "", folder = "", ...numbers] = process.argv.slice(2);
const [first = 0, second = 0, third = 0] = numbers.map(Number);

if (mode === "write") await write(first, second, third);
else if (mode === "fill") await fill(first);
else await start();

async function write(together: number, devices: number, count: number): Promise<void> {
  const store = await open();
  const before = writtenBytes();
  const startedMs = performance.now();
  const each = together / devices;
  for (let done = 0; done < count; done += together) {
    const from = (done / together) * each + 1;
    const batches = Array.from({ length: devices }, (_, index) => append(store, benchDevice(index), from, each));
    await Promise.all(batches);
  }
  const elapsedMs = performance.now() - startedMs;
  // Closing moves the write-ahead log into the database, as it would be moved sooner or later.
  await store.close();
  say({ bytes: (writtenBytes() - before) / count, eventsPerSecond: (count / elapsedMs) * 1000 });
}

async function fill(count: number): Promise<void> {
  const store = await open();
  const devices = 100;
  const each = count / devices;
  for (let device = 0; device < devices; device++) {
    for (let done = 0; done < each; done += FILL_AT_ONCE) {
      await append(store, benchDevice(device), done + 1, Math.min(FILL_AT_ONCE, each - done));
    }
  }
  await store.close();
  say({ events: count });
}

async function start(): Promise<void> {
  // What every start loads, whatever waits: so that growth is what the backlog adds.
  const { default: mqtt } = await import("mqtt");
  if (typeof mqtt.connect !== "function") throw new Error("mqtt.js is there");
  const startedMs = performance.now();
  const store = await open();
  await nextBootCount(store, "gateway-main" as DeviceId, join(folder, "boot-count"));
  const openMs = performance.now() - startedMs;
  let messages = 0;
  const outbox = new Outbox({
    store,
    clock: {
      nowMs: () => unixMs(Date.now()),
      monotonicMs: () => monotonicMs(performance.now()),
      after: (delayMs, action) => {
        const timer = setTimeout(action, delayMs);
        return () => clearTimeout(timer);
      },
    },
    onError: (error) => {
      throw error;
    },
  });
  await outbox.start(async () => {
    messages += 1;
  });
  const waiting = (await store.outbox()).reduce((sum, { depth }) => sum + depth, 0);
  const readyMs = performance.now() - startedMs;
  // Until the window is full, which is all that is ever read ahead.
  const deadline = performance.now() + 2_000;
  while (waiting > 0 && messages < 16 && performance.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
  const residentBytes = process.memoryUsage.rss();
  outbox.stop();
  await store.close();
  say({ openMs, readyMs, residentBytes, waiting, messages });
}

function open(): Promise<Store> {
  return openSqliteStore(join(folder, "agent.db"), (error) => {
    throw error;
  });
}

async function append(store: Store, device: DeviceId, sequence: number, count: number): Promise<void> {
  await store.appendEvents({ device, receivedAtMs: unixMs(Date.now()), events: benchEvents(sequence, count) });
}

/** What this process made the disk write; https://man7.org/linux/man-pages/man5/proc_pid_io.5.html */
function writtenBytes(): number {
  return Number(/write_bytes: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1] ?? Number.NaN);
}

function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
