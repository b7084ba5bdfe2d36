import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import { afterEach, beforeEach, expect, it } from "vitest";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MqttLink } from "../../../emulator/device/mqtt-link.ts";
import { realClock, type WorldClock } from "../../../emulator/world/clock.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";

const device = "panel-a" as DeviceId;

let folder: string;
let broker: Aedes;
let server: Server;
let connections = 0;
let link: MqttLink;
let journal: EventJournal;
let waits: number[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-receipts-"));
  connections = 0;
  waits = [];
  broker = await Aedes.createBroker();
  server = createServer((socket) => {
    connections += 1;
    broker.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  journal = new EventJournal(join(folder, "journal"));
  link = new MqttLink({
    url: `mqtt://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    site: "maple-court",
    device,
    password: null,
    journal,
    clock: hurriedClock(),
    jitter: () => 0,
    birth: () => ({ v: 1, device, model: "R29", bootCount: 1, firmware: null, hardware: null }),
    health: () => ({
      v: 1,
      device,
      battery: null,
      firmware: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: 1,
      bootCount: 1,
      lastSyncAt: null,
      at: 1_795_000_000,
    }),
    reported: () => undefined,
    onDesired: () => undefined,
    onUnlock: () => [],
    onChange: () => undefined,
  });
});

afterEach(async () => {
  await link.stop();
  await new Promise<void>((resolve) => broker.close(() => resolve()));
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

it("[B18] without a receipt sends again, each time later, and after each fourth time over a new connection", async () => {
  journal.append({ at: { unixSeconds: null, quality: "unset" }, kind: "boot" });
  link.start();
  await until(() => waits.length >= 10);
  expect(waits.slice(0, 10)).toEqual([3_000, 6_000, 12_000, 24_000, 48_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
  await until(() => connections >= 3);
  // A receipt that comes begins it all anew.
  const payload = JSON.stringify({ v: 1, device, through: 1, missing: [] });
  const topic = `dl/1/maple-court/${device}/receipt`;
  const say = (): void =>
    broker.publish({ cmd: "publish", topic, payload, qos: 1, dup: false, retain: false }, () => undefined);
  await until(() => {
    say();
    return journal.through === 1;
  });
  waits.length = 0;
  journal.append({ at: { unixSeconds: null, quality: "unset" }, kind: "boot" });
  link.notify("event");
  await until(() => waits.includes(6_000));
  expect(new Set(waits.slice(0, waits.indexOf(6_000)))).toEqual(new Set([3_000]));
});

/** Waits for receipts last a thousandth, and are written down; everything else lasts as long as it does. */
function hurriedClock(): WorldClock {
  return {
    ...realClock,
    after: (delayMs, callback) => {
      const isReceiptWait = delayMs >= 3_000 && delayMs !== HEALTH_EVERY_MS;
      if (isReceiptWait) waits.push(delayMs);
      return realClock.after(isReceiptWait ? delayMs / 1_000 : delayMs, callback);
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error("did not come in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const HEALTH_EVERY_MS = 30_000;
