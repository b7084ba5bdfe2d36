/** A lock's real log, a page of which has rotted, and the authority that holds it against the lock's reports. */
import { describe, expect, it } from "vitest";
import { AuditLog, PAGE_ENTRIES } from "../../../emulator/device/audit-log.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { policyRoot } from "../../../protocol/access/policy.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { macReport } from "../../../protocol/sync/authority.ts";
import { auditBatch, entriesOfBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { lockReport } from "../../../protocol/wire/signed-objects.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { gateway, json, noon, PairedLock, sealedEvent, startCloud, type TestCloud } from "./fixture.ts";

const denied = { kind: "access-denied", clock: "set", unixSeconds: noon, reason: "CREDENTIAL_UNKNOWN" } as const;

function receive(cloud: TestCloud, channel: string, message: unknown): void {
  const topic = parseTopic(`dl/1/maple-court/lobby-lock/${channel}`);
  if (topic === undefined) throw new Error("no topic");
  expect(cloud.intake.receive(gateway, topic, json(message))).toBe(true);
}

/** One visit: everything from sequence `from` on, and then the report. Gives the sequence that the next visit begins with. */
function visit(cloud: TestCloud, lock: PairedLock, log: AuditLog, from: number): number {
  let due = from;
  for (;;) {
    due = log.readableFrom(due);
    const run = log.read(due, 64);
    const entries = run.slice(0, entriesOfBatch(run));
    if (entries.length === 0) break;
    const batch = auditBatch.encode(sealAuditBatch(lock.keys.audit, lock.pairingId, due, entries));
    const event = sealedEvent(batch, due, due + entries.length - 1);
    receive(cloud, "event", { v: 1, device: lock.device, events: [event] });
    due += entries.length;
  }
  const { pairingId, keys, device } = lock;
  const report = lockReport.encode({
    pairingId,
    epoch: 1,
    version: 1,
    root: policyRoot(cloud.authority.state.policies[device]?.bundle ?? new Uint8Array(0)),
    bootCount: 1,
    clock: "set",
    logNext: log.next,
    chainHead: log.head,
    nonce: new Uint8Array(16),
    logFirst: log.first,
    headBefore: log.headBefore,
    keysetEpoch: 1,
    clockSource: "authority",
  });
  receive(cloud, "reported", {
    v: 1,
    device,
    policy: { epoch: 1, version: 1 },
    clock: "set",
    logNext: log.next,
    report: bytesToBase64(report),
    mac: bytesToBase64(macReport(keys.report, report)),
    at: noon,
    courier: gateway,
  });
  return due;
}

describe("the authority and a log that has rotted", () => {
  // Entries at the first visit, entries at the one before the rot, the page that rots.
  const cases = [
    [20, 40, 1],
    [33, 33, 1],
    [64, 64, 1],
    [64, 96, 1],
    [40, 70, 0],
    [10, 10, 0],
    [32, 32, 0],
  ] as const;

  it.each(cases)(
    "[L12] [Y9] %i entries checked, %i written, page %i lost: it goes on checking, and misses nothing that is there",
    async (checked, written, page) => {
      const { cloud } = await startCloud();
      const lock = PairedLock.pair(cloud, "lobby-lock");
      const chain = { pairingId: lock.pairingId, key: lock.keys.chain, firstSequence: 1 };
      const flash = new MemoryFlash();
      const log = new AuditLog(flash, chain, 1);
      for (let count = 0; count < checked; count++) log.append(denied);
      const from = visit(cloud, lock, log, 1);
      expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: checked, brokenAt: null });
      for (let count = checked; count < written; count++) log.append(denied);
      const [rotten = -1] = flash.pagesOf(`audit-page-${page}`);
      flash.rot(rotten, 700);

      const booted = new AuditLog(new MemoryFlash(flash.image()), chain, 2);
      booted.append({ kind: "boot", clock: "set", unixSeconds: noon });
      booted.tellLosses({ clock: "set", unixSeconds: noon });
      const next = visit(cloud, lock, booted, from);
      expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: booted.next - 1, brokenAt: null });
      const recorded = cloud.record.summary();
      // What was on the lost page and had not come before is all that is not here.
      const lostHere = Math.max(
        0,
        Math.min(written, (page + 1) * PAGE_ENTRIES) - Math.max(checked, page * PAGE_ENTRIES),
      );
      expect(recorded).toMatchObject({ events: written - lostHere + 2, gaps: 0 });
      booted.append(denied);
      visit(cloud, lock, booted, next);
      expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: booted.next - 1, brokenAt: null });
    },
  );
});
