import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LockHost } from "../../../emulator/device/lock-host.ts";
import { siteText } from "../cloud/fixture.ts";
import { type AppWorld, phone, startAppWorld } from "./app-world.ts";

const site = siteText.replace(
  "  - {id: carl,",
  "  - {id: mona, name: Mona Manager, email: mona@maple.example, role: MANAGER}\n  - {id: carl,",
);

let world: AppWorld;
let lobby: LockHost;
beforeEach(async () => {
  world = await startAppWorld({ site, morePhones: [phone("mona-phone", "mona", "Android 15")] });
  lobby = world.locks.lobby;
});
afterEach(() => world.stop());

const desired = (device: string) => world.cloud.authority.state.policies[device]?.version;
const log = (host: LockHost) => (host.firmware.log?.next ?? 1) - 1;
const through = (device: string) => world.cloud.chains.state(device)?.through;

/** The wires of the phone: nothing of it reaches the cloud while it is cut. */
async function withoutNetwork<Value>(work: () => Promise<Value>): Promise<Value> {
  const whole = globalThis.fetch;
  globalThis.fetch = () => Promise.reject(Object.assign(new Error("no network"), { code: "ENETUNREACH" }));
  try {
    return await work();
  } finally {
    globalThis.fetch = whole;
  }
}

/** Lets the world's clock run until this is so, for ten seconds at most. */
async function goOnUntil(holds: () => boolean): Promise<void> {
  const giveUpAt = world.clock.monotonicMs() + 10_000;
  const over = Promise.withResolvers<void>();
  const look = (): void => {
    if (holds() || world.clock.monotonicMs() >= giveUpAt) over.resolve();
    else world.clock.after(10, look);
  };
  look();
  await world.whileRunning(over.promise);
}

/** What anybody asked over HTTP while this went on. */
async function askedMeanwhile(work: () => Promise<void>): Promise<readonly string[]> {
  const whole = globalThis.fetch;
  const asked: string[] = [];
  globalThis.fetch = (input, init) => {
    asked.push(String(input));
    return whole(input, init);
  };
  try {
    await work();
  } finally {
    globalThis.fetch = whole;
  }
  return asked;
}

describe("a phone as a courier", () => {
  it("[Y18] brings time, policy and log between a lock that no gateway reaches and the authority, over HTTP and the air", async () => {
    expect(lobby.firmware.policy.version).toBe(0);
    const done = await world.carry("mona", lobby);
    expect(done).toMatchObject({
      ok: true,
      value: {
        device: "lobby-lock",
        phone: "mona-phone",
        outcome: "in-sync",
        from: { version: 0 },
        to: { version: desired("lobby-lock") },
        uploaded: true,
      },
    });
    expect(lobby.firmware.policy.version).toBe(desired("lobby-lock"));
    expect(through("lobby-lock")).toBe(log(lobby));
    expect(world.cloud.record.summary()).toMatchObject({ duplicates: 0, conflicting: 0, gaps: 0, refused: 0 });
    // What the phone carried is shown as its own.
    expect(world.cloud.table.latest("lobby-lock", "reported")?.body.courier).toBe("mona-phone");
    // The next visit frees what was recorded, and that alone.
    expect(await world.carry("mona", lobby)).toMatchObject({ ok: true, value: { logEntries: 0 } });
    expect(lobby.firmware.log?.first).toBe(log(lobby) + 1);
  });

  it("[Y18] a phone without a network at the door goes with what it fetched before, and brings later what the lock said", async () => {
    expect(await world.carry("mona", lobby, { isOffline: true })).toMatchObject({
      ok: false,
      fault: { code: "not-signed-in-there" },
    });
    await world.carry("mona", lobby);
    const recorded = world.cloud.record.summary().events;
    await world.open("alice", lobby);
    const fresh = log(lobby) - recorded;
    expect(fresh).toBeGreaterThan(0);
    const offline = await world.carry("mona", lobby, { isOffline: true });
    expect(offline).toMatchObject({
      ok: true,
      value: { outcome: "in-sync", logEntries: fresh, uploaded: false, clock: null },
    });
    expect(world.cloud.record.summary().events).toBe(recorded);
    // Nothing is read twice by the same phone, and nothing is lost while the network is away.
    const again = await withoutNetwork(() => world.carry("mona", lobby));
    expect(again).toMatchObject({ ok: true, value: { logEntries: 0, uploaded: false } });
    await goOnUntil(() => world.cloud.record.summary().events === log(lobby));
    expect(world.cloud.record.summary()).toMatchObject({ events: log(lobby), duplicates: 0, redelivered: 0, gaps: 0 });
    expect(through("lobby-lock")).toBe(log(lobby));
  });

  it("[Y18] a signed-out phone forgets what it carried; the lock still has it, and the next courier brings it", async () => {
    await world.carry("mona", lobby);
    await world.open("alice", lobby);
    await world.carry("mona", lobby, { isOffline: true });
    await world.whileRunning(world.handsets.signOut("mona", "mona-phone"));
    expect(await world.carry("mona", lobby, { isOffline: true })).toMatchObject({
      fault: { code: "not-signed-in-there" },
    });
    // It would try again after a second, and then less and less often: it asks the cloud for nothing any more.
    const asked = await askedMeanwhile(() => goOnUntil(() => false));
    expect(asked).toEqual([]);
    expect(through("lobby-lock")).toBeLessThan(log(lobby));
    await world.whileRunning(world.handsets.signIn("mona", "mona-phone"));
    expect(await world.carry("mona", lobby)).toMatchObject({ ok: true });
    expect(through("lobby-lock")).toBe(log(lobby));
  });

  it("[Y18] a resident's phone carries nothing, and is told why", async () => {
    for (const person of ["alice", "bob"]) {
      expect(await world.carry(person, lobby)).toMatchObject({
        ok: false,
        fault: { code: "cloud-refused", status: 403, reason: "ROLE_MAY_NOT_CARRY" },
      });
    }
    expect(lobby.firmware.policy.version).toBe(0);
  });

  it("[Y18] whose owner is revoked gets nothing new; what it holds goes on until its certificate ends, and gains nothing", async () => {
    await world.carry("mona", lobby);
    const held = desired("lobby-lock");
    world.cloud.authority.revoke("mona");
    expect(desired("lobby-lock")).toBe((held ?? 0) + 1);
    expect(await world.carry("mona", lobby)).toMatchObject({
      ok: false,
      fault: { code: "cloud-refused", status: 403, reason: "ACCOUNT_REVOKED" },
    });
    // The app of a phone that was told so has dropped what it had.
    expect(await world.carry("mona", lobby, { isOffline: true })).toMatchObject({
      fault: { code: "nothing-to-carry" },
    });
    expect(lobby.firmware.policy.version).toBe(held);
  });

  it("[Y18] [Y3] a certificate that a phone keeps is refused by the lock when it has ended", async () => {
    await world.carry("mona", lobby);
    world.hours(8 * 24 - 1);
    expect(await world.carry("mona", lobby, { isOffline: true })).toMatchObject({ ok: true });
    world.hours(2);
    expect(await world.carry("mona", lobby, { isOffline: true })).toMatchObject({
      ok: false,
      fault: { code: "lock-refused", step: "greet", refusal: "expired" },
    });
  });

  it("[L8] a lock takes one courier at a time: the second is turned away, tries again, and succeeds", async () => {
    await world.whileRunning(world.handsets.signIn("mona", "alice-phone"));
    const turnedAway: string[] = [];
    const { device, peripheral } = world.peripheral(lobby);
    const counted = {
      ...peripheral,
      onConnection: (connection: Parameters<typeof peripheral.onConnection>[0]) => {
        if (lobby.visited) turnedAway.push(device);
        return peripheral.onConnection(connection);
      },
    };
    const lock = { device, peripheral: counted };
    const both = await world.whileRunning(
      Promise.all(["mona-phone", "alice-phone"].map((on) => world.handsets.sync("mona", lock, { phone: on }))),
    );
    expect(both.map((done) => (done.ok ? done.value.outcome : done.fault.code))).toEqual(["in-sync", "in-sync"]);
    expect(turnedAway.length).toBeGreaterThan(0);
    expect(through("lobby-lock")).toBe(log(lobby));
    expect(world.cloud.record.summary()).toMatchObject({ duplicates: 0, conflicting: 0, gaps: 0 });
  });
});
