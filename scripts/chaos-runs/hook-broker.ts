/**
 * Run as a process of its own and killed: a stock aedes that stores what is published through one of its own hooks, in the agent's own store
 * with its group commit. What differs from the agent is the hook alone. Prints its port.
 *   hook-broker.ts event|published DATABASE
 */
import { createServer } from "node:net";
import { Aedes, type AedesOptions, type AedesPublishPacket } from "aedes";
import type { Store } from "../../agent/ports/store.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { type DeviceId, unixMs } from "../../protocol/base/units.ts";

const [hook = "", path = ""] = process.argv.slice(2);
const store = await openSqliteStore(path, () => process.exit(9));
const options: AedesOptions =
  hook === "published"
    ? {
        published: (packet, client, done) => void (client === null ? done() : keep(store, packet).then(() => done())),
      }
    : {};
const aedes = await Aedes.createBroker(options);
if (hook === "event") {
  aedes.on("publish", (packet, client) => {
    if (client !== null) keep(store, packet).catch(() => process.exit(9));
  });
}
const server = createServer((socket) => aedes.handle(socket));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" && address !== null ? address.port : 0}\n`);
});

async function keep(into: Store, packet: AedesPublishPacket): Promise<void> {
  const { device, events } = JSON.parse(packet.payload.toString()) as {
    readonly device: DeviceId;
    readonly events: readonly {
      readonly boot: number;
      readonly sequence: number;
    }[];
  };
  const stored = events.map((event) => ({
    boot: event.boot,
    sequence: event.sequence,
    body: JSON.stringify(event),
  }));
  await into.appendEvents({
    device,
    receivedAtMs: unixMs(Date.now()),
    events: stored,
  });
}
