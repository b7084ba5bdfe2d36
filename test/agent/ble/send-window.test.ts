import { describe, expect, it } from "vitest";
import { SendWindow } from "../../../agent/ble/send-window.ts";

interface Task {
  readonly number: number;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

function start(
  window: SendWindow,
  count: number,
): { running: Task[]; outcomes: Promise<PromiseSettledResult<number>[]> } {
  const running: Task[] = [];
  const works = Array.from({ length: count }, (_, number) =>
    window.run(
      () =>
        new Promise<number>((resolve, reject) => {
          running.push({ number, finish: () => resolve(number), fail: reject });
        }),
    ),
  );
  return { running, outcomes: Promise.allSettled(works) };
}

describe("SendWindow", () => {
  it("[R4] runs as many as it may, the others in their order as places come free", async () => {
    const { running, outcomes } = start(new SendWindow(2), 5);
    await settle();
    expect(running.map(({ number }) => number)).toEqual([0, 1]);
    running[1]?.finish();
    await settle();
    expect(running.map(({ number }) => number)).toEqual([0, 1, 2]);
    running[0]?.fail(new Error("refused"));
    await settle();
    expect(running.map(({ number }) => number)).toEqual([0, 1, 2, 3]);
    running[2]?.finish();
    running[3]?.finish();
    await settle();
    running[4]?.finish();
    expect((await outcomes).map(({ status }) => status)).toEqual([
      "rejected",
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "fulfilled",
    ]);
  });

  it("[R4] is usable again after all have ended", async () => {
    const window = new SendWindow(1);
    for (let round = 0; round < 3; round++) expect(await window.run(async () => round)).toBe(round);
  });

  it("[R4] refuses a sender that never stops", async () => {
    const { running, outcomes } = start(new SendWindow(1), 300);
    await settle();
    expect(running).toHaveLength(1);
    // One runs, 256 wait, the other 43 were refused; those that wait run as the first one ends.
    for (let number = 0; number < 257; number++) {
      running[number]?.finish();
      await settle();
    }
    const statuses = (await outcomes).map(({ status }) => status);
    expect(statuses.filter((status) => status === "rejected")).toHaveLength(43);
  });
});
