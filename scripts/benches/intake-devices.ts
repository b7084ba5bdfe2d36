/** The site that the intake is measured with, and what its devices say. */
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { hmacSha256 } from "../../protocol/crypto.ts";

export const benchSite = "bench-court";
export const benchPassword = "what enrolment gave this device";

export function benchDevice(index: number): DeviceId {
  return `panel-${String(index).padStart(4, "0")}` as DeviceId;
}

export function siteDesired(devices: number): string {
  const salt = new Uint8Array(16).fill(6);
  const login = {
    salt: bytesToBase64(salt),
    hash: bytesToBase64(hmacSha256(salt, utf8(benchPassword))),
  };
  return JSON.stringify({
    v: 1,
    kind: "gateway",
    revision: 1,
    site: { id: benchSite, name: "Bench Court", timeZone: "America/New_York" },
    courierCertificate: null,
    devices: Array.from({ length: devices }, (_, index) => ({
      id: benchDevice(index),
      model: "R20",
      network: "mqtt",
      door: "gate",
      doorName: "Gate",
      login,
    })),
    people: [],
  });
}

/** A message of one event, 280 to 290 bytes: a denial with its reason, its text and its time. */
export function eventMessage(device: string, sequence: number): string {
  return `{"v":1,"device":"${device}","events":[{"boot":1,"sequence":${sequence},"at":{"unixSeconds":1795000000,"quality":"set"},"kind":"access-denied","credentialType":"keycard","reason":"CREDENTIAL_UNKNOWN","failedChecks":["CREDENTIAL_UNKNOWN"],"detail":"Invalid NFC: no such credential at this door"}]}`;
}
