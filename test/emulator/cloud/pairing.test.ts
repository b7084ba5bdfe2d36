/** The authority's part in a pairing through a gateway: who may be paired, what it is handed, and what becomes of the log of before. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import type { LockFirmware } from "../../../emulator/device/lock.ts";
import { bytesToBase64, bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import { monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import { macReport } from "../../../protocol/sync/authority.ts";
import { LockPairing, type LockPairingRecord } from "../../../protocol/sync/pairing.ts";
import { auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { pairResultSchema } from "../../../protocol/wire/messages/command.ts";
import { lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { pairingCourierMessage, pairingLockMessage, pairingStatement } from "../../../protocol/wire/pairing-message.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { auditBatch, bundleHeader, openSealed, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { lockReport, policyManifest } from "../../../protocol/wire/signed-objects.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { buildLock } from "../../world/pairing-bench.ts";
import {
  catchMessages,
  deviceId,
  gateway,
  json,
  noon,
  PairedLock,
  sealedEvent,
  siteText,
  startCloud,
  type TestCloud,
} from "./fixture.ts";

const device = deviceId("lobby-lock");
const address = "C0:FF:EE:00:00:02";
const outset = monotonicMs(0);
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A lock with its card: the emulator's firmware, and the lock's end of a pairing without the air. */
class CardLock {
  readonly firmware: LockFirmware;
  readonly name: string;
  #handshakes = 0;
  #keys = 0;
  #pairing: LockPairing | undefined;

  constructor(name = "one") {
    this.name = name;
    this.firmware = buildLock(new MemoryFlash(), { factoryKey: this.#fresh() });
  }

  /** It accepts the authority's offer: a statement for it. */
  accept({ authority }: TestCloud, model = "C2") {
    const pairing = new LockPairing({
      staticPrivateKey: this.firmware.staticPrivateKey,
      handshakeHash: seededBytes(5_000 + ++this.#handshakes, 32),
      judgedAt: unixSeconds(0),
      facts: { model, firmware: "2.3.1", hardware: "rev-c", bootCount: 1 },
    });
    const { bytes: keyset, signature } = authority.keyset;
    pairing.receive(pairingCourierMessage.encode({ kind: "offer", root: authority.root, keyset, signature }));
    this.#pairing = pairing;
    const said = this.#answer();
    if (said.kind !== "accept") throw new Error(`it said ${said.kind}`);
    return { device, address, statement: said.statement, mac: said.mac };
  }

  /** It is handed what the authority sealed, and keeps it: its last word. */
  take(sealed: Uint8Array): Uint8Array {
    this.#pairing?.receive(pairingCourierMessage.encode({ kind: "hand-over", sealed }));
    const commit = this.#pairing?.takeActions().find((action) => action.kind === "commit");
    if (commit?.kind !== "commit") throw new Error("it does not take that");
    this.firmware.keepPairing(commit.record, commit.firstSequence, outset);
    this.#pairing?.committed();
    const said = this.#answer();
    if (said.kind !== "paired") throw new Error(`it said ${said.kind}`);
    return said.mac;
  }

  reset(): void {
    this.firmware.factoryReset(this.#fresh(), outset);
  }

  /** Entries of its log as a gateway sends them on. */
  sealed(first: number, last: number, { pairing, log } = this.firmware): ReturnType<typeof sealedEvent> {
    if (pairing === undefined || log === undefined) throw new Error("not paired");
    const entries = log.read(first, last - first + 1);
    const batch = sealAuditBatch(pairing.keys.audit, pairing.pairingId, first, entries);
    return sealedEvent(auditBatch.encode(batch), first, last);
  }

  /** Somebody turns nothing: an entry all the same, a code that it does not know. */
  writeEntries(count: number): void {
    const card = { kind: "token", tokenKind: "keycard", value: "04ffffffffffff", authentic: true } as const;
    for (let nth = 0; nth < count; nth++) this.firmware.present(card, outset);
  }

  report(version = 0) {
    // Without a policy it is in no epoch.
    const policy = { epoch: version === 0 ? 0 : 1, version };
    const { pairing } = this.firmware;
    if (pairing === undefined) throw new Error("not paired");
    const { log, bootCount } = this.firmware.facts(outset);
    const report = lockReport.encode({
      ...{ pairingId: pairing.pairingId, ...policy, root: new Uint8Array(32), bootCount, clock: "unset" },
      ...{ logNext: log.next, chainHead: log.chainHead, logFirst: log.first, headBefore: log.headBefore },
      ...{ nonce: new Uint8Array(16), keysetEpoch: 1 },
    });
    const said = { report: bytesToBase64(report), mac: bytesToBase64(macReport(pairing.keys.report, report)) };
    const words = { policy, clock: "unset", logNext: log.next, at: noon, courier: gateway };
    return { v: 1, device, ...words, ...said };
  }

  #answer() {
    const bytes = this.#pairing?.takeMessages()[0] ?? new Uint8Array(0);
    const read = pairingLockMessage.decode(bytes);
    if (!read.ok) throw new Error("it said nothing");
    return read.value;
  }

  #fresh(): Uint8Array {
    return sha256(utf8(`${this.name}/${++this.#keys}`));
  }
}

function receive(cloud: TestCloud, topic: string, message: unknown): boolean {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined) throw new Error(`${topic} is no topic`);
  return cloud.intake.receive(gateway, parsed, json(message));
}

const sendEvents = (cloud: TestCloud, events: readonly unknown[]): boolean =>
  receive(cloud, `${device}/event`, { v: 1, device, events });
const sendReport = (cloud: TestCloud, lock: CardLock, version?: number): boolean =>
  receive(cloud, `${device}/reported`, lock.report(version));

function open(cloud: TestCloud, id: string = device): void {
  const opened = cloud.authority.openPairing(id);
  if (!opened.ok) throw new Error(opened.fault.code);
}

/** From the open window to the lock's last word, confirmed. */
function pairThrough(cloud: TestCloud, lock: CardLock): void {
  open(cloud);
  const asked = lock.accept(cloud);
  const begun = cloud.authority.beginPairing(asked);
  if (!begun.ok) throw new Error(begun.fault.code);
  const confirmed = cloud.authority.confirmPairing(asked, lock.take(begun.value.sealed));
  if (!confirmed.ok) throw new Error(confirmed.fault.code);
}

const refusedAs = (code: string) => ({ ok: false, fault: { code } });
const pairingOf = (cloud: TestCloud) => cloud.authority.state.pairings[device];
const gapsOf = (cloud: TestCloud): number | undefined =>
  cloud.record.summary().devices.find((count) => count.device === device)?.gaps;

describe("[Z11] the permission to pair", () => {
  it("[Z11] nobody has given it: not-open, and nothing is remembered of the try", async () => {
    const { cloud } = await startCloud();
    const { state } = cloud.authority;
    expect(cloud.authority.beginPairing(new CardLock().accept(cloud))).toEqual(refusedAs("not-open"));
    expect(cloud.authority.state).toEqual(state);
  });

  it("[Z11] lasts an hour, to the second, and is of one lock alone", async () => {
    const { cloud, clock } = await startCloud();
    expect(cloud.authority.openPairing(device)).toEqual({ ok: true, value: { device, until: noon + 3_600 } });
    open(cloud, "roof-lock");
    clock.advance(3_601_000);
    expect(cloud.authority.beginPairing(new CardLock().accept(cloud))).toEqual(refusedAs("not-open"));
    open(cloud, "roof-lock");
    expect(cloud.authority.beginPairing(new CardLock().accept(cloud))).toEqual(refusedAs("not-open"));
    open(cloud);
    clock.advance(3_600_000);
    expect(cloud.authority.beginPairing(new CardLock().accept(cloud)).ok).toBe(true);
  });

  it("[Z11] is for one pairing: the lock's last word uses it up, and until then the same lock may try again", async () => {
    const { cloud } = await startCloud();
    open(cloud);
    const lock = new CardLock();
    // Its link broke before it was handed anything.
    expect(cloud.authority.beginPairing(lock.accept(cloud)).ok).toBe(true);
    const asked = lock.accept(cloud);
    const begun = cloud.authority.beginPairing(asked);
    if (!begun.ok) throw new Error(begun.fault.code);
    expect(pairingOf(cloud)).toMatchObject({ confirmed: false });
    expect(cloud.authority.state.pairingOpenUntil).toEqual({ [device]: noon + 3_600 });
    expect(cloud.authority.confirmPairing(asked, lock.take(begun.value.sealed))).toEqual({
      ok: true,
      value: undefined,
    });
    expect(pairingOf(cloud)).toMatchObject({ confirmed: true });
    expect(cloud.authority.state.pairingOpenUntil).toEqual({});
    expect(cloud.authority.beginPairing(new CardLock("two").accept(cloud))).toEqual(refusedAs("not-open"));
  });

  it("[Z9] [Z11] is used up by the lock's first report when its last word at the pairing was lost", async () => {
    const { cloud } = await startCloud();
    open(cloud);
    const lock = new CardLock();
    const begun = cloud.authority.beginPairing(lock.accept(cloud));
    if (!begun.ok) throw new Error(begun.fault.code);
    lock.take(begun.value.sealed);
    const report = lock.report();
    // A gateway's own word does not count.
    expect(receive(cloud, `${device}/reported`, { ...report, mac: bytesToBase64(new Uint8Array(32)) })).toBe(false);
    expect(pairingOf(cloud)).toMatchObject({ confirmed: false });
    expect(receive(cloud, `${device}/reported`, report)).toBe(true);
    expect(pairingOf(cloud)).toMatchObject({ confirmed: true });
    expect(cloud.authority.beginPairing(new CardLock("two").accept(cloud))).toEqual(refusedAs("not-open"));
    // A permission that is given after that is for the next pairing: the same report, retained, comes again at every connection.
    open(cloud);
    expect(receive(cloud, `${device}/reported`, report)).toBe(true);
    expect(cloud.authority.state.pairingOpenUntil).toEqual({ [device]: noon + 3_600 });
  });

  it("[Z11] is given for BLE locks that the site has", async () => {
    const { cloud } = await startCloud();
    expect(cloud.authority.openPairing("gate-r29")).toMatchObject(refusedAs("not-a-ble-lock"));
    expect(cloud.authority.openPairing("nobody")).toMatchObject(refusedAs("no-such-device"));
    const asked = new CardLock().accept(cloud);
    expect(cloud.authority.beginPairing({ ...asked, device: "gate-r29" })).toEqual(refusedAs("not-a-ble-lock"));
    expect(cloud.authority.beginPairing({ ...asked, device: "nobody" })).toEqual(refusedAs("no-such-device"));
    const mac = new Uint8Array(32);
    expect(cloud.authority.confirmPairing({ ...asked, device: "gate-r29" }, mac)).toEqual(refusedAs("not-a-ble-lock"));
    expect(cloud.authority.confirmPairing({ ...asked, device: "nobody" }, mac)).toEqual(refusedAs("no-such-device"));
    expect(cloud.authority.state.pairingOpenUntil).toEqual({});
  });

  it("[Z11] and what was begun under it are remembered over a restart", async () => {
    const stateDirectory = mkdtempSync(join(tmpdir(), "doorlink-cloud-"));
    folders.push(stateDirectory);
    const first = await startCloud({ stateDirectory });
    open(first.cloud);
    const lock = new CardLock();
    const asked = lock.accept(first.cloud);
    const begun = first.cloud.authority.beginPairing(asked);
    if (!begun.ok) throw new Error(begun.fault.code);
    await first.cloud.close();
    const { cloud } = await startCloud({ stateDirectory });
    expect(cloud.authority.beginPairing(asked)).toEqual(begun);
    expect(cloud.authority.confirmPairing(asked, lock.take(begun.value.sealed)).ok).toBe(true);
    await cloud.close();
  });
});

describe("[Z9] what a gateway brings", () => {
  it("[Z11] a lock of another model than the site names there is not taken", async () => {
    const { cloud } = await startCloud();
    open(cloud);
    expect(cloud.authority.beginPairing(new CardLock().accept(cloud, "C1"))).toEqual(refusedAs("wrong-model"));
    expect(pairingOf(cloud)).toBeUndefined();
  });

  it("[Z9] a statement with any bit changed, of no shape, or with a worthless key, is no lock's word", async () => {
    const { cloud } = await startCloud();
    open(cloud);
    const asked = new CardLock().accept(cloud);
    const { state } = cloud.authority;
    fc.assert(
      fc.property(fc.nat({ max: asked.statement.length * 8 - 1 }), (bit) => {
        const statement = asked.statement.slice();
        statement[bit >> 3] = (statement[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const begun = cloud.authority.beginPairing({ ...asked, statement });
        expect(begun.ok ? "taken" : begun.fault.code).toBeOneOf([
          "malformed-statement",
          "statement-bad-mac",
          "low-order-key",
        ]);
      }),
      { numRuns: 60 },
    );
    const mac = asked.mac.map((byte, index) => (index === 31 ? byte ^ 1 : byte));
    expect(cloud.authority.beginPairing({ ...asked, mac })).toEqual(refusedAs("statement-bad-mac"));
    const read = pairingStatement.decode(asked.statement);
    if (!read.ok) throw new Error(read.fault.code);
    const statement = pairingStatement.encode({ ...read.value, lockPublicKey: new Uint8Array(32) });
    expect(cloud.authority.beginPairing({ ...asked, statement })).toEqual(refusedAs("low-order-key"));
    expect(cloud.authority.state).toEqual(state);
  });

  it("[Z11] a pairing that the lock had before is not taken again, whoever replays it, as long as it is remembered", async () => {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    open(cloud);
    const recorded = lock.accept(cloud);
    const begun = cloud.authority.beginPairing(recorded);
    if (!begun.ok) throw new Error(begun.fault.code);
    const word = lock.take(begun.value.sealed);
    cloud.authority.confirmPairing(recorded, word);
    lock.reset();
    pairThrough(cloud, lock);
    const standing = pairingOf(cloud);
    open(cloud);
    expect(cloud.authority.beginPairing(recorded)).toEqual(refusedAs("replayed"));
    expect(cloud.authority.confirmPairing(recorded, word)).toEqual(refusedAs("confirmation-bad-mac"));
    expect(pairingOf(cloud)).toEqual(standing);
    // Tries that came to nothing push nothing out of memory so soon.
    for (let tries = 0; tries < 12; tries++) cloud.authority.beginPairing(new CardLock("two").accept(cloud));
    expect(cloud.authority.beginPairing(recorded)).toEqual(refusedAs("replayed"));
  });

  it("[Z11] nor is a pairing on the bench that a replay names", async () => {
    const { cloud } = await startCloud();
    const { pairingId } = PairedLock.pair(cloud, device);
    open(cloud);
    const asked = new CardLock().accept(cloud);
    const read = pairingStatement.decode(asked.statement);
    if (!read.ok) throw new Error(read.fault.code);
    const statement = pairingStatement.encode({ ...read.value, pairingId });
    // Without the keys it is nobody's word already.
    expect(cloud.authority.beginPairing({ ...asked, statement })).toEqual(refusedAs("statement-bad-mac"));
  });

  it("[Z9] the same question gets the same sealed bytes, before the confirmation and after it, however late", async () => {
    const { cloud, clock } = await startCloud();
    open(cloud);
    const lock = new CardLock();
    const asked = lock.accept(cloud);
    const begun = cloud.authority.beginPairing(asked);
    if (!begun.ok) throw new Error(begun.fault.code);
    const { state } = cloud.authority;
    expect(cloud.authority.beginPairing(asked)).toEqual(begun);
    expect(cloud.authority.state).toEqual(state);
    cloud.authority.confirmPairing(asked, lock.take(begun.value.sealed));
    clock.advance(86_400_000);
    expect(cloud.authority.beginPairing(asked)).toEqual(begun);
    expect(cloud.authority.rotateKeys().epoch).toBe(2);
    expect(cloud.authority.beginPairing(asked)).toEqual(begun);
  });

  it("[X8] [Z9] also when the lock hangs at another door by now, whose key is another: one header never seals two plaintexts", async () => {
    const { cloud } = await startCloud();
    open(cloud);
    const lock = new CardLock();
    const asked = lock.accept(cloud);
    const begun = cloud.authority.beginPairing(asked);
    if (!begun.ok) throw new Error(begun.fault.code);
    const moved = siteText.replace("model: C2, door: lobby", "model: C2, door: roof");
    expect(cloud.authority.importSite(moved, noon).ok).toBe(true);
    expect(cloud.authority.beginPairing(asked)).toEqual(begun);
    expect(cloud.authority.confirmPairing(asked, lock.take(begun.value.sealed)).ok).toBe(true);
  });

  it("[Z9] the lock's last word counts under its own MAC about what it was handed, and only for its own pairing", async () => {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    const asked = lock.accept(cloud);
    expect(cloud.authority.confirmPairing(asked, new Uint8Array(32))).toEqual(refusedAs("not-open"));
    open(cloud);
    const begun = cloud.authority.beginPairing(asked);
    if (!begun.ok) throw new Error(begun.fault.code);
    const word = lock.take(begun.value.sealed);
    for (const wrong of [new Uint8Array(32), word.map((byte, at) => (at === 0 ? byte ^ 1 : byte)), asked.mac]) {
      expect(cloud.authority.confirmPairing(asked, wrong)).toEqual(refusedAs("confirmation-bad-mac"));
      expect(pairingOf(cloud)).toMatchObject({ confirmed: false });
    }
    expect(cloud.authority.confirmPairing(asked, word).ok).toBe(true);
    // Twice is once.
    expect(cloud.authority.confirmPairing(asked, word).ok).toBe(true);
  });

  it("[Z9] through the broker: sealed for the first question, done for the second, a named reason for a no", async () => {
    const { cloud } = await startCloud();
    const messages = catchMessages(cloud);
    const lock = new CardLock();
    const ask = (asked: ReturnType<CardLock["accept"]>, more: object = {}) => {
      const { statement, mac, ...rest } = asked;
      const command = { v: 1, id: "p-1", from: gateway, ...rest };
      return receive(cloud, "authority/command/pair", {
        ...command,
        statement: bytesToBase64(statement),
        mac: bytesToBase64(mac),
        ...more,
      });
    };
    const answered = () => {
      const found = messages.filter(({ topic }) => topic.channel === "result").at(-1);
      expect(found?.topic).toEqual({ site: "maple-court", device: gateway, channel: "result", name: "pair" });
      const read = parsePayload(pairResultSchema, utf8(found?.payload ?? ""));
      if (!read.ok) throw new Error(read.fault.code);
      return read.value;
    };
    const asked = lock.accept(cloud);
    expect(ask(asked)).toBe(true);
    expect(answered()).toEqual({ v: 1, id: "p-1", device, state: "refused", reason: "not-open" });
    expect(ask(asked, { from: "gateway-other" })).toBe(false);
    expect(cloud.record.refusals(1)[0]).toMatchObject({ code: "gateway-mismatch" });
    open(cloud);
    messages.splice(0);
    expect(ask(asked)).toBe(true);
    const { sealed } = answered();
    if (sealed === undefined) throw new Error("nothing sealed");
    // The site hears of the new pairing at once: its gateway can visit when the lock has kept it.
    expect(messages.filter(({ topic }) => topic.channel === "desired").map(({ topic }) => topic.device)).toEqual(
      expect.arrayContaining([gateway, device]),
    );
    expect(ask(asked, { confirmation: bytesToBase64(new Uint8Array(32)) })).toBe(true);
    expect(answered()).toMatchObject({ state: "refused", reason: "confirmation-bad-mac" });
    expect(ask(asked, { confirmation: bytesToBase64(lock.take(sealed)) })).toBe(true);
    expect(answered()).toEqual({ v: 1, id: "p-1", device, state: "done" });
  });
});

describe("[Z10] a lock that was paired anew", () => {
  const desiredOf = (cloud: TestCloud) => {
    const messages = catchMessages(cloud);
    cloud.publishDesired();
    const found = messages.filter(({ topic }) => topic.device === device && topic.channel === "desired").at(-1);
    const read = parsePayload(lockDesiredSchema, utf8(found?.payload ?? ""));
    if (!read.ok) throw new Error(read.fault.code);
    return read.value;
  };

  it("[Z10] gets its policy as a snapshot that opens with its own keys alone, and versions go on", async () => {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    pairThrough(cloud, lock);
    cloud.authority.revoke("bob");
    const before = desiredOf(cloud);
    expect(before.bundles.map(({ from }) => from)).toEqual([1, 0]);
    const oldKeys = lock.firmware.pairing?.keys;
    lock.reset();
    pairThrough(cloud, lock);
    const after = desiredOf(cloud);
    expect(after.policy.version).toBe(before.policy.version + 1);
    expect(after.bundles.map(({ from }) => from)).toEqual([0]);
    expect(after.release).toBeNull();
    const held = cloud.authority.state.policies[device];
    expect(held).toMatchObject({ former: [], revocations: [], confirmedRevocations: [], formerCodes: [] });
    const snapshot = after.bundles[0];
    const manifest = policyManifest.decode(snapshot?.manifest.bytes ?? new Uint8Array(0));
    if (!manifest.ok || snapshot === undefined) throw new Error("no manifest");
    expect(manifest.value.pairingId).toEqual(lock.firmware.pairing?.pairingId);
    const opens = (keys: LockPairingRecord["keys"] | undefined) =>
      openSealed("bundle", keys?.bundle ?? new Uint8Array(32), bundleHeader(manifest.value), snapshot.bytes).ok;
    expect([opens(lock.firmware.pairing?.keys), opens(oldKeys)]).toEqual([true, false]);
  });

  it("[P8] [Z10] holds nobody of before: who was revoked is let in by no version that it may hold", async () => {
    const { cloud } = await startCloud();
    pairThrough(cloud, new CardLock());
    cloud.authority.revoke("alice");
    expect(desiredOf(cloud).revocations.map(({ person }) => person)).toEqual(["alice"]);
    pairThrough(cloud, new CardLock("two"));
    expect(desiredOf(cloud).revocations).toEqual([]);
  });
});

describe("[Z10] the log of a lock that was reset", () => {
  /** A lock with entries 1 to 6 that was reset and paired anew, with 7 to 10; nothing of it has come yet. */
  async function resetLock() {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    pairThrough(cloud, lock);
    lock.writeEntries(5);
    const firstReport = lock.report();
    const old = [lock.sealed(1, 2), lock.sealed(3, 4), lock.sealed(5, 6)] as const;
    lock.reset();
    pairThrough(cloud, lock);
    lock.writeEntries(3);
    return { cloud, lock, old, firstReport, fresh: [lock.sealed(7, 8), lock.sealed(9, 10)] as const };
  }

  it("[Z10] goes on where it stood: with all of the old one there, nothing is missing, lost or twice", async () => {
    const { cloud, lock, old, fresh } = await resetLock();
    sendEvents(cloud, [...old, ...fresh]);
    expect(sendReport(cloud, lock)).toBe(true);
    expect(cloud.chains.state(device)).toMatchObject({ through: 10, brokenAt: null, unchecked: 0 });
    expect(cloud.record.receipt(device)).toEqual({ through: 10, missing: [] });
    expect(cloud.record.summary()).toMatchObject({ events: 10, duplicates: 0, conflicting: 0, gaps: 0 });
  });

  it("[Z10] what had not come of the old one is accounted as lost by the first report, and not asked for any more", async () => {
    const { cloud, lock, old, fresh } = await resetLock();
    sendEvents(cloud, [old[0]]);
    sendEvents(cloud, fresh);
    expect(cloud.record.receipt(device)).toEqual({ through: 2, missing: [{ from: 3, to: 6 }] });
    const messages = catchMessages(cloud);
    expect(sendReport(cloud, lock)).toBe(true);
    expect(cloud.record.receipt(device)).toEqual({ through: 10, missing: [] });
    // Its gateway hears it at once.
    const receipt = messages.find(({ topic }) => topic.channel === "receipt");
    expect(JSON.parse(receipt?.payload ?? "{}")).toMatchObject({ through: 10, missing: [] });
    expect(gapsOf(cloud)).toBe(0);
    expect(cloud.chains.state(device)).toMatchObject({ through: 10, brokenAt: null });
  });

  it("[E3] [Z10] a batch of the old pairing that comes after that is opened and kept, once, and breaks nothing", async () => {
    const { cloud, lock, old, fresh } = await resetLock();
    sendEvents(cloud, fresh);
    sendReport(cloud, lock);
    expect(sendEvents(cloud, [old[1]])).toBe(true);
    expect(sendEvents(cloud, [old[1], old[2]])).toBe(true);
    expect(cloud.record.events({ device }).map(({ sequence }) => sequence)).toEqual([7, 8, 9, 10, 3, 4, 5, 6]);
    expect(cloud.record.summary()).toMatchObject({ duplicates: 0, conflicting: 0, gaps: 0, redelivered: 2 });
    expect(cloud.record.receipt(device)).toEqual({ through: 10, missing: [] });
    lock.writeEntries(1);
    expect(sendEvents(cloud, [lock.sealed(11, 11)])).toBe(true);
    sendReport(cloud, lock);
    expect(cloud.chains.state(device)).toMatchObject({ through: 11, brokenAt: null });
  });

  it("[Z10] a report of the old pairing is nobody's word any more", async () => {
    const { cloud, firstReport } = await resetLock();
    expect(receive(cloud, `${device}/reported`, firstReport)).toBe(false);
    expect(cloud.record.refusals(1)[0]).toMatchObject({ code: "report-not-verified" });
  });

  it("[Z10] is freed on the lock only behind the beginning of the new one", async () => {
    const { cloud, lock, old, fresh } = await resetLock();
    sendReport(cloud, lock);
    const release = cloud.chains.release(device);
    // What it frees is nothing: the lock's first entry is still wanted.
    expect(release).not.toBeNull();
    expect(lock.firmware.log?.first).toBe(7);
    sendEvents(cloud, [...old, ...fresh]);
    expect(cloud.chains.state(device)).toMatchObject({ through: 10, brokenAt: null });
  });

  it("[Z10] a second reset before anything came: the first report accounts for both logs", async () => {
    const { cloud, lock } = await resetLock();
    lock.reset();
    pairThrough(cloud, lock);
    expect(lock.firmware.log?.next).toBe(12);
    sendReport(cloud, lock);
    sendEvents(cloud, [lock.sealed(11, 11)]);
    expect(cloud.chains.state(device)).toMatchObject({ through: 11, brokenAt: null });
    expect(gapsOf(cloud)).toBe(0);
  });

  it("[Y9] [Z10] a ring that overflowed before the first report: the loss is the lock's own word, over the old log too", async () => {
    const { cloud, lock } = await resetLock();
    lock.writeEntries(1_200);
    const { log } = lock.firmware.facts(outset);
    expect(log.first).toBeGreaterThan(7);
    sendReport(cloud, lock);
    for (let from = log.first; from < log.next; from += 32) {
      sendEvents(cloud, [lock.sealed(from, Math.min(from + 31, log.next - 1))]);
    }
    expect(cloud.chains.state(device)).toMatchObject({ through: log.next - 1, brokenAt: null });
    expect(gapsOf(cloud)).toBe(0);
    expect(cloud.record.receipt(device)).toEqual({ through: log.next - 1, missing: [] });
  });

  it("[E3] the old log still opens after many tries at the door that came to nothing", async () => {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    pairThrough(cloud, lock);
    lock.writeEntries(2);
    const late = lock.sealed(1, 3);
    lock.reset();
    open(cloud);
    for (let tries = 0; tries < 12; tries++) expect(cloud.authority.beginPairing(lock.accept(cloud)).ok).toBe(true);
    expect(sendEvents(cloud, [late])).toBe(true);
  });

  it("[Z12] of another lock under its name is another log: both are whole, and what came late of the first is its own", async () => {
    const { cloud } = await startCloud();
    const lock = new CardLock();
    pairThrough(cloud, lock);
    lock.writeEntries(3);
    sendEvents(cloud, [lock.sealed(1, 2)]);
    const other = new CardLock("other");
    pairThrough(cloud, other);
    other.writeEntries(1);
    const first = (other.firmware.log?.next ?? 0) - 2;
    expect(first).toBe(65_537);
    expect(sendEvents(cloud, [other.sealed(first, first + 1)])).toBe(true);
    expect(sendReport(cloud, other)).toBe(true);
    expect(sendEvents(cloud, [lock.sealed(3, 4)])).toBe(true);
    expect(cloud.record.events({ device }).map(({ sequence }) => sequence)).toEqual([1, 2, first, first + 1, 3, 4]);
    expect(cloud.record.summary()).toMatchObject({ duplicates: 0, conflicting: 0, redelivered: 0, gaps: 0 });
    expect(cloud.chains.state(device)).toMatchObject({ through: first + 1, brokenAt: null });
  });

  it("[Z12] begins far beyond whatever is recorded, so that what the lock before it wrote unheard is below", async () => {
    const { cloud } = await startCloud();
    const entry = { boot: 1, at: { unixSeconds: null, quality: "unset" }, kind: "boot" } as const;
    for (const last of [1, 1_024, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 1_000_000]) {
      cloud.record.append(device, [{ ...entry, sequence: last }], unixMs(noon * 1000), () => undefined);
      const lock = new CardLock(`after ${last}`);
      pairThrough(cloud, lock);
      const first = (lock.firmware.log?.next ?? 0) - 1;
      expect(first - last, `after ${last}`).toBeGreaterThan(32_768);
      expect(first - last, `after ${last}`).toBeLessThanOrEqual(32_768 + 65_536 + 1);
    }
  });

  it("[Z10] in whatever order and how often batches and reports come, and whichever never do", async () => {
    const steps = ["old-0", "old-1", "old-2", "fresh-0", "fresh-1", "report", "old-report"] as const;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...steps), { maxLength: 14 }), async (order) => {
        const { cloud, lock, old, fresh, firstReport } = await resetLock();
        // What makes the end: the new log and the lock's word. What of the old one came is up to the order.
        for (const step of [...order, "fresh-0", "fresh-1", "report"] as const) {
          if (step === "report") sendReport(cloud, lock);
          else if (step === "old-report") receive(cloud, `${device}/reported`, firstReport);
          else {
            const [which, index] = step.split("-");
            const batch = (which === "old" ? old : fresh)[Number(index)];
            expect(sendEvents(cloud, [batch])).toBe(true);
          }
        }
        const came = new Set(order.filter((step) => step.startsWith("old-") && step !== "old-report")).size;
        expect(cloud.record.summary()).toMatchObject({ events: 4 + 2 * came, duplicates: 0, conflicting: 0, gaps: 0 });
        expect(cloud.record.receipt(device)).toEqual({ through: 10, missing: [] });
        expect(cloud.chains.state(device)).toMatchObject({ through: 10, brokenAt: null });
      }),
      { numRuns: 10 },
    );
  });
});

it("[Z9] no key of a door and no key of a pairing is in what the authority answers or remembers in plain text", async () => {
  const { cloud } = await startCloud();
  const messages = catchMessages(cloud);
  const lock = new CardLock();
  pairThrough(cloud, lock);
  cloud.publishDesired();
  const text = JSON.stringify([cloud.authority.state, messages], (_key, value: unknown) =>
    value instanceof Uint8Array ? `${bytesToHex(value)} ${bytesToBase64(value)}` : value,
  );
  const { keys } = lock.firmware.pairing ?? {};
  for (const key of [cloud.authority.keys.dailyKey("lobby", 1), ...Object.values(keys ?? {})]) {
    expect(text).not.toContain(bytesToHex(key));
    expect(text).not.toContain(bytesToBase64(key));
  }
});

describe("[Z12] a lock that was tampered with", () => {
  it("[Z12] does not use up the numbers of the lock after it, neither by its report nor by its log", async () => {
    const { cloud } = await startCloud();
    const bad = new CardLock("bad");
    pairThrough(cloud, bad);
    const { pairing } = bad.firmware;
    if (pairing === undefined) throw new Error("not paired");
    const { pairingId, keys } = pairing;
    const head = bad.firmware.facts(outset).log.headBefore;
    const last = 0xffffffff;
    const report = lockReport.encode({
      ...{ pairingId, epoch: 0, version: 0, root: new Uint8Array(32), bootCount: 1, clock: "unset", keysetEpoch: 1 },
      ...{ logNext: last, chainHead: head, logFirst: last, headBefore: head, nonce: new Uint8Array(16) },
    });
    const said = { report: bytesToBase64(report), mac: bytesToBase64(macReport(keys.report, report)) };
    const words = { policy: { epoch: 0, version: 0 }, clock: "unset", logNext: last, at: noon, courier: gateway };
    expect(receive(cloud, `${device}/reported`, { v: 1, device, ...words, ...said })).toBe(false);
    const entry = auditEntry.encode({ sequence: last, boot: 1, clock: "unset", kind: "boot" });
    const batch = auditBatch.encode(sealAuditBatch(keys.audit, pairingId, last, [entry]));
    expect(sendEvents(cloud, [sealedEvent(batch, last, last)])).toBe(false);
    expect(cloud.record.lastSequence(device)).toBe(0);
    const good = new CardLock("good");
    pairThrough(cloud, good);
    expect(sendReport(cloud, good)).toBe(true);
  });
});
