import { describe, expect, it } from "vitest";
import { findExposures, isNewer } from "../../../agent/sync/exposure.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { type LockDesired, lockDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { lockDesired } from "../../world/gateway-builder.ts";

function lock(device: string, ...revocations: { person: string; since: number; version: number }[]): LockDesired {
  const message = lockDesired({ version: 9, device, revocations });
  const read = parsePayload(lockDesiredSchema, utf8(JSON.stringify(message)));
  if (!read.ok) throw new Error(read.fault.code);
  return read.value;
}

describe("exposure", () => {
  const bob = { person: "bob", since: 200, version: 5 };
  const cara = { person: "cara", since: 100, version: 7 };

  it("row 61: names each revocation that the lock has not confirmed, oldest first", () => {
    const holds = (device: DeviceId) => (device === "lock-a" ? { epoch: 1, version: 5 } : null);
    expect(findExposures([lock("lock-a", bob, cara), lock("lock-b", bob)], holds)).toEqual([
      { device: "lock-a", person: "cara", since: 100, holds: { epoch: 1, version: 5 } },
      { device: "lock-b", person: "bob", since: 200, holds: null },
    ]);
    expect(findExposures([lock("lock-a", bob, cara)], () => ({ epoch: 1, version: 7 }))).toEqual([]);
  });

  it("[G3] names somebody who lost several rights once, since the first that the lock has not confirmed", () => {
    const again = { person: "bob", since: 300, version: 6 };
    const at = (version: number) => findExposures([lock("lock-a", again, bob)], () => ({ epoch: 1, version }));
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
    expect(findExposures([lock("lock-a", bob)], () => ({ epoch: 2, version: 1 }))).toEqual([]);
  });
});
