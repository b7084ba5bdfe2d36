/** The authority's end of what networked devices hold: what it orders, and what it believes. */
import { describe, expect, it } from "vitest";
import { deviceRows } from "../../../emulator/cloud/device-rows.ts";
import { exposureView } from "../../../emulator/cloud/exposure.ts";
import { decodePolicy } from "../../../protocol/access/policy.ts";
import { bytesToBase64, utf8 } from "../../../protocol/base/bytes.ts";
import { verifyDelivery } from "../../../protocol/sync/delivered-policy.ts";
import { deviceDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { macPolicyReport, policyReport } from "../../../protocol/wire/policy-report.ts";
import { catchMessages, deviceId, gateway, json, siteText, startCloud, type TestCloud } from "./fixture.ts";

const panel = deviceId("gate-r29");
/** Carl opens the garage by its panel, with a card. */
const site = siteText.replace(
  "  - {id: bob-app,",
  '  - {id: carl-rf, kind: rf-card, person: carl, number: "7f31aa77"}\n  - {id: bob-app,',
);

async function enrolled() {
  const { cloud, clock } = await startCloud({ site });
  const answer = cloud.authority.enrol(panel);
  if (!answer.ok) throw new Error(answer.fault.code);
  return { cloud, clock, enrolment: answer.value };
}

type Enrolment = Awaited<ReturnType<typeof enrolled>>["enrolment"];

interface Said {
  readonly version: number;
  readonly bootCount?: number;
  readonly uptimeMs?: number;
  readonly as?: number;
  readonly reportKey?: Uint8Array;
  readonly pairingId?: Uint8Array;
}

function say(cloud: TestCloud, enrolment: Enrolment, said: Said): boolean {
  const { version, bootCount = 1, uptimeMs = version * 1_000, as = version } = said;
  const { reportKey = enrolment.reportKey, pairingId = enrolment.pairingId } = said;
  const root = new Uint8Array(32);
  const report = policyReport.encode({ pairingId, epoch: 1, version, root, bootCount, uptimeMs });
  const [bytes, mac] = [bytesToBase64(report), bytesToBase64(macPolicyReport(reportKey, report))];
  const policy = { epoch: 1, version: as };
  const message = { v: 1, device: panel, policy, clock: "set", logNext: 2, report: bytes, mac, at: 1_795_000_000 };
  return cloud.intake.receive(gateway, { site: "maple-court", device: panel, channel: "reported" }, json(message));
}

function heldBy(cloud: TestCloud) {
  return deviceRows(cloud).find(({ device }) => device === panel)?.sync;
}

describe("an enrolled networked device", () => {
  it("[M15] is ordered a policy that it can take, and another when somebody is revoked", async () => {
    const { cloud, clock, enrolment } = await enrolled();
    const messages = catchMessages(cloud);
    const newest = () => {
      cloud.publishDesired();
      const sent = messages.filter(({ topic }) => topic.device === panel && topic.channel === "desired").at(-1);
      const read = parsePayload(deviceDesiredSchema, utf8(sent?.payload ?? ""));
      if (!read.ok) throw new Error(read.fault.code);
      return read.value;
    };
    const carl = (bundle: Uint8Array) => {
      const policy = decodePolicy(bundle);
      return policy.ok ? policy.value.credentials.find(({ id }) => id === "carl-rf")?.state : undefined;
    };
    const { pairingId, policyKey } = enrolment;
    const facts = { pairingId, policyKey, holds: { epoch: 0, version: 0 }, now: cloud.authority.now() };
    const first = newest();
    expect(first).toMatchObject({ kind: "device", policy: { epoch: 1, version: 1 }, revocations: [] });
    expect(verifyDelivery(first.manifest, first.bundle, facts).ok).toBe(true);
    expect(carl(first.bundle)).toBe("active");
    clock.advance(1_000);
    expect(cloud.authority.enrol(panel).ok).toBe(true);
    expect(newest().policy.version).toBe(1);
    expect(cloud.authority.revoke("carl").ok).toBe(true);
    const second = newest();
    expect(second).toMatchObject({ policy: { version: 2 }, revocations: [{ person: "carl", version: 2 }] });
    expect(verifyDelivery(second.manifest, second.bundle, { ...facts, holds: first.policy }).ok).toBe(true);
    expect(carl(second.bundle)).toBe("revoked");
  });

  it("row 61: [M14] is exposed until its own report says that it knows", async () => {
    const { cloud, enrolment } = await enrolled();
    expect(say(cloud, enrolment, { version: 1 })).toBe(true);
    expect(cloud.authority.revoke("carl").ok).toBe(true);
    expect(exposureView(cloud).reckoned).toMatchObject([
      { device: panel, person: "carl", holds: { epoch: 1, version: 1 }, endsWith: { epoch: 1, version: 2 } },
    ]);
    expect(heldBy(cloud)).toMatchObject({ state: "pending", reported: { version: 1 } });
    expect(say(cloud, enrolment, { version: 2 })).toBe(true);
    expect(exposureView(cloud).reckoned).toEqual([]);
    expect(heldBy(cloud)).toMatchObject({ state: "in-sync", reported: { version: 2 } });
  });

  it("[M14] is not believed by a gateway's word: MAC, pairing and reading must be its own", async () => {
    const { cloud, enrolment } = await enrolled();
    say(cloud, enrolment, { version: 1 });
    cloud.authority.revoke("carl");
    const refused = (said: Said): unknown => {
      expect(say(cloud, enrolment, said)).toBe(false);
      return cloud.record.refusals(1)[0]?.["code"];
    };
    expect(refused({ version: 2, reportKey: new Uint8Array(32) })).toBe("report-not-verified");
    expect(refused({ version: 2, pairingId: new Uint8Array(16) })).toBe("report-wrong-pairing");
    expect(refused({ version: 1, uptimeMs: 9_000, as: 2 })).toBe("report-not-as-said");
    expect(heldBy(cloud)?.reported).toMatchObject({ version: 1 });
    expect(exposureView(cloud).reckoned).toHaveLength(1);
  });

  it("[M14] takes nothing back by a report that comes late", async () => {
    const { cloud, enrolment } = await enrolled();
    expect(say(cloud, enrolment, { version: 2, bootCount: 2, uptimeMs: 10 })).toBe(true);
    expect(say(cloud, enrolment, { version: 1, bootCount: 1, uptimeMs: 90_000 })).toBe(true);
    expect(say(cloud, enrolment, { version: 1, bootCount: 2, uptimeMs: 9 })).toBe(true);
    expect(heldBy(cloud)?.reported).toMatchObject({ version: 2 });
  });
});
