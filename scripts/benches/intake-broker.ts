/**
 * Run as a process of its own by `intake.ts`: the agent's broker and intake over the store that is asked for, and what only this side can
 * measure. `intake-broker.ts worker|per-message|per-turn DATABASE PORT DEVICES [CERTIFICATES]`; with the folder of a root it speaks TLS. Prints its port, then answers over the IPC channel.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { openAedesBroker } from "../../agent/broker/aedes-broker.ts";
import { Intake } from "../../agent/broker/intake.ts";
import { DeviceTable } from "../../agent/devices.ts";
import type { Clock } from "../../agent/ports/clock.ts";
import type { Log } from "../../agent/ports/log.ts";
import type { SiteBroker } from "../../agent/ports/site-broker.ts";
import type { Store } from "../../agent/ports/store.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { type DeviceId, monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { openBrokerSide } from "./bench-certificates.ts";
import { benchDevice, benchSite, siteDesired } from "./intake-devices.ts";
import { openSameThreadStore } from "./same-thread-store.ts";

/** Asked: round trips of a command and its answer, so many, each so long after the one before, in turn to the devices of these numbers. */
export interface RoundTripQuestion {
  readonly ask: "round-trips";
  readonly count: number;
  readonly everyMs: number;
  readonly devices: readonly number[];
  /** Before each command this device is given so large an order, whether it reads it or not. */
  readonly orders?: { readonly device: number; readonly bytes: number };
}

export interface RoundTripAnswer {
  /** By number: whom the broker counts as connected in the end. */
  readonly connected: readonly number[];
  readonly roundTripMs: readonly number[];
  /** Commands that nobody answered in the time that was left for them. */
  readonly unanswered: number;
  readonly loopLagMaxMs: number;
}

const [mode = "", path = "", port = "0", devices = "0", certificates] = process.argv.slice(2);

const clock: Clock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};
const silent: Log = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

const store = await openStore();
const table = new DeviceTable(store, "gateway-bench" as DeviceId);
const taken = await table.takeDesired("gateway-bench" as DeviceId, utf8(siteDesired(Number(devices))), clock.nowMs());
if (!taken.ok) throw new Error(`the site is not taken: ${JSON.stringify(taken.fault)}`);
const askedAtById = new Map<string, number>();
const answered: number[] = [];
let broker: SiteBroker | undefined;
const intake = new Intake({
  store,
  table,
  clock,
  log: silent,
  sendReceipt: (device, payload) => broker?.publish({ site: benchSite, device, channel: "receipt" }, payload),
  onStored: () => undefined,
  onWords: () => undefined,
  onUnlockResult: ({ id }) => {
    const askedAt = askedAtById.get(id);
    askedAtById.delete(id);
    if (askedAt !== undefined) answered.push(performance.now() - askedAt);
  },
});
const secured = certificates === undefined ? {} : await openBrokerSide(certificates);
broker = await openAedesBroker({ site: benchSite, port: Number(port), ...secured }, intake);
const lag = monitorEventLoopDelay({ resolution: 2 });
process.on("message", (question: RoundTripQuestion) => {
  measureRoundTrips(question).then(
    (answer) => process.send?.(answer),
    () => process.exit(9),
  );
});
process.stdout.write(`${broker.port}\n`);

function openStore(): Promise<Store> {
  if (mode === "worker") return openSqliteStore(path, () => process.exit(9));
  return Promise.resolve(openSameThreadStore(path, mode === "per-message" ? "per-message" : "per-turn"));
}

async function measureRoundTrips({
  count,
  everyMs,
  devices: asked,
  orders,
}: RoundTripQuestion): Promise<RoundTripAnswer> {
  answered.length = 0;
  askedAtById.clear();
  lag.reset();
  lag.enable();
  const startedAt = performance.now();
  for (let index = 0; index < count; index++) {
    // When it is due, and not when a loop that was held up comes to it: who waits at a door has been waiting since then.
    const dueAt = startedAt + (index + 1) * everyMs;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (orders !== undefined) {
      const device = benchDevice(orders.device);
      broker?.publish({ site: benchSite, device, channel: "desired" }, `{"order":"${"x".repeat(orders.bytes)}"}`);
    }
    const id = (index + 1).toString(16).padStart(32, "0");
    const device = benchDevice(asked[index % asked.length] ?? 0);
    // A timer may also fire a little early.
    askedAtById.set(id, Math.min(dueAt, performance.now()));
    broker?.publish({ site: benchSite, device, channel: "command", name: "unlock" }, id);
  }
  const giveUpAt = performance.now() + ANSWER_LIMIT_MS;
  while (askedAtById.size > 0 && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 5));
  lag.disable();
  const there = new Set(broker?.connected());
  const all = Array.from({ length: Number(devices) }, (_, index) => index);
  return {
    connected: all.filter((index) => there.has(benchDevice(index))),
    roundTripMs: [...answered],
    unanswered: askedAtById.size,
    loopLagMaxMs: lag.max / 1e6,
  };
}

const ANSWER_LIMIT_MS = 10_000;
