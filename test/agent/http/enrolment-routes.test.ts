/** The routes of certificates: what they take, what they say of each fault, and how a certificate is shown as it grows old. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Enrolment } from "../../../agent/enrolment/enrolment-document.ts";
import {
  claimAnswer,
  describeEnrolment,
  enrolmentsAnswer,
  enrolmentView,
} from "../../../agent/http/enrolment-routes.ts";
import { createApp } from "../../../agent/http/server.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";
import { parseClaim } from "../../../protocol/wire/claim-string.ts";
import { EnrolmentBench, newKey, panelId } from "../../world/enrolment-bench.ts";
import {
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  panel,
  site,
  startGateway,
} from "../../world/gateway-builder.ts";

const DAY_MS = 86_400_000;
let world: GatewayWorld;
let bench: EnrolmentBench;
let app: ReturnType<typeof createApp>;

beforeEach(async () => {
  bench = await new EnrolmentBench().open();
  world = await startGateway({ automatic: false });
  const desired = gatewayDesired({ devices: [bleLock(), panel()] });
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, desired);
  await world.clock.advance(0);
  app = createApp({ ...world, enrolment: { enrolments: bench.enrolments, brokerNames: ["gateway.test"] } });
});
afterEach(async () => {
  await app.close();
  await world.gateway.stop();
  await bench.close();
});

async function ask(method: "GET" | "POST", url: string, payload?: object) {
  const headers = { host: "127.0.0.1" };
  const answer = await app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() as { readonly fault?: { readonly code: string } } };
}

describe("routes of certificates", () => {
  it("[I1] [I5] a claim is opened for a device, with the serial that was said or that its birth said", async () => {
    const opened = await ask("POST", "/api/claims", { device: panelId, serial: "r20-7714", minutes: 5 });
    const claim = claimAnswer.parse(opened.body);
    expect(claim).toMatchObject({ device: panelId, serial: "R20-7714", names: ["gateway.test"] });
    expect(parseClaim(claim.claim)).toMatchObject({ ok: true, value: { serial: "R20-7714" } });
    const listed = enrolmentsAnswer.parse((await ask("GET", "/api/enrolments")).body);
    expect(listed.enrolments).toMatchObject([{ device: panelId, state: "claim-open", claim: { tries: 0 } }]);
    // What the list shows is not enough to claim with.
    expect(JSON.stringify(listed)).not.toContain(claim.claim.slice(20, 40));
  });

  it.each([
    [400, "bad-request", { serial: "X" }],
    [400, "bad-request", { device: panelId, serial: "X", minutes: 0 }],
    [400, "bad-request", { device: panelId, serial: "X", minutes: 99_999 }],
    [400, "no-serial", { device: panelId }],
    [400, "bad-serial", { device: panelId, serial: "a b" }],
    [404, "unknown-device", { device: "master", serial: "X" }],
    [409, "not-a-networked-device", { device: "lock-c1", serial: "X" }],
  ] as const)("[I5] answers %i %s", async (status, code, body) => {
    expect(await ask("POST", "/api/claims", body)).toMatchObject({ status, body: { fault: { code } } });
  });

  it("[I10] opens none while nobody knows the time", async () => {
    bench.systemClock = "not-synchronised";
    const asked = await ask("POST", "/api/claims", { device: panelId, serial: "X" });
    expect(asked).toMatchObject({ status: 503, body: { fault: { code: "clock-not-trusted" } } });
    expect((await ask("GET", "/api/enrolments")).body).toMatchObject({ clockTrusted: false });
  });

  it("[I9] revokes, and says of whom there is nothing to revoke", async () => {
    await bench.claimDirectly(await bench.openClaim(), newKey());
    const revoked = await ask("POST", `/api/enrolments/${panelId}/revoke`, {});
    expect(enrolmentView.parse(revoked.body)).toMatchObject({ device: panelId, state: "revoked", certificate: null });
    expect(await ask("POST", "/api/enrolments/master/revoke", {})).toMatchObject({ status: 404 });
    expect(await ask("POST", "/api/enrolments/%00/revoke", {})).toMatchObject({ status: 404 });
  });

  it("[B8] a gateway without certificates of its own says so", async () => {
    const bare = createApp(world);
    for (const [method, url, payload] of [
      ["GET", "/api/enrolments", undefined],
      ["POST", "/api/claims", { device: panelId, serial: "X" }],
      ["POST", `/api/enrolments/${panelId}/revoke`, {}],
    ] as const) {
      const headers = { host: "127.0.0.1" };
      const answer = await bare.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
      expect([answer.statusCode, answer.json().fault.code]).toEqual([409, "no-tls"]);
    }
    await bare.close();
  });

  it("[I8] a certificate is due at two thirds of its life, overdue at five sixths, and then expired", async () => {
    await bench.claimDirectly(await bench.openClaim(), newKey());
    const enrolment = bench.enrolments.enrolment(panelId);
    const [certificate] = enrolment?.certificates ?? [];
    const state = (days: number, known: Enrolment | undefined = enrolment) => {
      const now = unixMs((certificate?.notBefore ?? 0) + days * DAY_MS);
      return describeEnrolment(panelId as DeviceId, known, { trusted: true, now, basis: "authority" }).state;
    };
    expect([0, 59, 61, 74, 76, 89, 91].map((days) => state(days))).toEqual([
      "good",
      "good",
      "due",
      "due",
      "overdue",
      "overdue",
      "expired",
    ]);
    expect(describeEnrolment(panelId, undefined, bench.time.now()).state).toBe("none");
  });
});
