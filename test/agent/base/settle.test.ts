import { Writable } from "node:stream";
import { type Packet, writeToStream } from "mqtt-packet";
import { afterAll, describe, expect, it } from "vitest";
import { giveBackMemory, settle } from "../../../agent/base/settle.ts";
import { keepPacketNumbersUnmade } from "../../../agent/base/small-packets.ts";

describe("a process that stays small", () => {
  it("gives back what is done with, and leaves no collector behind for others to call", () => {
    const before = process.memoryUsage().heapUsed;
    let kept: unknown[] | undefined = Array.from({ length: 200_000 }, (_, index) => ({ index }));
    expect(kept).toHaveLength(200_000);
    kept = undefined;
    giveBackMemory();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(8_000_000);
    expect(Reflect.get(globalThis, "gc")).toBeUndefined();
    settle();
  });

  it("writes the same packets with and without the table of all numbers", () => {
    const packets: readonly Packet[] = [
      { cmd: "puback", messageId: 0xfffe },
      {
        cmd: "publish",
        topic: "dl/1/a/b/event",
        payload: "x".repeat(300),
        qos: 1,
        messageId: 513,
        dup: false,
        retain: false,
      },
    ];
    writeToStream.cacheNumbers = true;
    const tabled = packets.map(written);
    keepPacketNumbersUnmade();
    expect(packets.map(written)).toEqual(tabled);
  });

  afterAll(() => {
    writeToStream.cacheNumbers = true;
  });
});

function written(packet: Packet): string {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  writeToStream(packet, stream);
  return Buffer.concat(chunks).toString("hex");
}
