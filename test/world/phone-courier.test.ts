import { afterEach, describe, expect, it } from "vitest";
import { bytesToHex, equalBytes } from "../../protocol/base/bytes.ts";
import { PAGE_BYTES } from "../../protocol/wire/signed-objects.ts";
import { Carriers } from "./carriers.ts";
import type { LockBox } from "./lock-box.ts";

let open: Carriers | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

async function carriers(options: { readonly crowd?: number } = {}): Promise<Carriers> {
  open = await Carriers.open(options);
  return open;
}

/** What of the lock's log the record has, by looking; every entry once and as the lock chained it. */
function expectWholeRecord({ cloud }: Carriers, lock: LockBox): void {
  const { record, chains } = cloud.cloud;
  expect(record.rawEntries(lock.device, 1, lock.entries.length + 1).map(bytesToHex)).toEqual(
    lock.entries.map(bytesToHex),
  );
  expect(record.summary()).toMatchObject({ duplicates: 0, conflicting: 0, gaps: 0, refused: 0 });
  expect(chains.state(lock.device)).toMatchObject({ through: lock.entries.length, brokenAt: null });
}

const heldVersion = (lock: LockBox) => lock.firmware?.policy.version;

describe("a phone and a gateway as couriers of one lock", () => {
  it("[Y18] a phone brings the newest policy to a lock that no gateway reaches", async () => {
    const world = await carriers({ crowd: 40 });
    const { lobby, phone, cloud } = world;
    expect((await world.during(phone.sync(lobby))).ok).toBe(true);
    expect(heldVersion(lobby)).toBe(1);
    cloud.revoke("person-3");
    const done = await world.during(phone.sync(lobby));
    expect(done).toMatchObject({ ok: true, value: { outcome: "in-sync", from: { version: 1 }, to: { version: 2 } } });
    expect(equalBytes(lobby.firmware?.policy.root ?? new Uint8Array(0), cloud.newest(lobby.device).root)).toBe(true);
    // A revocation travels as a delta: less than a page, and much less than all of it.
    if (done.ok) expect(done.value.bytes).toBeLessThan(PAGE_BYTES + 1_500);
    expectWholeRecord(world, lobby);
  });

  it("[Y6] row 129: what a phone began a gateway's courier finishes, behind the last whole page", async () => {
    const world = await carriers({ crowd: 4_000 });
    const { lobby, phone } = world;
    const length = snapshotBytes(world);
    expect(length).toBeGreaterThan(10 * PAGE_BYTES);
    const begun = await cutInTheMiddle(world, phone.sync(lobby));
    expect(begun).toMatchObject({ ok: false, fault: { code: "lock-silent" } });
    const stagedBytes = staged(world);
    expect(stagedBytes % PAGE_BYTES).toBe(0);
    expect(heldVersion(lobby)).toBe(0);
    const visit = await world.visitByGateway(lobby);
    expect(visit.ok).toBe(true);
    expect(heldVersion(lobby)).toBe(1);
    const sent = world.gatewayAdapter.link?.courierStreamBytes ?? 0;
    expect(sent - (length - stagedBytes)).toBeGreaterThan(0);
    expect(sent - (length - stagedBytes)).toBeLessThan(OTHER_MESSAGES_BYTES);
    expectWholeRecord(world, lobby);
  });

  it("[Y6] what a gateway's courier began a phone finishes, behind the last whole page", async () => {
    const world = await carriers({ crowd: 4_000 });
    const { lobby, phone } = world;
    const length = snapshotBytes(world);
    expect((await cutInTheMiddle(world, world.visitByGateway(lobby))).ok).toBe(false);
    const stagedBytes = staged(world);
    expect(await world.during(phone.sync(lobby))).toMatchObject({ ok: true, value: { to: { version: 1 } } });
    const sent = phone.adapter.link?.courierStreamBytes ?? 0;
    expect(sent - (length - stagedBytes)).toBeGreaterThan(0);
    expect(sent - (length - stagedBytes)).toBeLessThan(OTHER_MESSAGES_BYTES);
    expectWholeRecord(world, lobby);
  });

  it("[L8] of two couriers at once the second is turned away, whoever it is, and succeeds later", async () => {
    const world = await carriers({ crowd: 4_000 });
    const { lobby, phone } = world;
    const first = phone.sync(lobby);
    await world.clock.advance(600);
    const second = await world.visitByGateway(lobby);
    expect(second.ok).toBe(false);
    expect((await world.during(first)).ok).toBe(true);
    expect((await world.visitByGateway(lobby)).ok).toBe(true);
    world.cloud.revoke("person-3");
    // And the other way round.
    const gateway = world.visitByGateway(lobby);
    await world.clock.advance(300);
    expect((await world.during(phone.sync(lobby))).ok).toBe(false);
    expect((await gateway).ok).toBe(true);
    expect((await world.during(phone.sync(lobby))).ok).toBe(true);
    expect(heldVersion(lobby)).toBe(2);
    expectWholeRecord(world, lobby);
  });

  it("[Y9] a log that a phone read and later a gateway is recorded once, and released only as far as it was recorded", async () => {
    const world = await carriers({ crowd: 40 });
    const { lobby, phone, cloud } = world;
    expect((await world.during(phone.sync(lobby))).ok).toBe(true);
    world.knock(lobby, 150);
    expect((await world.during(phone.sync(lobby))).ok).toBe(true);
    const events = cloud.cloud.record.summary().events;
    expect(events).toBe(lobby.entries.length);
    // The gateway has nothing of it on its disk, and reads what the lock still keeps.
    const visit = await world.visitByGateway(lobby);
    expect(visit.ok).toBe(true);
    expect(visit.logEntries).toBeGreaterThan(0);
    expect(cloud.cloud.record.summary()).toMatchObject({ events, duplicates: 0, redelivered: visit.logEntries });
    expectWholeRecord(world, lobby);
    // What was written since is not recorded, so it is not freed.
    world.knock(lobby, 3);
    const released = cloud.cloud.chains.state(lobby.device)?.through ?? 0;
    phone.isOnline = false;
    expect((await world.during(phone.sync(lobby))).ok).toBe(true);
    expect(lobby.firmware?.log?.first).toBeLessThanOrEqual(released + 1);
    expect(lobby.firmware?.log?.next).toBe(released + 4);
  });

  it("[Y18] a phone that is offline at the door uploads later; when its answer is lost the same is brought again and recorded once", async () => {
    const world = await carriers({ crowd: 40 });
    const { lobby, phone, cloud } = world;
    await world.during(phone.sync(lobby));
    world.knock(lobby, 5);
    phone.isOnline = false;
    const offline = await world.during(phone.sync(lobby));
    expect(offline).toMatchObject({ ok: true, value: { clock: null, logEntries: 5, uploaded: false } });
    expect(cloud.cloud.record.summary().events).toBe(lobby.entries.length - 5);
    expect(phone.courier.waiting).toBe(1);
    // The network is there for one way only.
    phone.isOnline = true;
    const upload = phone.courier.upload();
    await world.clock.advance(30);
    phone.isOnline = false;
    expect(await world.during(upload)).toBe(false);
    expect(phone.courier.waiting).toBe(1);
    phone.isOnline = true;
    await world.clock.advance(70_000);
    expect(phone.courier.waiting).toBe(0);
    expect(cloud.cloud.record.summary()).toMatchObject({ redelivered: 5 });
    expectWholeRecord(world, lobby);
  });
});

function snapshotBytes(world: Carriers): number {
  return world.desired(world.lobby.device).bundles.find(({ from }) => from === 0)?.bytes.length ?? 0;
}

/** The link breaks as soon as the lock has the third page. */
async function cutInTheMiddle<Value>(world: Carriers, visit: Promise<Value>): Promise<Value> {
  for (let waitedMs = 0; waitedMs < 5_000 && staged(world) < 3 * PAGE_BYTES; waitedMs += 5)
    await world.clock.advance(5);
  expect(staged(world)).toBe(3 * PAGE_BYTES);
  world.air.drop(world.lobby.address);
  return world.during(visit);
}

function staged({ clock, lobby }: Carriers): number {
  return lobby.firmware?.facts(clock.monotonicMs()).staged?.bytes.length ?? 0;
}

/** Handshake, greeting, manifest with its page hashes, time, log requests and good-bye. */
const OTHER_MESSAGES_BYTES = 2_500;
