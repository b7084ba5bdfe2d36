/**
 * Any bytes on the gateway's MQTT socket, with TLS and without: the connection that they came over may end, and nothing else happens. All the
 * while a well-behaved device is connected, and after every torment it is heard and acknowledged.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import mqtt, { type MqttClient } from "mqtt";
import { describe, expect, it } from "vitest";
import { openAedesBroker } from "../../../agent/broker/aedes-broker.ts";
import { defaultGateRules } from "../../../agent/broker/connect-gate.ts";
import { Intake } from "../../../agent/broker/intake.ts";
import { DeviceTable } from "../../../agent/devices.ts";
import type { SiteBroker } from "../../../agent/ports/site-broker.ts";
import { concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";
import { EnrolmentBench, otherPanelId, panelId } from "../../world/enrolment-bench.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, panelPassword, site } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

/** The throttle is another matter (SPEC B9): here everybody is to reach the parser. */
const openGate = {
  ...defaultGateRules,
  perSecond: 1e6,
  burst: 1e6,
  perAddressPerSecond: 1e6,
  perAddressBurst: 1e6,
  unknownLimit: 1e4,
  unknownPerAddressLimit: 1e4,
};

function text(value: string): Uint8Array {
  const bytes = utf8(value);
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
}

function packet(first: number, ...parts: Uint8Array[]): Uint8Array {
  const body = concatBytes(...parts);
  const length: number[] = [];
  for (let left = body.length; left > 0 || length.length === 0; left = Math.floor(left / 128)) length.push(left % 128);
  const continued = length.map((byte, index) => (index < length.length - 1 ? byte | 0x80 : byte));
  return concatBytes(Uint8Array.of(first, ...continued), body);
}

function connectPacket(id: string, password: string, will?: { readonly topic: string; readonly payload: string }) {
  const flags = 0xc2 | (will === undefined ? 0 : 0x2c);
  const head = concatBytes(text("MQTT"), Uint8Array.of(4, flags, 0, 20));
  const willParts = will === undefined ? [] : [text(will.topic), text(will.payload)];
  return packet(0x10, head, text(id), ...willParts, text(id), text(password));
}

const own = `dl/1/${site}/${otherPanelId}`;
const sound = connectPacket(otherPanelId, panelPassword);
const id = Uint8Array.of(0, 7);
/** Sound packets one by one, and a whole conversation. */
const packets = [
  packet(0x32, text(`${own}/event`), id, utf8(batchOf(otherPanelId, 1))),
  packet(0x34, text(`${own}/event`), id, utf8(batchOf(otherPanelId, 2))),
  packet(0x31, text(`${own}/state`), utf8(`{"v":1,"device":"${otherPanelId}","online":false,"heardAt":null}`)),
  packet(0x30, text(`${own}/health`), utf8("{}")),
  packet(0x82, id, text(`${own}/receipt`), Uint8Array.of(1), text("#"), Uint8Array.of(0)),
  packet(0xa2, id, text(`${own}/receipt`)),
  packet(0x40, id),
  packet(0x50, id),
  packet(0x62, id),
  packet(0x70, id),
  packet(0xc0),
  packet(0xe0),
];
const seeds = [
  ...packets,
  concatBytes(...packets),
  connectPacket(panelId, "guessed"),
  connectPacket(otherPanelId, panelPassword, { topic: `${own}/state`, payload: "{}" }),
  connectPacket(otherPanelId, panelPassword, { topic: `dl/1/${site}/${panelId}/event`, payload: "{}" }),
  connectPacket("__proto__", ""),
  packet(0x10, text("MQTT"), Uint8Array.of(5, 2, 0, 20, 0), text(otherPanelId)),
  packet(0x10, text("MQIsdp"), Uint8Array.of(3, 2, 0, 20), text(otherPanelId)),
  utf8("GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n\r\n"),
  Uint8Array.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3),
];

/** What one stranger does: whether it is let in first, what it says, in how many pieces, and whether it hangs up or is cut off. */
const torment = fc.record({
  letIn: fc.boolean(),
  bytes: almost(seeds),
  pieces: fc.integer({ min: 1, max: 4 }),
  hangsUp: fc.boolean(),
});

describe("any bytes on the broker's socket", () => {
  it(
    "[B4] [B5] end at most the connection that they came over, and a device beside it is heard and acknowledged all the while",
    async () => {
      const store = new MemoryStore();
      const logged: { level: string; text: string }[] = [];
      const table = new DeviceTable(store, gatewayId);
      const devices = [panel(), panel({ id: otherPanelId, model: "R29" })];
      await table.takeDesired(gatewayId, utf8(JSON.stringify(gatewayDesired({ devices }))), new SteppedClock().nowMs());
      let broker: SiteBroker | undefined;
      const intake = new Intake({
        store,
        table,
        clock: new SteppedClock(),
        log: memoryLog(logged),
        sendReceipt: (device, payload) => broker?.publish({ site, device, channel: "receipt" }, payload),
        onStored: () => undefined,
        onWords: () => undefined,
        onUnlockResult: () => undefined,
      });
      broker = await openAedesBroker({ site, port: 0, gate: openGate }, intake);
      const { port } = broker;
      const good = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
        clientId: panelId,
        username: panelId,
        password: panelPassword,
        reconnectPeriod: 0,
      });
      await connectedNow(good);
      let sequence = 0;
      await fc.assert(
        fc.asyncProperty(torment, async ({ letIn, bytes, pieces, hangsUp }) => {
          const socket = connectTcp(port, "127.0.0.1");
          await opened(socket);
          await say(socket, letIn ? concatBytes(sound, bytes) : bytes, pieces, hangsUp);
          sequence += 1;
          await good.publishAsync(`dl/1/${site}/${panelId}/event`, batchOf(panelId, sequence), { qos: 1 });
          expect(good.connected).toBe(true);
        }),
        { ...fuzzRuns(250), timeout: ONE_RUN_MS },
      );
      expect((await store.coverage(panelId as DeviceId)).at(-1)).toEqual({ first: 1, last: sequence });
      expect(logged.some(({ text: line }) => line.includes(panelPassword))).toBe(false);
      good.end(true);
      await broker.close();
    },
    fuzzTimeout.timeout,
  );

  it(
    "[B8] with TLS, before, instead of and after the handshake, they end at most their own connection",
    async () => {
      const bench = new EnrolmentBench();
      bench.gate = openGate;
      await bench.open();
      const { key, cert } = await bench.enrol();
      const good = await bench.connect(panelId, { key, cert });
      // Another's: who has the good one's own key may take its place, as MQTT 3.1.1 part 3.1.4 says.
      const other = await bench.enrol(otherPanelId, "R29-0815");
      let sequence = 0;
      await fc.assert(
        fc.asyncProperty(torment, fc.constantFrom("raw", "stranger", "device"), async (one, how) => {
          const { port } = bench.broker;
          const identity = how === "device" ? { key: other.key, cert: other.cert } : {};
          const socket =
            how === "raw"
              ? connectTcp(port, "127.0.0.1")
              : connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ...identity });
          await opened(socket, how === "raw" ? "connect" : "secureConnect");
          await say(socket, one.letIn ? concatBytes(sound, one.bytes) : one.bytes, one.pieces, one.hangsUp);
          sequence += 1;
          await good.publishAsync(`dl/1/${site}/${panelId}/event`, batchOf(panelId, sequence), { qos: 1 });
          expect(good.connected).toBe(true);
        }),
        { ...fuzzRuns(60), timeout: ONE_RUN_MS },
      );
      expect((await bench.store.coverage(panelId)).at(-1)).toEqual({ first: 1, last: sequence });
      await bench.close();
    },
    fuzzTimeout.timeout,
  );
});

/** A connection that nobody ends, or a device that is not acknowledged any more, is to be named with the bytes that did it. */
const ONE_RUN_MS = 15_000;

function batchOf(device: string, sequence: number): string {
  const event = { boot: 1, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "boot" };
  return JSON.stringify({ v: 1, device, events: [event] });
}

function connectedNow(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
}

/** Fulfilled when the socket is open, or over already. */
function opened(socket: Socket, event = "connect"): Promise<void> {
  return new Promise((resolve) => {
    socket.once(event, () => resolve());
    socket.once("close", () => resolve());
    // The other end may cut us off at any byte: that is its right, and what is tested.
    socket.on("error", () => undefined);
  });
}

/** Says it in pieces, each in a turn of its own, and is gone. */
async function say(socket: Socket, bytes: Uint8Array, pieces: number, hangsUp: boolean): Promise<void> {
  const step = Math.max(1, Math.ceil(bytes.length / pieces));
  for (let at = 0; at < bytes.length; at += step) {
    socket.write(bytes.subarray(at, at + step));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.resume();
  if (socket.destroyed) return;
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  if (hangsUp) socket.end();
  else socket.destroy();
  await closed;
}
