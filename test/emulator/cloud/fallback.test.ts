/** A lock whose newer policy has rotted serves by its older one: what the authority makes of that. */
import { describe, expect, it } from "vitest";
import { exposureView } from "../../../emulator/cloud/exposure.ts";
import { permanentCodesAmong } from "../../../emulator/cloud/permanent-codes.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { type LockDesired, lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { catchMessages, gateway, json, noon, PairedLock, siteText, startCloud } from "./fixture.ts";

async function startPairedLock() {
  const { cloud, clock } = await startCloud();
  const lock = PairedLock.pair(cloud, "lobby-lock");
  const sent = catchMessages(cloud);
  const receive = (report: unknown): boolean => {
    const topic = parseTopic("dl/1/maple-court/lobby-lock/reported");
    if (topic === undefined) throw new Error("a topic");
    return cloud.intake.receive(gateway, topic, json(report));
  };
  /** The desired documents of the lock that went out since it was last asked. */
  const orders = (): readonly LockDesired[] =>
    sent.splice(0).flatMap(({ topic, payload }) => {
      if (topic.channel !== "desired" || topic.device !== lock.device) return [];
      const read = parsePayload(lockDesiredSchema, utf8(payload));
      return read.ok ? [read.value] : [];
    });
  return {
    cloud,
    clock,
    lock,
    receive,
    orders,
    reports: (version: number) => receive(lock.report(version)),
    /** It starts again, and its active bank does not hash to its root any more. */
    fallBack: (version: number) => {
      lock.log({ kind: "boot" });
      return receive(lock.report(version));
    },
    exposed: () => exposureView(cloud).reckoned.map(({ person, holds }) => [person, holds?.version]),
    changeSite: (from: string, to: string) => cloud.authority.importSite(siteText.replace(from, to), noon),
  };
}

describe("a lock that falls back to an older policy", () => {
  it("[G16] exposes again whom that lets in, and gateways hear at once of it and of the way from there", async () => {
    const { cloud, clock, reports, fallBack, exposed, orders } = await startPairedLock();
    reports(1);
    clock.advance(60_000);
    cloud.authority.revoke("bob");
    reports(2);
    cloud.authority.resetPassword("alice");
    reports(3);
    expect(exposed()).toEqual([]);
    orders();
    clock.advance(60_000);
    fallBack(1);
    expect(exposed()).toEqual([
      ["bob", 1],
      ["alice", 1],
    ]);
    const [order, ...more] = orders();
    expect(more).toEqual([]);
    expect(order).toMatchObject({
      policy: { version: 3 },
      urgent: "revocation",
      revocations: [
        { person: "bob", since: noon + 60, version: 2, what: "revoked" },
        { person: "alice", since: noon + 60, version: 3, what: "signed-out" },
      ],
    });
    expect(order?.bundles.map(({ from }) => from)).toEqual([1, 2, 0]);
    // Synced again, all of it is over, and nothing has to be published for that.
    reports(3);
    expect(exposed()).toEqual([]);
    expect(orders()).toEqual([]);
    fallBack(2);
    expect(exposed()).toEqual([["alice", 2]]);
    expect(orders().map(({ bundles }) => bundles.map(({ from }) => from))).toEqual([[2, 0]]);
  });

  it("[G16] exposes nobody to whom it was given back since", async () => {
    const { reports, fallBack, exposed, orders, changeSite } = await startPairedLock();
    reports(1);
    changeSite("[alice, bob, nora", "[alice, nora");
    reports(2);
    changeSite("", "");
    reports(3);
    orders();
    fallBack(1);
    expect(exposed()).toEqual([]);
    reports(3);
    orders();
    fallBack(2);
    expect(exposed()).toEqual([]);
    expect(orders()).toMatchObject([{ policy: { version: 3 }, revocations: [] }]);
  });

  it("[G16] [C5] [M16] may hold codes again that were given up: none is given out as a daily code, and whose code it is is locked out", async () => {
    const { cloud, reports, fallBack, changeSite, orders } = await startPairedLock();
    const taken = () => [...permanentCodesAmong(cloud.authority, "lobby", ["4815162", "0000000"])];
    reports(1);
    changeSite("4815162", "2222222");
    expect(taken()).toContain("4815162");
    reports(2);
    expect(taken()).not.toContain("4815162");
    orders();
    fallBack(1);
    expect(orders()).toMatchObject([{ urgent: "lock-out" }]);
    expect(taken()).toContain("4815162");
    expect(taken()).not.toContain("0000000");
    reports(2);
    expect(taken()).not.toContain("4815162");
  });

  it("[M10] a report of before that comes late is told from one of a lock that fell back", async () => {
    const { cloud, lock, receive, reports, exposed, orders } = await startPairedLock();
    const early = lock.report(1);
    receive(early);
    cloud.authority.revoke("bob");
    lock.log({ kind: "policy-committed" });
    reports(2);
    orders();
    // Retained under another gateway, or carried by a phone that was offline for a week.
    expect(receive(early)).toBe(true);
    expect(exposed()).toEqual([]);
    expect(orders()).toEqual([]);
    expect(cloud.chains.state("lobby-lock")?.report).toMatchObject({ version: 2 });
  });
});
