import { expect, it } from "vitest";
import { IntakeLanes } from "../../../agent/broker/intake-lanes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";

const device = "panel-a" as DeviceId;

it("[B13] events of a device are under way together in their order; a word waits for what came before and holds what comes after", async () => {
  const lanes = new IntakeLanes({ messages: 100, bytes: 1_000, messagesPerDevice: 10 });
  const begun: string[] = [];
  const endings = new Map<string, () => void>();
  const offer = (name: string, isShared: boolean): boolean =>
    lanes.offer(device, {
      bytes: 10,
      isShared,
      run: () => {
        begun.push(name);
        return new Promise((resolve) => endings.set(name, resolve));
      },
    });
  const end = async (...names: string[]): Promise<void> => {
    for (const name of names) endings.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const name of ["event 1", "event 2", "event 3"]) offer(name, true);
  offer("state", false);
  offer("event 4", true);
  offer("event 5", true);
  // The first began when it came, and those behind it when it is done.
  expect(begun).toEqual(["event 1"]);
  await end("event 1");
  expect(begun.slice(1)).toEqual(["event 2", "event 3"]);
  await end("event 3");
  expect(begun).toHaveLength(3);
  await end("event 2");
  expect(begun.slice(3)).toEqual(["state"]);
  await end("state");
  expect(begun.slice(4)).toEqual(["event 4", "event 5"]);
  expect(lanes.waiting).toEqual({ messages: 2, bytes: 20 });
  const idle = lanes.idle();
  await end("event 4", "event 5");
  await idle;
  expect(lanes.waiting).toEqual({ messages: 0, bytes: 0 });
});

it("[B13] has room below both limits, and says when there is again", async () => {
  const lanes = new IntakeLanes({ messages: 3, bytes: 100, messagesPerDevice: 2 });
  const endings: (() => void)[] = [];
  const offer = (name: string, bytes: number): boolean =>
    lanes.offer(name as DeviceId, {
      bytes,
      isShared: true,
      run: () => new Promise((resolve) => endings.push(resolve)),
    });
  expect([offer("panel-a", 1), offer("panel-a", 1), offer("panel-a", 1)]).toEqual([true, true, false]);
  expect(lanes.room()).toBeUndefined();
  offer("panel-b", 1);
  const room = lanes.room();
  expect(room).toBeInstanceOf(Promise);
  endings.shift()?.();
  await room;
  expect(lanes.room()).toBeUndefined();
  offer("panel-c", 100);
  expect(lanes.room()).toBeInstanceOf(Promise);
});
