import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { z } from "zod";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MqttLink } from "../../../emulator/device/mqtt-link.ts";
import { realClock } from "../../../emulator/world/clock.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { unlockResultSchema } from "../../../protocol/wire/messages/command.ts";
import { eventBatchSchema } from "../../../protocol/wire/messages/event.ts";
import { receiptSchema } from "../../../protocol/wire/messages/receipt.ts";
import { reportedSchema } from "../../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../../protocol/wire/messages/state.ts";
import { formatPayload, parsePayload } from "../../../protocol/wire/payload.ts";

const device = "gate-panel" as DeviceId;
const at = { unixSeconds: 1_795_000_000, quality: "set" as const };

/** A broker in this process that notes what the device says, and can be cut. */
class TestBroker {
  readonly broker: Aedes;
  readonly sequences: number[] = [];
  readonly online: boolean[] = [];
  readonly results: object[] = [];
  readonly reportedVersions: number[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  port = 0;

  constructor(broker: Aedes) {
    this.broker = broker;
    broker.on("publish", (packet) => {
      const payload = new Uint8Array(Buffer.from(packet.payload));
      if (packet.topic.endsWith("/event")) {
        const batch = parsePayload(eventBatchSchema, payload);
        if (batch.ok) this.sequences.push(...batch.value.events.map(({ sequence }) => sequence));
      } else if (packet.topic.endsWith("/state")) {
        const state = parsePayload(stateSchema, payload);
        if (state.ok) this.online.push(state.value.online);
      } else if (packet.topic.endsWith("/reported")) {
        const reported = parsePayload(reportedSchema, payload);
        if (reported.ok) this.reportedVersions.push(reported.value.policy.version);
      } else if (packet.topic.endsWith("/result/unlock")) {
        expect(packet.retain).toBe(false);
        const result = parsePayload(unlockResultSchema, payload);
        if (result.ok) this.results.push(result.value);
      }
    });
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      this.broker.handle(socket);
    });
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
  }

  cut(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  desire(document: object): void {
    const topic = `dl/1/maple-court/${device}/desired`;
    const payload = JSON.stringify(document);
    this.broker.publish({ cmd: "publish", topic, payload, qos: 1, dup: false, retain: true }, () => undefined);
  }

  command(payload: string, retain = false): void {
    const topic = `dl/1/maple-court/${device}/command/unlock`;
    this.broker.publish({ cmd: "publish", topic, payload, qos: 0, dup: false, retain }, () => undefined);
  }

  receipt(through: number | null, missing: { from: number; to: number }[] = []): void {
    const payload = formatPayload(receiptSchema, { v: 1, device, through, missing });
    this.broker.publish(
      { cmd: "publish", topic: `dl/1/maple-court/${device}/receipt`, payload, qos: 1, dup: false, retain: false },
      () => undefined,
    );
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come in time`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let folder: string;
let broker: TestBroker;
let link: MqttLink;
let journal: EventJournal;
let unlocks: string[];
let desired: number[];
let said: z.input<typeof reportedSchema> | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-link-"));
  unlocks = [];
  desired = [];
  said = undefined;
  broker = new TestBroker(await Aedes.createBroker());
  await broker.listen();
  journal = new EventJournal(join(folder, "journal"));
  link = new MqttLink({
    url: `mqtt://127.0.0.1:${broker.port}`,
    site: "maple-court",
    device,
    password: "secret",
    journal,
    clock: realClock,
    jitter: () => 0,
    birth: () => ({ v: 1, device, model: "R29", bootCount: journal.boot, firmware: "29.30.10.712", hardware: null }),
    health: () => ({
      v: 1,
      device,
      battery: null,
      firmware: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: 1,
      bootCount: journal.boot,
      lastSyncAt: null,
      at: at.unixSeconds,
    }),
    reported: () => said,
    onDesired: (message) => {
      desired.push(message.revision);
      said = reportedOf(message.policy.version);
    },
    onUnlock: (message) => {
      unlocks.push(message.id);
      return [{ state: "accepted" }, { state: "executing" }, { state: "done" }];
    },
    onChange: () => undefined,
  });
});

afterEach(async () => {
  await link.stop();
  broker.cut();
  await new Promise<void>((resolve) => broker.broker.close(() => resolve()));
  rmSync(folder, { recursive: true, force: true });
});

describe("a device on the site's broker", () => {
  it("says what it logged before it was connected, and keeps it until a receipt", async () => {
    for (let count = 0; count < 70; count++) journal.append({ at, kind: "access-granted" });
    link.start();
    await until("all events", () => broker.sequences.length === 70);
    expect(broker.sequences).toEqual(Array.from({ length: 70 }, (_, index) => index + 1));
    broker.receipt(70);
    await until("the receipt", () => journal.through === 70);
    journal.append({ at, kind: "access-denied" });
    link.notify("event");
    await until("the next event", () => broker.sequences.length === 71);
    expect(broker.sequences.at(-1)).toBe(71);
  });

  it("after a broken link says again, under the same names, what no receipt covered", async () => {
    for (let count = 0; count < 5; count++) journal.append({ at, kind: "access-granted" });
    link.start();
    await until("all events", () => broker.sequences.length === 5);
    broker.receipt(2);
    await until("the receipt", () => journal.through === 2);
    broker.cut();
    await until("the break", () => !link.connected);
    journal.append({ at, kind: "access-denied" });
    link.notify("event");
    await broker.listen();
    await until("the events again", () => broker.sequences.length === 9);
    expect(broker.sequences.slice(5)).toEqual([3, 4, 5, 6]);
  });

  it("says what a receipt asks for, and nothing for a receipt that is none", async () => {
    for (let count = 0; count < 4; count++) journal.append({ at, kind: "access-granted" });
    link.start();
    await until("all events", () => broker.sequences.length === 4);
    broker.broker.publish(
      { cmd: "publish", topic: `dl/1/maple-court/${device}/receipt`, payload: "{", qos: 1, dup: false, retain: false },
      () => undefined,
    );
    broker.receipt(1, [{ from: 2, to: 3 }]);
    await until("what was missing", () => broker.sequences.length === 6);
    expect(broker.sequences.slice(4)).toEqual([2, 3]);
    expect(journal.through).toBe(1);
  });

  it("[V8] answers a command with each state in order, under the command's id", async () => {
    link.start();
    await until("online", () => broker.online.length === 1);
    broker.command(command());
    await until("the results", () => broker.results.length === 3);
    expect(unlocks).toEqual([id]);
    expect(broker.results).toEqual(["accepted", "executing", "done"].map((state) => ({ v: 1, id, device, state })));
  });

  it("[V9] refuses a command that a broker kept, without looking into it", async () => {
    broker.command(command(), true);
    link.start();
    await until("the result", () => broker.results.length === 1);
    expect(broker.results).toEqual([{ v: 1, id, device, state: "refused", reason: "retained" }]);
    expect(unlocks).toEqual([]);
  });

  it("[V4] what is no command is refused if it has an id, and nothing if it has none", async () => {
    link.start();
    await until("online", () => broker.online.length === 1);
    for (const nothing of ["", "open", "{}", JSON.stringify({ v: 1, id: "master" }), "x".repeat(5_000)])
      broker.command(nothing);
    broker.command(command({ device: "garage-panel" }));
    broker.command(command({ command: { bytes: "AAAA" } }));
    await until("the results", () => broker.results.length === 2);
    const refused = { v: 1, id, device, state: "refused" };
    expect(broker.results).toEqual([
      { ...refused, reason: "wrong-device" },
      { ...refused, reason: "malformed-command" },
    ]);
    expect(unlocks).toEqual([]);
  });

  it("row 131: is online while connected, and offline by its last will or its goodbye", async () => {
    link.start();
    await until("online", () => broker.online.length === 1);
    await link.stop();
    await until("the goodbye", () => broker.online.length === 2);
    expect(broker.online).toEqual([true, false]);
  });
});

const id = "ab".repeat(16);

function command(change: object = {}): string {
  const signed = { bytes: "AAAA", signature: bytesToBase64(new Uint8Array(64)) };
  return JSON.stringify({ v: 1, id, device, via: "gateway-main", command: signed, ...change });
}

/** Shaped as the wire wants it; whether the device believes it is another test's business. */
function desiredOf(revision: number, named = device): object {
  const blob = { bytes: bytesToBase64(new Uint8Array(40)), signature: bytesToBase64(new Uint8Array(64)) };
  const policy = { epoch: 1, version: revision };
  const bundle = bytesToBase64(new Uint8Array(64));
  return { v: 1, kind: "device", revision, device: named, policy, manifest: blob, bundle, revocations: [] };
}

function reportedOf(version: number): z.input<typeof reportedSchema> {
  const [report, mac] = [bytesToBase64(new Uint8Array(80)), bytesToBase64(new Uint8Array(32))];
  const policy = { epoch: 1, version };
  return { v: 1, device, policy, clock: "set", logNext: 1, report, mac, at: at.unixSeconds };
}

describe("what a networked device is to hold", () => {
  it("[M15] hears its own order, also one that waited while it was away, and says after each what it holds", async () => {
    said = reportedOf(0);
    broker.desire(desiredOf(3));
    link.start();
    await until("the order that waited", () => desired.includes(3));
    await until("what it holds then", () => broker.reportedVersions.includes(3));
    expect(broker.reportedVersions[0]).toBe(0);
    broker.desire(desiredOf(4, "garage-panel" as DeviceId));
    broker.desire({ open: true });
    broker.desire(desiredOf(5));
    await until("the newer order", () => broker.reportedVersions.includes(5));
    expect(desired).toEqual([3, 5]);
    expect(unlocks).toEqual([]);
  });
});
