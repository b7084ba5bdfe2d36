import { describe, expect, it } from "vitest";
import { findCertificates, type KnownCertificates } from "../../../agent/attention/certificates.ts";
import type { SiteDevice } from "../../../agent/devices.ts";

const day = 86_400_000;
const device: SiteDevice = {
  id: "panel-r20" as SiteDevice["id"],
  model: "R20",
  network: "mqtt",
  door: "gate",
  doorName: "Gate",
};

function known(options: {
  readonly now: number;
  readonly trusted?: boolean;
  readonly revokedAt?: number;
  readonly ends?: readonly number[];
}): KnownCertificates {
  const { now, trusted = true, revokedAt = null, ends = [90 * day] } = options;
  const certificates = ends.map((notAfter) => ({ notBefore: notAfter - 90 * day, notAfter }));
  return { enrolment: () => ({ certificates, revokedAt }), time: () => ({ trusted, now }) };
}

const says = (options: Parameters<typeof known>[0]) =>
  findCertificates(known(options), [device]).map(({ what }) => what);

describe("certificates that need a person", () => {
  it("[G34] a device renews by itself at two thirds; one that has not at five sixths is named, and one that ran out", () => {
    expect(says({ now: 61 * day })).toEqual([]);
    expect(says({ now: 74 * day })).toEqual([]);
    expect(says({ now: 76 * day })).toEqual(["its certificate expires in 14 d, and it has not renewed it"]);
    expect(says({ now: 91 * day })).toEqual(["its certificate has expired"]);
    expect(says({ now: 91 * day, ends: [90 * day, 150 * day] })).toEqual([]);
  });

  it("[G34] a revoked one, one without any, and a clock that nobody trusts say nothing", () => {
    expect(says({ now: 91 * day, revokedAt: 1 })).toEqual([]);
    expect(says({ now: 91 * day, ends: [] })).toEqual([]);
    expect(says({ now: 91 * day, trusted: false })).toEqual([]);
    expect(findCertificates({ ...known({ now: 0 }), enrolment: () => undefined }, [device])).toEqual([]);
  });
});
