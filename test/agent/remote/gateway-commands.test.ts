import { describe, expect, it } from "vitest";
import { type Begin, GatewayCommands, type OrderOutcome } from "../../../agent/remote/gateway-commands.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import {
  type GatewayOrder,
  gatewayActions,
  gatewayResultSchema,
} from "../../../protocol/wire/messages/gateway-command.ts";
import { memoryLog } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock, settle } from "../../world/stepped-clock.ts";

const gateway = "gateway-main" as DeviceId;
const thisRun = "ab".repeat(16);

interface Bench {
  readonly commands: GatewayCommands;
  readonly clock: SteppedClock;
  readonly store: MemoryStore;
  readonly performed: GatewayOrder[];
  readonly told: string[];
  /** What an order waits for before it asks whether it may begin; then what becomes of it. */
  perform: (order: GatewayOrder, begin: Begin) => Promise<OrderOutcome>;
  linked: boolean;
  asleepMs: number;
}

async function bench(
  options: { readonly store?: MemoryStore; readonly run?: string; readonly allowed?: boolean } = {},
): Promise<Bench> {
  const { store = new MemoryStore(), run = thisRun, allowed = true } = options;
  const clock = new SteppedClock();
  const made: Bench = {
    commands: new GatewayCommands({
      site: "maple-court",
      gateway,
      boot: { id: run, uptimeMs: () => clock.monotonicMs() + made.asleepMs },
      store,
      clock,
      log: memoryLog([]),
      allowed: () => allowed,
      tell: (topic, payload) => {
        expect(topic).toEqual({ site: "maple-court", device: gateway, channel: "result", name: "gateway" });
        const { id, state, reason } = gatewayResultSchema.parse(JSON.parse(payload));
        if (made.linked) made.told.push(`${id.slice(0, 2)} ${state}${reason === undefined ? "" : ` ${reason}`}`);
        return made.linked;
      },
      perform: (order, begin) => made.perform(order, begin),
      onStoreError: (error) => {
        throw error;
      },
    }),
    clock,
    store,
    performed: [],
    told: [],
    perform: async (order, begin) => {
      if (!(await begin())) return { state: "not-begun" };
      made.performed.push(order);
      return { state: "done", answer: {} };
    },
    linked: true,
    asleepMs: 0,
  };
  await made.commands.load();
  return made;
}

const idOf = (number: number): string => number.toString(16).padStart(2, "0").repeat(16);

function command(changes: Record<string, unknown> = {}, number = 1): Uint8Array {
  const said = {
    v: 1,
    id: idOf(number),
    device: gateway,
    bootId: thisRun,
    notAfterUptimeMs: 60_000,
    order: { action: "reload" },
  };
  return utf8(JSON.stringify({ ...said, ...changes }));
}

async function take(at: Bench, payload: Uint8Array): Promise<readonly string[]> {
  const before = at.told.length;
  at.commands.take(payload);
  await settle();
  return at.told.slice(before);
}

describe("commands to the gateway itself", () => {
  it("[M23] goes accepted, executing, done; every action that there is", async () => {
    const at = await bench();
    const orders = { sync: { device: "lock-c1" }, "erase-person": { person: "bob" }, reload: {}, diagnose: {} };
    for (const [index, action] of gatewayActions.entries()) {
      const order = { action, ...orders[action] };
      const id = idOf(index).slice(0, 2);
      expect(await take(at, command({ order }, index))).toEqual([`${id} accepted`, `${id} executing`, `${id} done`]);
    }
    expect(at.performed.map(({ action }) => action)).toEqual(gatewayActions);
  });

  it.each([
    ["at its last millisecond", 60_000, ["01 accepted", "01 executing", "01 done"]],
    ["a millisecond later", 60_001, ["01 expired too-late"]],
  ])("[M24] %s", async (_when, uptimeMs, told) => {
    const at = await bench();
    await at.clock.advance(uptimeMs);
    expect(await take(at, command())).toEqual(told);
    expect(at.performed).toHaveLength(told.length === 3 ? 1 : 0);
  });

  it("[M24] no wall clock is asked: it may jump by years either way", async () => {
    const at = await bench();
    at.clock.setWall(Date.UTC(1970, 0, 1));
    expect(await take(at, command({}, 1))).toContain("01 done");
    at.clock.setWall(Date.UTC(2040, 0, 1));
    expect(await take(at, command({}, 2))).toContain("02 done");
    await at.clock.advance(60_001);
    at.clock.setWall(Date.UTC(2026, 10, 20));
    expect(await take(at, command({}, 3))).toEqual(["03 expired too-late"]);
  });

  it("[M24] sleep counts: what was sent before it is late after it, though no timer has moved", async () => {
    const at = await bench();
    at.asleepMs = 8 * 3_600_000;
    expect(await take(at, command())).toEqual(["01 expired too-late"]);
    expect(at.performed).toEqual([]);
  });

  it("[M24] is for one run of the program: one that was off gets a queue of commands and does none of them", async () => {
    const at = await bench({ run: "cd".repeat(16) });
    for (const number of [1, 2, 3]) {
      expect(await take(at, command({}, number))).toEqual([`0${number} expired another-boot`]);
    }
    expect(at.performed).toEqual([]);
  });

  it("[M24] what ends more than a quarter of an hour ahead is refused, and stays so", async () => {
    const at = await bench();
    expect(await take(at, command({ notAfterUptimeMs: 900_001 }))).toEqual(["01 refused too-far-ahead"]);
    await at.clock.advance(60_000);
    expect(await take(at, command({ notAfterUptimeMs: 900_001 }))).toEqual(["01 refused too-far-ahead"]);
    expect(await take(at, command({ notAfterUptimeMs: 960_000 }, 2))).toContain("02 done");
  });

  it("[M25] one that waits is answered expired when its time is over, and is not done when its turn comes", async () => {
    const at = await bench();
    const turn = Promise.withResolvers<void>();
    at.perform = async (order, begin) => {
      await turn.promise;
      if (!(await begin())) return { state: "not-begun" };
      at.performed.push(order);
      return { state: "done", answer: {} };
    };
    expect(await take(at, command())).toEqual(["01 accepted"]);
    await at.clock.advance(60_001);
    expect(at.told.at(-1)).toBe("01 expired too-late");
    turn.resolve();
    await settle();
    expect(at.performed).toEqual([]);
    expect(at.told).toEqual(["01 accepted", "01 expired too-late"]);
  });

  it("[M25] asleep while it waits: the timer is late, and it is not begun", async () => {
    const at = await bench();
    const turn = Promise.withResolvers<void>();
    at.perform = async (_order, begin) => {
      await turn.promise;
      return (await begin()) ? { state: "done", answer: {} } : { state: "not-begun" };
    };
    await take(at, command());
    at.asleepMs = 60_001;
    turn.resolve();
    await settle();
    expect(at.told).toEqual(["01 accepted", "01 expired too-late"]);
  });

  it("[M25] a disk that takes too long to note that it begins makes it late, and it is not begun", async () => {
    const at = await bench();
    const put = at.store.putDocuments.bind(at.store);
    at.store.putDocuments = async (documents) => {
      if (documents.some(({ body }) => body.includes("executing"))) at.asleepMs = 60_001;
      return put(documents);
    };
    expect(await take(at, command())).toEqual(["01 accepted", "01 expired too-late"]);
    expect(at.performed).toEqual([]);
  });

  it("[M26] sent again it is answered with what became of the first, whatever the second says, and done once", async () => {
    const at = await bench();
    await take(at, command());
    expect(await take(at, command())).toEqual(["01 done"]);
    expect(await take(at, command({ order: { action: "erase-person", person: "bob" } }))).toEqual(["01 done"]);
    at.commands.take(command({}, 2));
    at.commands.take(command({}, 2));
    await settle();
    expect(at.performed).toHaveLength(2);
    await at.clock.advance(60_001);
    expect(await take(at, command())).toEqual(["01 done"]);
  });

  it("[M26] also after a restart; what was under way then has failed, what waited is expired, and neither is done again", async () => {
    const store = new MemoryStore();
    const first = await bench({ store });
    await take(first, command({}, 1));
    first.perform = async (_order, begin) => {
      await begin();
      return new Promise(() => undefined);
    };
    await take(first, command({}, 2));
    first.perform = () => new Promise(() => undefined);
    await take(first, command({}, 3));
    const second = await bench({ store, run: "cd".repeat(16) });
    second.commands.linked();
    expect(second.told).toEqual(["02 failed interrupted", "03 expired another-boot"]);
    expect(await take(second, command({}, 1))).toEqual(["01 done"]);
    expect(await take(second, command({}, 2))).toEqual(["02 failed interrupted"]);
    expect(await take(second, command({}, 4))).toEqual(["04 expired another-boot"]);
    expect(second.performed).toEqual([]);
  });

  it("[M26] is on disk before it begins, and no name is on disk", async () => {
    const at = await bench();
    const seen: string[] = [];
    at.perform = async (_order, begin) => {
      await begin();
      seen.push((await at.store.readDocuments("command")).map(({ body }) => body).join(""));
      return { state: "done", answer: {} };
    };
    await take(at, command({ order: { action: "erase-person", person: "bob-boone" } }));
    expect(seen[0]).toContain('"state":"executing"');
    expect((await at.store.readDocuments("command"))[0]?.body).toContain('"state":"done"');
    expect(`${seen}${JSON.stringify(await at.store.readDocuments("command"))}`).not.toContain("bob");
  });

  it("[M23] a result that nobody could hear is said when there is a link", async () => {
    const at = await bench();
    at.linked = false;
    await take(at, command());
    expect(at.told).toEqual([]);
    at.linked = true;
    at.commands.linked();
    expect(at.told).toEqual(["01 done"]);
    at.commands.linked();
    expect(at.told).toHaveLength(1);
  });

  it("[M23] what reads as no command is refused where it can be answered, and dropped where not; another gateway's is nobody's", async () => {
    const at = await bench();
    for (const order of [
      { action: "open" },
      { action: "unlock", device: "lock-c1" },
      { action: "sync" },
      undefined,
      "sync",
    ]) {
      expect(await take(at, command({ order }))).toEqual(["01 refused malformed-command"]);
    }
    for (const payload of [
      utf8("{"),
      utf8("{}"),
      utf8(""),
      command({ id: "short" }),
      command({ v: 2 }),
      new Uint8Array(9_000),
    ]) {
      expect(await take(at, payload)).toEqual([]);
    }
    expect(await take(at, command({ device: "gateway-other" }))).toEqual([]);
    expect(at.performed).toEqual([]);
  });

  it("[M23] the configuration may take none", async () => {
    const at = await bench({ allowed: false });
    expect(await take(at, command())).toEqual(["01 refused not-allowed-here"]);
  });

  it("[M23] who floods is refused; a lock is visited for commands 24 times a day", async () => {
    const at = await bench();
    const order = { action: "sync", device: "lock-c1" };
    const answers: string[] = [];
    for (let number = 0; number < 130; number++) {
      const [, ...last] = (
        (await take(at, command({ order: number < 30 ? order : { action: "diagnose" } }, number))).at(-1) ?? ""
      ).split(" ");
      answers.push(last.join(" "));
    }
    expect(answers.slice(0, 24)).toEqual(Array(24).fill("done"));
    expect(answers.slice(24, 30)).toEqual(Array(6).fill("refused too-often"));
    expect(answers.slice(30, 126)).toEqual(Array(96).fill("done"));
    expect(answers.slice(126)).toEqual(Array(4).fill("refused too-many-commands"));
    await at.clock.advance(3_600_001);
    expect(await take(at, command({ order: { action: "diagnose" }, notAfterUptimeMs: 3_700_000 }, 200))).toContain(
      "c8 done",
    );
    expect(await take(at, command({ order, notAfterUptimeMs: 3_700_000 }, 201))).toEqual(["c9 refused too-often"]);
  });

  it("[M23] what could not be done has failed, and says why", async () => {
    const at = await bench();
    at.perform = async () => ({ state: "failed", answer: { fault: { code: "unknown-device" } } });
    expect(await take(at, command())).toEqual(["01 accepted", "01 failed not-done"]);
  });
});
