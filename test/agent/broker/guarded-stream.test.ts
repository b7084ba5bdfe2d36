import { once } from "node:events";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { guardStream } from "../../../agent/broker/guarded-stream.ts";
import type { GuardFault } from "../../../agent/broker/packet-guard.ts";

let server: Server;
let peer: Socket;
let socket: Socket;
let faults: GuardFault[];

beforeEach(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const came = once(server, "connection");
  peer = connectTcp(typeof address === "object" && address !== null ? address.port : 0, "127.0.0.1");
  peer.on("error", () => undefined);
  [socket] = await came;
  faults = [];
});

afterEach(async () => {
  peer.destroy();
  socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

function open() {
  return guardStream(socket, 1_000, (fault) => faults.push(fault));
}

async function read(bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  while (Buffer.concat(chunks).length < bytes) {
    const [chunk] = await once(peer, "data");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

describe("guarded stream", () => {
  it("what is written in one turn goes out in one piece and in order, and what comes is read", async () => {
    const stream = open();
    let calls = 0;
    const write = socket.write.bind(socket);
    socket.write = ((chunk: Uint8Array) => {
      calls += 1;
      return write(chunk);
    }) as typeof socket.write;
    for (let count = 0; count < 30; count++) stream.write(Buffer.from([0x40, 2, 0, count]));
    const heard = await read(120);
    expect([...heard].filter((_, index) => index % 4 === 3)).toEqual(Array.from({ length: 30 }, (_, index) => index));
    expect(calls).toBe(1);
    peer.write(Buffer.from([0xc0, 0]));
    const [came] = await once(stream, "data");
    expect([...came]).toEqual([0xc0, 0]);
  });

  it("a peer that does not read holds the writer back, and lets it go on when it does", async () => {
    const stream = open();
    peer.pause();
    let written = 0;
    const block = Buffer.alloc(64 * 1024, 7);
    // The kernel takes some megabytes; then the stream must say that it has no more room.
    const giveUpAt = 1_000;
    while (stream.write(block) || stream.writableLength < block.length) {
      written += 1;
      if (written > giveUpAt) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(written).toBeLessThan(giveUpAt);
    expect(stream.writableNeedDrain).toBe(true);
    const drained = once(stream, "drain");
    peer.resume();
    await drained;
    expect(stream.writableNeedDrain).toBe(false);
  });

  it("what was written just before the end is still said: a refusal and the end of the connection come in one turn", async () => {
    const stream = open();
    stream.write(Buffer.from([0x20, 2, 0, 5]));
    stream.destroy();
    expect([...(await read(4))]).toEqual([0x20, 2, 0, 5]);
    await once(peer, "close");
  });

  it("[B5] a packet beyond the limit is named, and the socket ended before its body is read", async () => {
    const stream = open();
    let heard = 0;
    stream.on("data", (chunk: Buffer) => {
      heard += chunk.length;
    });
    peer.write(Buffer.from([0x30, 0xff, 0xff, 0x7f, 1, 2, 3]));
    await once(peer, "close");
    expect(faults).toMatchObject([{ code: "packet-too-large" }]);
    expect(heard).toBe(0);
  });
});
