import { describe, expect, it } from "vitest";
import { findExposures, isNewer } from "../../../agent/sync/exposure.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { type DeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { type LockDesired, lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { lockDesired } from "../../world/gateway-builder.ts";

type Revocation = { person: string; since: number; version: number; what?: "revoked" | "signed-out" };

function lock(device: string, ...revocations: readonly Revocation[]): LockDesired {
  const message = lockDesired({ version: 9, device, revocations });
  const read = parsePayload(lockDesiredSchema, utf8(JSON.stringify(message)));
  if (!read.ok) throw new Error(read.fault.code);
  return read.value;
}

describe("exposure", () => {
  const now = unixSeconds(1_000);
  const bob: Revocation = { person: "bob", since: 200, version: 5 };
  const cara = { person: "cara", since: 100, version: 7 };

  it("row 61: names each revocation that the lock has not confirmed, oldest first", () => {
    const holds = (device: DeviceId) => (device === "lock-a" ? { epoch: 1, version: 5 } : null);
    expect(findExposures([lock("lock-a", bob, cara), lock("lock-b", bob)], holds, now)).toEqual([
      { device: "lock-a", person: "cara", since: 100, what: "revoked", holds: { epoch: 1, version: 5 } },
      { device: "lock-b", person: "bob", since: 200, what: "revoked", holds: null },
    ]);
    expect(findExposures([lock("lock-a", bob, cara)], () => ({ epoch: 1, version: 7 }), now)).toEqual([]);
  });

  it("[G3] names somebody who lost several rights once, since the first that the lock has not confirmed", () => {
    const again = { person: "bob", since: 300, version: 6 };
    const at = (version: number) => findExposures([lock("lock-a", again, bob)], () => ({ epoch: 1, version }), now);
    expect(at(4)).toMatchObject([{ person: "bob", since: 200 }]);
    expect(at(5)).toMatchObject([{ person: "bob", since: 300 }]);
    expect(at(6)).toEqual([]);
  });

  it("[G3] orders by epoch before version", () => {
    const versions = [0, 1, 2];
    for (const left of versions.flatMap((epoch) => versions.map((version) => ({ epoch, version })))) {
      for (const right of versions.flatMap((epoch) => versions.map((version) => ({ epoch, version })))) {
        const newer = left.epoch * 10 + left.version > right.epoch * 10 + right.version;
        expect(isNewer(left, right), JSON.stringify({ left, right })).toBe(newer);
      }
    }
    expect(findExposures([lock("lock-a", bob)], () => ({ epoch: 2, version: 1 }), now)).toEqual([]);
  });

  it("[G3] says who was only signed out, which somebody is not who lost anything else as well", () => {
    const reset = { person: "bob", since: 150, version: 4, what: "signed-out" as const };
    const at = (version: number, ...told: readonly Revocation[]) =>
      findExposures([lock("lock-a", ...told)], () => ({ epoch: 1, version }), now);
    expect(at(3, reset)).toMatchObject([{ person: "bob", what: "signed-out" }]);
    expect(at(3, reset, bob)).toMatchObject([{ person: "bob", since: 150, what: "revoked" }]);
    expect(at(3, bob, { ...reset, version: 6 })).toMatchObject([{ person: "bob", since: 150, what: "revoked" }]);
    expect(at(5, bob, { ...reset, version: 6 })).toMatchObject([{ person: "bob", since: 150, what: "signed-out" }]);
  });

  it("[G3] a revocation that is dated ahead is none before its time, by this clock or by the authority's when this one is behind", () => {
    const ahead = { person: "bob", since: 2_000, version: 5 };
    const at = (clock: number, revision: number, ...told: readonly Revocation[]) =>
      findExposures([{ ...lock("lock-a", ...told), revision }], () => ({ epoch: 1, version: 4 }), unixSeconds(clock));
    expect(at(1_999, 9, ahead)).toEqual([]);
    expect(at(2_000, 9, ahead)).toMatchObject([{ person: "bob", since: 2_000 }]);
    expect(at(1_999, 9, ahead, bob)).toMatchObject([{ person: "bob", since: 200 }]);
    expect(at(0, 1_999_000, ahead)).toEqual([]);
    expect(at(0, 2_000_000, ahead)).toMatchObject([{ person: "bob", since: 2_000 }]);
  });
});
