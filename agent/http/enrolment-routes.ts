/**
 * Certificates of networked devices over the agent's API: open a claim, look, revoke. For this machine alone (SPEC H1): whoever opens a
 * claim learns its string, which gives a device its place on the broker and opens no door.
 */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { type DeviceId, parseDeviceId } from "../../protocol/base/units.ts";
import { isClaimSerial } from "../../protocol/wire/claim-string.ts";
import type { Enrolment } from "../enrolment/enrolment-document.ts";
import type { Enrolments, OpenClaimFault } from "../enrolment/enrolments.ts";
import { renewAt } from "../enrolment/server-certificate.ts";
import type { KnownTime } from "../enrolment/trusted-time.ts";
import type { Gateway } from "../gateway.ts";

const seconds = z.number().int();
/** A claim that is not used within a week was forgotten. */
const CLAIM_MINUTES_MAX = 7 * 24 * 60;

export const certificateStates = [
  /** None was ever asked for. */
  "none",
  "claim-open",
  "good",
  /** Two thirds of its life are over, and it is not renewed yet. */
  "due",
  /** Half of what was left then is over as well: something keeps it from renewing. */
  "overdue",
  "expired",
  "revoked",
] as const;

export const enrolmentView = z.strictObject({
  device: z.string(),
  state: z.enum(certificateStates),
  certificate: z
    .strictObject({ serialNumber: z.string(), notBefore: seconds, notAfter: seconds, renewAt: seconds })
    .nullable(),
  claim: z
    .strictObject({
      serial: z.string(),
      expiresAt: seconds,
      usedAt: seconds.nullable(),
      tries: z.number(),
      /** Tries with the right code and another key than the first. */
      otherKeys: z.number(),
    })
    .nullable(),
  revokedAt: seconds.nullable(),
});
export type EnrolmentView = z.output<typeof enrolmentView>;

export const enrolmentsAnswer = z.strictObject({
  at: seconds,
  /** False: nobody knows what time it is, and nothing is signed. */
  clockTrusted: z.boolean(),
  enrolments: z.array(enrolmentView),
});

export const claimRequest = z.strictObject({
  device: z.string().max(64),
  /** As on the device's label; what its birth said when absent. */
  serial: z.string().max(64).optional(),
  minutes: z.number().int().min(1).max(CLAIM_MINUTES_MAX).default(60),
});
export const claimAnswer = z.strictObject({
  device: z.string(),
  serial: z.string(),
  claim: z.string(),
  expiresAt: seconds,
  names: z.array(z.string()),
  port: z.number().nullable(),
});
export type ClaimAnswer = z.output<typeof claimAnswer>;

export type EnrolmentFault = {
  readonly code: OpenClaimFault["code"] | "not-enrolled" | "no-serial" | "bad-request";
  readonly reason?: string;
};
type Said = (fault: EnrolmentFault) => { readonly status: number; readonly body: object };

export interface EnrolmentRoutes {
  readonly gateway: Gateway;
  /** Absent: the broker is another machine's, and so are its certificates. */
  readonly desk: EnrolmentDesk | undefined;
  readonly say: Said;
}

export interface EnrolmentDesk {
  readonly enrolments: Enrolments;
  /** By what devices call the broker. */
  readonly brokerNames: readonly string[];
}

export function registerEnrolmentRoutes(app: FastifyInstance, { gateway, desk, say }: EnrolmentRoutes): void {
  const { enrolments, brokerNames = [] } = desk ?? {};
  const networked = (text: string): DeviceId | undefined => {
    const device = parseDeviceId(text);
    return device !== undefined && gateway.table.device(device)?.network === "mqtt" ? device : undefined;
  };
  const view = (device: DeviceId, time: KnownTime): EnrolmentView =>
    enrolmentView.parse(describeEnrolment(device, enrolments?.enrolment(device), time));
  const noEnrolments = { code: "no-tls", reason: "this gateway has no embedded broker" } as const;
  app.get("/api/enrolments", async (_request, reply) => {
    if (enrolments === undefined) return refuse(reply, say(noEnrolments));
    const time = enrolments.time();
    const devices = gateway.table.devices().filter(({ network }) => network === "mqtt");
    return enrolmentsAnswer.parse({
      at: Math.floor(time.now / 1000),
      clockTrusted: time.trusted,
      enrolments: devices.map(({ id }) => view(id, time)),
    });
  });
  app.post("/api/claims", async (request, reply) => {
    const body = claimRequest.safeParse(request.body);
    if (!body.success) return refuse(reply, say({ code: "bad-request", reason: "expected device, serial, minutes" }));
    if (enrolments === undefined) return refuse(reply, say(noEnrolments));
    const named = parseDeviceId(body.data.device);
    if (named === undefined || gateway.table.device(named) === undefined) {
      return refuse(reply, say({ code: "unknown-device" }));
    }
    const serial = (body.data.serial ?? gateway.table.words(named).birth?.serial)?.toUpperCase();
    if (serial === undefined) return refuse(reply, say({ code: "no-serial" }));
    if (!isClaimSerial(serial)) return refuse(reply, say({ code: "bad-serial" }));
    const opened = await enrolments.openClaim(named, serial, body.data.minutes * 60_000);
    if (!opened.ok) return refuse(reply, say(opened.fault));
    const expiresAt = Math.floor(opened.value.expiresAt / 1000);
    return claimAnswer.parse({ ...opened.value, expiresAt, names: brokerNames, port: gateway.brokerPort() });
  });
  app.post("/api/enrolments/:device/revoke", async (request, reply) => {
    const params = z.strictObject({ device: z.string() }).safeParse(request.params);
    const device = params.success ? parseDeviceId(params.data.device) : undefined;
    if (enrolments === undefined) return refuse(reply, say(noEnrolments));
    // Also one that the authority no longer lists: its certificate may still be somewhere.
    if (device === undefined) return refuse(reply, say({ code: "unknown-device" }));
    const revoked = await enrolments.revoke(device);
    if (revoked.ok) return view(device, enrolments.time());
    return refuse(reply, say(networked(device) === undefined ? { code: "unknown-device" } : revoked.fault));
  });
}

/** How a device's certificate stands at `time`. */
export function describeEnrolment(device: DeviceId, enrolment: Enrolment | undefined, time: KnownTime): EnrolmentView {
  const newest = enrolment?.certificates.at(-1);
  const claim = enrolment?.claim ?? null;
  return {
    device,
    state: stateOf(enrolment, time),
    certificate:
      newest === undefined
        ? null
        : {
            serialNumber: newest.serialNumber,
            notBefore: toSeconds(newest.notBefore),
            notAfter: toSeconds(newest.notAfter),
            renewAt: toSeconds(renewAt(newest.notBefore, newest.notAfter)),
          },
    claim:
      claim === null
        ? null
        : {
            serial: claim.serial,
            expiresAt: toSeconds(claim.expiresAt),
            usedAt: claim.usedAt === null ? null : toSeconds(claim.usedAt),
            tries: claim.tries,
            otherKeys: claim.otherKeys,
          },
    revokedAt: enrolment?.revokedAt == null ? null : toSeconds(enrolment.revokedAt),
  };
}

function stateOf(enrolment: Enrolment | undefined, { now }: KnownTime): EnrolmentView["state"] {
  if (enrolment === undefined) return "none";
  const claim = enrolment.claim;
  const isOpen = claim !== null && claim.usedBy === null && now <= claim.expiresAt;
  const newest = enrolment.certificates.at(-1);
  if (newest === undefined) return isOpen ? "claim-open" : enrolment.revokedAt === null ? "none" : "revoked";
  const due = renewAt(newest.notBefore, newest.notAfter);
  if (now > newest.notAfter) return "expired";
  if (now >= (due + newest.notAfter) / 2) return "overdue";
  return now >= due ? "due" : "good";
}

export function enrolmentStatusOf({ code }: EnrolmentFault): number {
  switch (code) {
    case "bad-request":
    case "bad-serial":
    case "no-serial":
      return 400;
    case "unknown-device":
      return 404;
    case "clock-not-trusted":
      return 503;
    case "no-tls":
    case "not-a-networked-device":
    case "serial-taken":
    case "not-enrolled":
      return 409;
  }
}

function refuse(
  reply: { code(status: number): { send(body: object): unknown } },
  { status, body }: ReturnType<Said>,
): unknown {
  return reply.code(status).send(body);
}

function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}
