/**
 * A thousand devices lose their broker in the same instant, as when a gateway restarts: how soon all are back, and how many try in any one
 * second. The devices are lean, but their pause before a try is the emulated device's own.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { reconnectPauseMs } from "../../emulator/device/reconnect-pause.ts";
import { LeanClient } from "../lib/lean-mqtt.ts";
import { type DeviceCertificates, issueDevices } from "./bench-certificates.ts";
import { BrokerProcess, killBrokers } from "./broker-process.ts";
import { benchDevice, benchPassword } from "./intake-devices.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure, rounded } from "./result.ts";

/** There is no quick way: what is asked about is a thousand devices and half a minute. */
export async function benchGateway(_options: BenchOptions): Promise<BenchResult> {
  const devices = DEVICES;
  const folder = mkdtempSync(join(tmpdir(), "doorlink-gateway-"));
  try {
    const certificates = await issueDevices(folder, devices);
    const plain = stormFigures("reconnect", devices, await runStorm(folder, devices));
    const secured = stormFigures("reconnect-tls", devices, await runStorm(folder, devices, certificates));
    return benchResult(
      "gateway",
      [...plain, ...secured],
      [
        `${devices} devices of one site; each waits as SPEC B20 says`,
        "with TLS both ends show certificates of the site's root, and no session is resumed",
      ],
    );
  } finally {
    killBrokers();
    rmSync(folder, { recursive: true, force: true });
  }
}

function stormFigures(name: string, devices: number, storm: Storm): readonly Figure[] {
  const seconds = storm.lastBackMs / 1000;
  const share = mostInOneSecond(storm.attemptsMs) / storm.attemptsMs.length;
  return [
    {
      id: `${name}-most-attempts-in-one-second`,
      value: rounded(share * 100),
      unit: `% of ${storm.attemptsMs.length} attempts of ${devices} devices`,
      target: "value <= 10",
      holds: share <= 0.1,
    },
    {
      id: `${name}-all-back`,
      value: rounded(seconds),
      unit: `s after the broker was killed; it listened again after ${rounded(storm.awayMs / 1000)} s`,
      target: "value <= 30",
      holds: seconds <= 30,
    },
    { id: `${name}-not-let-in`, value: storm.failed, unit: "attempts" },
  ];
}

interface Storm {
  /** Of each attempt, since the broker was killed. */
  readonly attemptsMs: readonly number[];
  readonly failed: number;
  readonly lastBackMs: number;
  readonly awayMs: number;
}

async function runStorm(folder: string, devices: number, identities?: DeviceCertificates): Promise<Storm> {
  const port = await freePort();
  const where = { port, ...(identities === undefined ? {} : { certificates: folder }) };
  const first = await BrokerProcess.start(folder, "worker", devices, {}, where);
  const attempts: number[] = [];
  let killedAt = Number.POSITIVE_INFINITY;
  let failed = 0;
  let lastBackAt = 0;
  let back = 0;
  let inside = 0;
  let stopped = false;
  const open = new Set<LeanClient>();
  const live = async (index: number, failures: number): Promise<void> => {
    const lost = Promise.withResolvers<void>();
    const isComingBack = killedAt < performance.now();
    if (isComingBack) attempts.push(performance.now() - killedAt);
    const client = new LeanClient({
      port,
      clientId: benchDevice(index),
      password: benchPassword,
      ...(identities === undefined ? {} : { tls: identityOf(identities, index) }),
      onClose: () => lost.resolve(),
    });
    open.add(client);
    const isIn = (await client.connected) === 0;
    if (isIn) inside += 1;
    if (isIn && isComingBack) {
      back += 1;
      lastBackAt = performance.now();
    } else if (!isIn) failed += 1;
    if (!isIn) client.destroy();
    await lost.promise;
    open.delete(client);
    if (isIn) inside -= 1;
    if (stopped) return;
    const next = isIn ? 1 : failures + 1;
    await pause(reconnectPauseMs({ siteDevices: devices }, next, Math.random()));
    if (!stopped) await live(index, next);
  };
  // Before the broker goes they come in as fast as its gate lets them.
  const lives: Promise<void>[] = [];
  for (let index = 0; index < devices; index++) {
    lives.push(live(index, 0));
    if (index % COMING_AT_ONCE === COMING_AT_ONCE - 1) await pause(COMING_PAUSE_MS);
  }
  await until(() => inside === devices);
  await pause(COMING_PAUSE_MS);
  failed = 0;
  killedAt = performance.now();
  await first.kill();
  const second = await BrokerProcess.start(folder, "worker", devices, {}, where);
  const awayMs = performance.now() - killedAt;
  await until(() => back >= devices);
  stopped = true;
  for (const client of open) client.destroy();
  await second.kill();
  await Promise.all(lives);
  return { attemptsMs: attempts, failed, lastBackMs: lastBackAt - killedAt, awayMs };
}

function identityOf({ ca, key, certificates }: DeviceCertificates, index: number) {
  return { ca, key, cert: certificates[index] ?? "" };
}

/** Over every second that begins with an attempt. */
function mostInOneSecond(attemptsMs: readonly number[]): number {
  const sorted = [...attemptsMs].sort((left, right) => left - right);
  let most = 0;
  let first = 0;
  for (const [last, at] of sorted.entries()) {
    while (at - (sorted[first] ?? at) > 1_000) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

async function until(isSo: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > giveUpAt) throw new Error(`not all devices were back after ${PATIENCE_MS} ms`);
    await pause(20);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

const DEVICES = 1_000;
const COMING_AT_ONCE = 20;
const COMING_PAUSE_MS = 250;
const PATIENCE_MS = 60_000;
