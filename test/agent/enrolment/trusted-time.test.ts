/** Whether a gateway knows what time it is: a machine that wakes up in 1970, one that was set by a time server, and the authority's word. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AuthorityTime, gatewayPairingId, readTimeForGateway } from "../../../agent/enrolment/authority-time.ts";
import { judgeCertificate } from "../../../agent/enrolment/judge-certificate.ts";
import { askSystemClock } from "../../../agent/enrolment/system-clock.ts";
import {
  BUILD_TIME,
  parseClockDocument,
  type SystemClockState,
  TrustedTime,
} from "../../../agent/enrolment/trusted-time.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { answerTime, keysetOf } from "../../../protocol/sync/authority.ts";
import { rootPublicKey, signKeyset } from "../../../protocol/wire/keyset.ts";
import { gatewayId } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";
import { authorityKeys, rootSeed } from "../../world/sync-pair.ts";

const DAY_MS = 86_400_000;
const START = BUILD_TIME + 30 * DAY_MS;

function timeOn(clock: SteppedClock, store = new MemoryStore(), state: SystemClockState = "unknown"): TrustedTime {
  return new TrustedTime({ clock, store, gateway: gatewayId, systemClock: () => state });
}

describe("trusted time", () => {
  it("[I10] a machine at 1970 does not know the time, and judges by the day of the build", () => {
    expect(timeOn(new SteppedClock(0)).now()).toEqual({ trusted: false, now: BUILD_TIME });
    expect(timeOn(new SteppedClock(BUILD_TIME - 1)).now().trusted).toBe(false);
    expect(timeOn(new SteppedClock(BUILD_TIME)).now()).toMatchObject({ trusted: true, basis: "system-clock" });
  });

  it.each([
    ["not-synchronised", { trusted: false, now: BUILD_TIME }],
    ["asking", { trusted: false, now: BUILD_TIME }],
    ["synchronised", { trusted: true, now: START, basis: "system-synchronised" }],
    ["unknown", { trusted: true, now: START, basis: "system-clock" }],
  ] as const)("[I10] a clock above the floor that the system calls %s", (state, expected) => {
    expect(timeOn(new SteppedClock(START), new MemoryStore(), state).now()).toEqual(expected);
  });

  it("[I10] the last time that was trusted is kept, and is the floor of the next run", async () => {
    const store = new MemoryStore();
    const clock = new SteppedClock(START);
    const time = timeOn(clock, store);
    await time.start(() => expect.unreachable());
    await clock.advance(3 * 3_600_000);
    time.stop();
    const woken = timeOn(new SteppedClock(BUILD_TIME + DAY_MS), store);
    await woken.load();
    const { trusted, now } = woken.now();
    expect(trusted).toBe(false);
    expect(now).toBeGreaterThan(START + 3 * 3_600_000 - 11 * 60_000);
  });

  it("[I10] writes no more than once in ten minutes", async () => {
    const store = new MemoryStore();
    let writes = 0;
    const put = store.putDocuments.bind(store);
    store.putDocuments = async (documents) => {
      writes += 1;
      return put(documents);
    };
    const clock = new SteppedClock(START);
    const time = timeOn(clock, store);
    await time.start(() => expect.unreachable());
    await clock.advance(DAY_MS);
    time.stop();
    expect(writes).toBeLessThanOrEqual(24 * 6 + 1);
    expect(writes).toBeGreaterThan(100);
  });

  it("[I10] what the authority wrote last is a floor, and its own word on the time counts and may take a floor back", async () => {
    const clock = new SteppedClock(0);
    const time = timeOn(clock);
    time.noteNotBefore(unixMs(START));
    expect(time.now()).toEqual({ trusted: false, now: START });
    time.noteAuthority(unixMs(START - DAY_MS));
    await clock.advance(5_000);
    expect(time.now()).toEqual({ trusted: true, now: START - DAY_MS + 5_000, basis: "authority" });
    // What would be before the build is no word of any authority.
    time.noteAuthority(unixMs(0));
    expect(time.now().now).toBe(START - DAY_MS + 5_000);
  });

  it("[I10] a kept time that cannot be read counts as none", async () => {
    const store = new MemoryStore();
    await store.putDocuments([{ kind: "clock", device: gatewayId, body: '{"v":1,"floorMs":"soon"}' }]);
    const time = timeOn(new SteppedClock(0), store);
    await time.load();
    expect(time.now()).toEqual({ trusted: false, now: BUILD_TIME });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(utf8)), (bytes) => {
        const read = parseClockDocument(bytes);
        if (!read.ok) expect(read.fault.code).toMatch(/^payload-/);
      }),
    );
  });

  it("[I10] until then a certificate of the own root is taken before its beginning, and its end judged by the floor", async () => {
    const { EnrolmentBench, panelId, newKey } = await import("../../world/enrolment-bench.ts");
    const { createPublicKey } = await import("node:crypto");
    const bench = await new EnrolmentBench().open();
    const spki = new Uint8Array(createPublicKey(newKey()).export({ format: "der", type: "spki" }));
    const made = await bench.authority.issueDevice(
      panelId,
      spki,
      { trusted: true, now: unixMs(START), basis: "system-clock" },
      30 * DAY_MS,
    );
    await bench.close();
    if (!made.ok) throw new Error();
    const judge = (trusted: boolean, at: number) => {
      const time = { trusted, now: unixMs(at), basis: "authority" } as const;
      const authorityKey = bench.authority.publicKey;
      const judged = judgeCertificate(made.value.der, { authorityKey, time, standing: () => "issued" });
      return judged.ok ? "good" : judged.fault.code;
    };
    expect(judge(true, START - DAY_MS)).toBe("certificate-not-yet-valid");
    expect(judge(false, START - DAY_MS)).toBe("good");
    expect(judge(false, START + 31 * DAY_MS)).toBe("certificate-expired");
    expect(judge(true, START + 31 * DAY_MS)).toBe("certificate-expired");
  });

  it("[I10] this machine's own answer is one of three words", async () => {
    expect(["synchronised", "not-synchronised", "unknown"]).toContain(await askSystemClock());
  });
});

describe("the authority's word on the time", () => {
  const roles = authorityKeys;
  const keyset = signKeyset(rootSeed, keysetOf(roles, 1, unixSeconds(4_000_000_000)));
  const pairing = { root: rootPublicKey(rootSeed), keyset };
  const nonce = new Uint8Array(randomBytes(16));
  const answer = (fields: { pairingId?: Uint8Array; nonce?: Uint8Array } = {}) =>
    answerTime(roles, { pairingId: gatewayPairingId, nonce, unixMs: unixMs(START), radiusMs: 0, ...fields });

  it("[I10] is taken for this gateway and this nonce, signed by the time key under the pinned root, and no other", () => {
    expect(readTimeForGateway(pairing, nonce, answer())).toBe(START);
    expect(readTimeForGateway(null, nonce, answer())).toBeUndefined();
    expect(readTimeForGateway(pairing, nonce, answer({ nonce: new Uint8Array(16) }))).toBeUndefined();
    // What was said to a lock is not said to a gateway.
    expect(readTimeForGateway(pairing, nonce, answer({ pairingId: nonce }))).toBeUndefined();
    expect(readTimeForGateway({ ...pairing, root: new Uint8Array(32) }, nonce, answer())).toBeUndefined();
    const forged = { ...answer(), signature: new Uint8Array(64) };
    expect(readTimeForGateway(pairing, nonce, forged)).toBeUndefined();
  });

  it("[I10] is asked for until time is trusted, and not believed when it was under way for too long", async () => {
    const clock = new SteppedClock(0);
    const time = timeOn(clock);
    let tripMs = 3_000;
    let asked = 0;
    let trusted = 0;
    const asking = new AuthorityTime({
      clock,
      random: { bytes: () => nonce, fraction: () => 0 },
      time,
      pairing: () => pairing,
      writtenAt: () => unixMs(BUILD_TIME + DAY_MS),
      onTrusted: () => {
        trusted += 1;
      },
      ask: (question) =>
        new Promise((resolve) => {
          asked += 1;
          clock.after(tripMs, () => resolve(answer({ nonce: question })));
        }),
    });
    asking.start();
    await clock.advance(12_000);
    expect([asked, time.now()]).toEqual([2, { trusted: false, now: BUILD_TIME + DAY_MS }]);
    tripMs = 1_000;
    await clock.advance(10_000);
    expect(time.now().trusted).toBe(true);
    expect(time.now().now - START).toBeLessThan(10_000);
    await clock.advance(3_600_000);
    expect([asked, trusted]).toEqual([3, 1]);
    asking.stop();
  });
});
