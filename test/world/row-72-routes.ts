/**
 * What each HTTP route is, as far as a door is concerned. Row 72: none of them opens one without a credential. A route that is not listed here
 * fails the walk, and so does a line here for a route that is gone: whoever adds a route says what it is, and the walk drives it.
 *
 * `looks`     reads.
 * `manages`   changes what the authority or the world knows; moves nothing.
 * `hands-out` gives somebody a credential or a key to one: using it is presenting it, at the door.
 * `presents`  is somebody at a door who presents something; denied without a credential.
 * `signs`     has the authority sign an unlock command for somebody who proves who they are and may open that door now.
 */
import type { Server } from "./open-house.ts";

export type RouteKind = "looks" | "manages" | "hands-out" | "presents" | "signs";

export interface RouteEntry {
  readonly kind: RouteKind;
  /** Bodies that this very route would take, beside those that every route is given. */
  readonly bodies?: readonly unknown[];
}

const looks: RouteEntry = { kind: "looks" };
const manages = (...bodies: readonly unknown[]): RouteEntry => ({ kind: "manages", bodies });
const handsOut = (...bodies: readonly unknown[]): RouteEntry => ({ kind: "hands-out", bodies });
const presents = (...bodies: readonly unknown[]): RouteEntry => ({ kind: "presents", bodies });

const key32 = Buffer.alloc(32, 9).toString("base64");
/**
 * Digits that are no credential of Maple Court: none has this length but the gate's PIN, which is another one. A lock without a check mark
 * waits 5 s for the rest of each, so these are few.
 */
const famousCodes = ["0000", "1234", "123456"];

export const routeEntries: Readonly<Record<Server, Readonly<Record<string, RouteEntry>>>> = {
  agent: {
    "GET /healthz": looks,
    "GET /metrics": looks,
    "GET /api/status": looks,
    "GET /readyz": looks,
    "GET /api/diagnostics": looks,
    "POST /api/sticker-check": manages({ panel: "lobby-link", verdict: "pass", identity: "current", letter: "A" }),
    "GET /api/panels": looks,
    "GET /api/exposure": looks,
    "GET /api/log": looks,
    "POST /api/person/erase": manages({ person: "leo-marsh" }),
    "POST /api/sync": manages({ device: "lobby-lock" }, { device: "gym-lock" }),
    "GET /api/sync/:device": looks,
    "POST /api/pair": manages({ device: "roof-lock", code: "DOORLINK:0" }),
    // A claim's string and the certificate that comes of it are a device's place on the broker, and open nothing.
    "GET /api/enrolments": looks,
    "POST /api/claims": manages({ device: "gym-lock", serial: "MASTER" }),
    "POST /api/enrolments/:device/revoke": manages(),
    "POST /api/sticker": manages(...["rotate", "retire", "seen"].map((action) => ({ panel: "lobby-link", action })), {
      panel: "master",
      action: "rotate",
    }),
  },
  cloud: {
    "GET /healthz": looks,
    "GET /api/people": looks,
    "GET /api/doors": looks,
    "GET /api/devices": looks,
    "GET /api/exposure": looks,
    "GET /api/calls": looks,
    "GET /api/doorcodes": looks,
    "GET /api/doorcodes/:delivery": looks,
    "GET /api/panels/:id/directory": looks,
    "GET /api/record/events": looks,
    "GET /api/record/summary": looks,
    "GET /api/record/refusals": looks,
    "GET /api/record/unlocks": looks,
    "GET /api/record/stickers": looks,
    "GET /api/gateways": looks,
    // What a gateway itself can be told to do, of which nothing opens (SPEC M23).
    "POST /api/gateways/:id/commands": manages(
      { action: "sync", device: "lobby-lock" },
      { action: "reload" },
      { action: "diagnose" },
      { action: "unlock", device: "gym-lock" },
    ),
    "GET /api/gateways/:id/commands": looks,
    "PUT /api/gateways/:id/settings": manages({ settings: [{ setting: "sync.automatic", value: true }] }),
    "POST /api/people/:id/erase": manages(),
    "GET /bench/record/events": looks,
    "GET /bench/record/summary": looks,
    "GET /bench/record/unlocks": looks,
    "GET /app/log": looks,
    "GET /world/link": looks,
    "GET /L/:token": looks,
    "GET /calls/:call": looks,
    "GET /app/calls": looks,
    "GET /app/codes": handsOut(),
    "GET /app/doorcodes/:delivery": looks,
    "POST /L/:token/call": manages({ resident: "ana-reyes" }),
    "POST /app/calls/:call/answer": manages(),
    "POST /app/calls/:call/decline": manages(),
    "POST /app/calls/:call/doorcode": handsOut({ mode: "all-day" }),
    "POST /app/doorcodes": handsOut({ door: "lobby", deliver: { kind: "sms", to: "+15550100" } }),
    "POST /app/certificate": handsOut({ credential: "kira-app" }),
    "POST /app/sign-out": manages(),
    // A courier's certificate opens nothing, and what it carries it cannot read (SPEC Y14, Y17).
    "POST /app/courier/:device": manages({ staticPublicKey: key32 }),
    "POST /app/courier/:device/time": manages({ nonce: key32.slice(0, 22).concat("==") }),
    "POST /app/courier/:device/log": manages({ batches: [key32] }, { report: key32, mac: key32 }),
    "POST /api/doorcodes": handsOut({ door: "lobby", issuer: "kira-lund", deliver: { kind: "sms", to: "+15550100" } }),
    "POST /api/panels/:id/rotate": manages(),
    "POST /api/panels/:id/retire": manages(),
    "POST /api/people/:id/password-reset": manages(),
    "POST /api/people/:id/revoke": manages(),
    "POST /api/doors/:id/unlock": {
      kind: "signs",
      bodies: [{ by: "kira-lund" }, { by: "ana-reyes" }, { by: "support" }],
    },
    "POST /api/devices/:id/open-pairing": manages(),
    "POST /api/keys/rotate": manages(),
    "POST /bench/cards": handsOut({ credential: "kira-card" }),
    "POST /bench/enrol": handsOut({ device: "gym-lock" }),
    "POST /bench/gateways": manages({ gateway: "gateway-master", password: "a long enough master password" }),
    "POST /bench/mailbox": handsOut({ kind: "sms", to: "+15550100" }),
    "POST /bench/outbox": manages({ bouncePercent: 0, stuckPercent: 0, delayMs: 0 }),
    "POST /bench/pair": handsOut({ device: "roof-lock", staticPublicKey: key32, address: "C0:FF:EE:00:00:03" }),
    "POST /bench/phones": handsOut({ phone: "leo-phone", person: "leo-marsh" }),
    "POST /world/link": manages({ up: false }, { up: true }),
    "POST /world/receipts": manages({ lost: true }, { lost: false }),
    "PUT /api/site": manages("site: {id: maple-court}"),
  },
  site: {
    "GET /": looks,
    "GET /page.css": looks,
    "GET /page.js": looks,
    "GET /healthz": looks,
    "GET /api/world": looks,
    "GET /api/world/stream": looks,
    "GET /api/log": looks,
    "GET /api/devices/:id/log": looks,
    "GET /api/panels/:id/sticker.png": looks,
    "GET /api/visitors/photos/:name": looks,
    "POST /api/panels/:id/mount": manages(),
    "POST /api/locks/:id/keypad": presents(...famousCodes.map((code) => ({ code })), { key: "check" }, { key: "0" }),
    "GET /api/locks/:id/setup-code": looks,
    "POST /api/locks/:id/factory-reset": manages(),
    "POST /api/devices/:id/claim": manages({ claim: "DOORLINK-CLAIM:MASTER" }),
    "POST /api/locks/:id/deadbolt": manages({ deadbolt: "extended" }, { deadbolt: "retracted" }),
    "POST /api/people/:id/try": presents(
      ...[
        "gym-lock",
        "lobby-lock",
        "roof-lock",
        "apartment-2a-lock",
        "gate-panel",
        "garage-panel",
        "elevator-controller",
      ].flatMap((device) =>
        [undefined, "spare-rf", "kira-app", "chloe-key", "master"].map((credential) => ({ device, credential })),
      ),
    ),
    "POST /api/people/:id/sync": manages({ device: "lobby-lock" }, { device: "gym-lock", phone: "leo-phone" }),
    "POST /api/people/:id/sign-in": handsOut({ phone: "leo-phone" }),
    "POST /api/people/:id/sign-out": manages({ phone: "leo-phone" }),
    "POST /api/people/:id/codes": handsOut({}),
    "POST /api/visitors/scan": manages({ panel: "lobby-link" }),
    "POST /api/visitors/call": handsOut({ panel: "lobby-link", resident: "ana-reyes" }),
    "POST /api/visitors/type": presents({ lock: "lobby-lock" }, { lock: "gym-lock" }),
    "GET /agent/api/status": looks,
    "GET /agent/api/panels": looks,
    "GET /agent/api/exposure": looks,
    "GET /agent/api/log": looks,
    "GET /agent/api/sync/:device": looks,
    "POST /agent/api/sync": manages({ device: "lobby-lock" }),
    "GET /cloud/api/people": looks,
    "GET /cloud/api/doors": looks,
    "GET /cloud/api/devices": looks,
    "GET /cloud/api/exposure": looks,
    "GET /cloud/bench/record/summary": looks,
    "GET /cloud/world/link": looks,
    "POST /cloud/world/link": manages({ up: false }, { up: true }),
    "POST /cloud/api/people/:id/revoke": manages(),
  },
};

/** What every route that takes a body is given: nothing, things that mean nothing, and what somebody in a hurry would try. */
export const generalBodies: readonly unknown[] = [
  undefined,
  {},
  [],
  "open",
  { master: true },
  { open: true, force: true, reason: "support" },
  { door: "gym", action: "unlock" },
  { device: "gym-lock", action: "unlock", command: "open" },
  { lock: "gym-lock", code: "0000" },
  { by: "support", override: true },
  { by: "kira-lund", master: true },
];

/** Who does it, where a route says so: nobody that any door lets in. */
const strangers = ["support", "master", "leo-marsh"];

/** Values for a parameter of a path. */
export function parameterValues(path: string, name: string): readonly string[] {
  if (path.includes("/people/")) return strangers;
  if (path.includes("/gateways/")) return ["gateway-maple", "master"];
  if (path.includes("/doors/")) return ["gym", "gate", "lobby", "master"];
  if (path.includes("/panels/")) return ["lobby-link", "master"];
  // A lock that was reset has no log, and the lobby's shows that the walk sees openings.
  if (path.endsWith("/factory-reset")) return ["gym-lock", "apartment-2a-lock", "gate-panel", "master"];
  if (path.includes("/locks/")) return ["gym-lock", "lobby-lock", "apartment-2a-lock", "gate-panel", "master"];
  if (name === "device" || path.includes("/devices/")) return ["gym-lock", "master"];
  return ["MASTER", "0"];
}
