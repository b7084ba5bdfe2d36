/**
 * A process of its own for `scripts/bench upstream`: a broker with an authority behind it that keeps what comes in memory and answers with
 * receipts, reached over a link that delays each byte by half of the round trip it is given. Says its port, then for each line it reads what
 * it has: events, doubles, and when each live event came.
 */
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { Aedes } from "aedes";
import { addRange, type Coverage, coverageToReceipt } from "../../agent/store/coverage.ts";

const roundTripMs = Number(process.argv[2] ?? "0");
const coverageByDevice = new Map<string, Coverage>();
const liveAtMs = new Map<number, number>();
let events = 0;
let doubles = 0;
let plain = 0;

const aedes = await Aedes.createBroker({
  authorizePublish: (_client, packet, done) => {
    const [, , site, device = "", channel] = packet.topic.split("/");
    if (channel === "event") take(site ?? "", device, packet.payload.toString());
    else plain += 1;
    packet.payload = "";
    packet.topic = "taken";
    done(null);
  },
});
const inner = createServer((socket) => void aedes.handle(socket));
const outer = createServer((socket) => delayed(socket));
const innerPort = await listen(inner);
const port = await listen(outer);
process.stdout.write(`${JSON.stringify({ port })}\n`);
for await (const _line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify({ events, doubles, plain, live: [...liveAtMs] })}\n`);
}
process.exit(0);

function take(site: string, device: string, payload: string): void {
  const batch = JSON.parse(payload) as { events: { sequence: number; kind: string }[] };
  let coverage = coverageByDevice.get(device) ?? [];
  for (const { sequence, kind } of batch.events) {
    if (coverage.some(({ first, last }) => first <= sequence && sequence <= last)) doubles += 1;
    else events += 1;
    if (kind === "door") liveAtMs.set(sequence, Date.now());
    coverage = addRange(coverage, { first: sequence, last: sequence });
  }
  coverageByDevice.set(device, coverage);
  const receipt = JSON.stringify({ v: 1, device, ...coverageToReceipt(coverage) });
  const topic = `dl/1/${site}/${device}/receipt`;
  aedes.publish({ cmd: "publish", topic, payload: receipt, qos: 0, retain: false, dup: false }, () => undefined);
}

/** Each chunk leaves half a round trip after it came, in order and as many at once as there are. */
function delayed(socket: Socket): void {
  const further = connectTcp(innerPort, "127.0.0.1");
  for (const [from, to] of [
    [socket, further],
    [further, socket],
  ] as const) {
    to.setNoDelay(true);
    from.on("data", (chunk) => setTimeout(() => to.write(chunk), roundTripMs / 2));
    from.on("close", () => setTimeout(() => to.destroy(), roundTripMs / 2));
    from.on("error", () => to.destroy());
  }
}

function listen(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}
