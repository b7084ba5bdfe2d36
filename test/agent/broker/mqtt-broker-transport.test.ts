import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMqttBrokerTransport, type MqttBrokerOptions } from "../../../agent/broker/mqtt-broker-transport.ts";
import type { BrokerConnection, BrokerMessage } from "../../../agent/ports/broker-transport.ts";

const will = { topic: "will", payload: "gone" };

let folder: string;
let broker: Aedes;
let server: Server;
let port: number;
let sockets: Socket[];
let serve: (socket: Socket) => void;
let connections: BrokerConnection[];
let heard: BrokerMessage[];
let closed: string[];
let hold: Promise<void> | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-transport-"));
  broker = await Aedes.createBroker();
  sockets = [];
  connections = [];
  heard = [];
  closed = [];
  hold = undefined;
  serve = (socket) => broker.handle(socket);
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});

afterEach(async () => {
  for (const connection of connections) await connection.close();
  for (const socket of sockets) socket.destroy();
  server.close();
  await new Promise<void>((resolve) => broker.close(() => resolve()));
  rmSync(folder, { recursive: true, force: true });
});

describe("a connection to an external broker", () => {
  it("hears what it subscribed to, and which of it came out of the broker's memory", async () => {
    const connection = await connect();
    await connection.publish("kept", "one", { qos: 1, retain: true });
    await connection.subscribe(["kept", "live"]);
    await connection.publish("live", "two", { qos: 0, retain: false });
    await until(() => heard.length === 2);
    expect(heard.map(({ topic, payload, retained }) => [topic, Buffer.from(payload).toString(), retained])).toEqual([
      ["kept", "one", true],
      ["live", "two", false],
    ]);
  });

  it("[B13] reads nothing more from the broker while it is held back", async () => {
    const connection = await connect();
    await connection.subscribe(["flood"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const payload = Buffer.alloc(4_096);
    for (let index = 0; index < FLOOD; index++) {
      broker.publish({ cmd: "publish", topic: "flood", payload, qos: 0, dup: false, retain: false }, () => undefined);
    }
    await until(() => heard.length === 1);
    // What the socket and the parser hold already is all that may still come to this process.
    await until(() => (sockets[0]?.writableLength ?? 0) > 0);
    expect(heard).toHaveLength(1);
    hold = undefined;
    resolve();
    await until(() => heard.length === FLOOD);
  });

  it("[B19] ends over a packet above 1 MiB before it is read, and says why", async () => {
    serve = (socket) => {
      socket.once("data", () => {
        socket.write(Buffer.from([0x20, 2, 0, 0]));
        // PUBLISH with a remaining length of 2 MiB, and none of it.
        socket.write(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x01]));
      });
    };
    await connect();
    await until(() => closed.length === 1);
    expect(closed).toEqual(["packet-too-large"]);
  });

  it("[B12] says by name why there is none, and reads the secrets' files anew each time", async () => {
    const passwordFile = join(folder, "password");
    broker.authenticate = (_client, _username, password, done) => done(null, String(password) === "right");
    await expect(connect({ username: "gateway-main", passwordFile })).rejects.toMatchObject({
      code: "refused",
      message: "the password file cannot be read",
    });
    writeFileSync(passwordFile, "wrong-secret\n");
    const refused = connect({ username: "gateway-main", passwordFile });
    await expect(refused).rejects.toMatchObject({ code: "refused", message: "refused with return code 5" });
    writeFileSync(passwordFile, "right\n");
    await connect({ username: "gateway-main", passwordFile });
    const { port: nobody } = await freeServer();
    await expect(connect({ url: `mqtt://127.0.0.1:${nobody}` })).rejects.toMatchObject({ code: "unreachable" });
    const garbled = join(folder, "not-a-key");
    writeFileSync(garbled, "not a key");
    const tls = { url: `mqtts://127.0.0.1:${port}`, caFile: garbled, certificateFile: garbled, keyFile: garbled };
    await expect(connect(tls)).rejects.toMatchObject({
      code: "refused",
      message: "the CA, certificate or key file cannot be used",
    });
  });

  it("takes nothing more when it is over", async () => {
    const connection = await connect();
    sockets[0]?.destroy();
    await until(() => closed.length === 1);
    await expect(connection.publish("late", "late", { qos: 1, retain: false })).rejects.toMatchObject({
      code: "closed",
    });
    await expect(connection.subscribe(["late"])).rejects.toMatchObject({ code: "closed" });
    await connection.close();
  });

  it("names a subscription that the broker does not grant", async () => {
    broker.authorizeSubscribe = (_client, _subscription, done) => done(null, null);
    const connection = await connect();
    await expect(connection.subscribe(["secret"])).rejects.toMatchObject({ code: "refused" });
  });
});

async function connect(options: Partial<MqttBrokerOptions> = {}): Promise<BrokerConnection> {
  const transport = createMqttBrokerTransport({
    url: `mqtt://127.0.0.1:${port}`,
    clientId: "gateway-main",
    ...options,
  });
  const connection = await transport.connect(
    {
      message: (message) => {
        heard.push(message);
        return hold;
      },
      closed: (reason) => closed.push(reason),
    },
    will,
  );
  connections.push(connection);
  return connection;
}

/** A port on which nobody listens any more. */
async function freeServer(): Promise<{ readonly port: number }> {
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
  const address = free.address();
  await new Promise<void>((resolve) => free.close(() => resolve()));
  return { port: typeof address === "object" && address !== null ? address.port : 0 };
}

async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error("did not come in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Of 4 KiB each: more than the buffers between two sockets hold. */
const FLOOD = 4_000;
