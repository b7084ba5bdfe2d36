/** A lock that lies under its own MAC and seal: what its authority makes of it, and how it comes back when it is honest again. */
import { describe, expect, it } from "vitest";
import { auditEntry } from "../../../protocol/wire/audit-entry.ts";
import type { LockReport } from "../../../protocol/wire/signed-objects.ts";
import { catchMessages, gateway, json, PairedLock, startCloud } from "./fixture.ts";

async function houseWithLock() {
  const { cloud, clock } = await startCloud();
  catchMessages(cloud);
  const lock = PairedLock.pair(cloud, "lobby-lock");
  const say = (channel: "event" | "reported", message: object): boolean =>
    cloud.intake.receive(gateway, { site: "maple-court", device: lock.device, channel }, json(message));
  const tell = (events: readonly unknown[]): boolean => say("event", { v: 1, device: lock.device, events });
  const report = (version: number, said: Partial<LockReport> = {}): boolean =>
    say("reported", lock.report(version, { said }));
  const state = () => {
    const known = cloud.chains.state(lock.device);
    if (known === undefined) throw new Error("the lock is paired");
    return known;
  };
  const why = () => cloud.record.refusals(1)[0]?.["code"];
  /** A visit in which the lock asked for the time with the nonce that its report has. */
  const visit = (nonce: Uint8Array): void => {
    const answer = cloud.carried.answerTime(lock.device, nonce, clock.nowMs());
    if (!answer.ok) throw new Error(answer.fault.code);
  };
  return { cloud, lock, say, tell, report, state, why, visit };
}

const nonceOf = (byte: number) => new Uint8Array(16).fill(byte);

describe("what a lock says that it holds", () => {
  it("[Y20] is refused by name where nobody signed it, ends no exposure, and the newest policy stays", async () => {
    const { cloud, lock, report, state, why, say } = await houseWithLock();
    expect(report(1)).toBe(true);
    cloud.authority.revoke("alice");
    const { version } = cloud.authority.state.policies[lock.device] ?? { version: 0 };
    for (const lie of [
      { version: version + 1 },
      { version: 4_294_967_295 },
      { epoch: 2, version: 1 },
      { root: new Uint8Array(32).fill(9) },
    ]) {
      const said = { epoch: 1, version, ...lie };
      const message = lock.report(said.version, { epoch: said.epoch, said: lie });
      expect(say("reported", message)).toBe(false);
      expect(why()).toBe("report-policy-not-signed");
    }
    expect(state().report).toMatchObject({ epoch: 1, version: 1 });
    expect(cloud.authority.state.policies[lock.device]?.version).toBe(version);
    expect(cloud.authority.state.policies[lock.device]?.revocations.map(({ person }) => person)).toEqual(["alice"]);
    expect(report(version)).toBe(true);
    expect(cloud.authority.state.policies[lock.device]?.revocations).toEqual([]);
  });
});

describe("a lock that lied about its numbers", () => {
  it("[Y20] is heard again: the report of a later visit outweighs numbers that are its word alone", async () => {
    for (const lie of [{ bootCount: 4_294_967_295 }, { logNext: 60_000 }, { bootCount: 9_000, logNext: 9_000 }]) {
      const { lock, tell, report, state, visit } = await houseWithLock();
      tell([lock.log({ kind: "boot" })]);
      visit(nonceOf(1));
      expect(report(1, { nonce: nonceOf(1), ...lie })).toBe(true);
      // What came before it takes nothing back, whoever brings it.
      expect(report(1, { nonce: nonceOf(7) })).toBe(true);
      expect(state().report).toMatchObject(lie);
      visit(nonceOf(2));
      tell([lock.log({ kind: "boot" })]);
      expect(report(1, { nonce: nonceOf(2) })).toBe(true);
      expect(state()).toMatchObject({ through: 2, brokenAt: null, report: { bootCount: 1, logNext: 3 } });
    }
  });

  it("[Y20] gives no way back before what the log proves: an older report stays older", async () => {
    const { lock, tell, report, state, visit, say } = await houseWithLock();
    tell([lock.log({ kind: "boot" })]);
    const old = lock.report(1, { said: { nonce: nonceOf(1) } });
    tell([lock.log({ kind: "boot" })]);
    expect(report(1, { nonce: nonceOf(2) })).toBe(true);
    expect(state().through).toBe(2);
    // A hostile courier asks for the time with the nonce of long ago.
    visit(nonceOf(1));
    expect(say("reported", old)).toBe(true);
    expect(state()).toMatchObject({ through: 2, report: { logNext: 3 } });
  });

  it("[Y9] is not believed that it lost what it has no entry behind", async () => {
    const { lock, tell, report, state, visit, cloud } = await houseWithLock();
    tell([lock.log({ kind: "boot" })]);
    expect(report(1)).toBe(true);
    visit(nonceOf(1));
    expect(report(1, { nonce: nonceOf(1), logFirst: 50_000, logNext: 50_000, headBefore: new Uint8Array(32) })).toBe(
      true,
    );
    expect(state().through).toBe(1);
    expect(cloud.record.receipt(lock.device)).toEqual({ through: 1, missing: [] });
    visit(nonceOf(2));
    tell([lock.log({ kind: "boot" })]);
    expect(report(1, { nonce: nonceOf(2) })).toBe(true);
    expect(state()).toMatchObject({ through: 2, brokenAt: null });
  });

  it("[Y9] that sealed another entry under a number of its own has broken its chain, or the chain finds the true one", async () => {
    for (const [boot, expected] of [
      [0, { through: 0, brokenAt: 2 }],
      [9, { through: 2, brokenAt: null }],
    ] as const) {
      const { lock, tell, report, state } = await houseWithLock();
      const honest = [lock.log({ kind: "boot" }), lock.log({ kind: "boot" })];
      const forged = auditEntry.encode({ sequence: 2, boot, clock: "set", kind: "boot" });
      tell([honest[0], lock.sealedAs(2, [forged])]);
      tell([honest[1]]);
      expect(report(1)).toBe(true);
      expect(state()).toMatchObject(expected);
    }
  });
});
