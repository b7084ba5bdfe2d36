/** The authority's part in a gateway's delegated time: who gets a delegation, for how long, and when the next. */
import { describe, expect, it } from "vitest";
import { bytesToBase64, utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, x25519PublicKey } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { gatewayDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { answerDelegatedTime, readDelegatedTime, timeDelegate } from "../../../protocol/wire/time-delegate.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { catchMessages, gateway, json, noon, startCloud, type TestCloud } from "./fixture.ts";

const weekSeconds = 7 * 86_400;
const halfWeekMs = (weekSeconds * 1000) / 2;
const timeKey = new Uint8Array(32).fill(4);

function receive(cloud: TestCloud, topic: string, message: unknown): boolean {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined) throw new Error(`${topic} is no topic`);
  return cloud.intake.receive(gateway, parsed, json(message));
}

function born(cloud: TestCloud, keys: { readonly timePublicKey?: string } = { timePublicKey: publicTimeKey }): void {
  const courierPublicKey = bytesToBase64(x25519PublicKey(new Uint8Array(32).fill(3)));
  const birth = { v: 1, device: gateway, model: "gateway", bootCount: 1, firmware: "0.1.0", hardware: null };
  expect(receive(cloud, `${gateway}/birth`, { ...birth, courierPublicKey, ...keys })).toBe(true);
}

const publicTimeKey = bytesToBase64(ed25519PublicKey(timeKey));

async function startWithGateway() {
  const { cloud, clock } = await startCloud();
  const messages = catchMessages(cloud);
  /** The gateway's desired documents that went out since it was last asked. */
  const told = () =>
    messages
      .splice(0)
      .filter(({ topic }) => topic.device === gateway && topic.channel === "desired")
      .map(({ payload }) => {
        const read = parsePayload(gatewayDesiredSchema, utf8(payload));
        if (!read.ok) throw new Error(read.fault.code);
        return read.value;
      });
  const hear = (): boolean => {
    const state = { v: 1, device: gateway, online: true, heardAt: cloud.authority.now() };
    return receive(cloud, `${gateway}/state`, state);
  };
  return { cloud, clock, told, hear };
}

function dated(desired: ReturnType<Awaited<ReturnType<typeof startWithGateway>>["told"]>[number] | undefined) {
  const read = timeDelegate.decode(desired?.timeDelegate?.bytes ?? new Uint8Array(0));
  if (!read.ok) throw new Error("no delegation");
  return { from: read.value.from, notAfter: read.value.notAfter };
}

describe("a gateway's delegation", () => {
  it("[J1] [J9] is given at its birth, for its own key, for 7 days from then, and a lock takes its word under it", async () => {
    const { cloud, told } = await startWithGateway();
    born(cloud);
    const desired = told().at(-1);
    expect(dated(desired)).toEqual({ from: noon, notAfter: noon + weekSeconds });
    const certificate = desired?.timeDelegate;
    if (certificate === undefined || certificate === null) throw new Error("no delegation");
    const lock = { pairingId: new Uint8Array(16).fill(1), nonce: new Uint8Array(16).fill(2) };
    const answer = answerDelegatedTime(timeKey, { ...lock, unixMs: unixMs(noon * 1000), radiusMs: 1 });
    const { time } = authorityPublicKeys(cloud.authority.roles);
    expect(readDelegatedTime(time, lock, certificate, answer)).toMatchObject({
      ok: true,
      value: { delegation: { holder: gateway } },
    });
  });

  it("[J9] is none for a gateway that has told no key for it, and its certificate stands all the same", async () => {
    const { cloud, told } = await startWithGateway();
    born(cloud, {});
    const desired = told().at(-1);
    expect(desired?.timeDelegate).toBeNull();
    expect(desired?.courierCertificate).not.toBeNull();
  });

  it("[J9] of a gateway that is heard is renewed when half of it is over, not before, and each time anew", async () => {
    const { cloud, clock, told, hear } = await startWithGateway();
    born(cloud);
    told();
    for (let round = 1; round <= 3; round++) {
      clock.advance(halfWeekMs - 1_000);
      expect(hear()).toBe(true);
      expect(told()).toEqual([]);
      clock.advance(1_000);
      expect(hear()).toBe(true);
      const from = unixSeconds(noon + (round * weekSeconds) / 2);
      expect(told().map(dated)).toEqual([{ from, notAfter: from + weekSeconds }]);
      expect(hear()).toBe(true);
      expect(told()).toEqual([]);
    }
  });

  it("[J9] of a gateway that is away is not, and is when it comes back", async () => {
    const { cloud, clock, told, hear } = await startWithGateway();
    born(cloud);
    told();
    clock.advance(10 * weekSeconds * 1000);
    expect(told()).toEqual([]);
    hear();
    expect(told().map(dated)).toEqual([{ from: noon + 10 * weekSeconds, notAfter: noon + 11 * weekSeconds }]);
  });

  it("[J9] is not renewed by what is refused", async () => {
    const { cloud, clock, told } = await startWithGateway();
    born(cloud);
    told();
    clock.advance(weekSeconds * 1000);
    expect(receive(cloud, `${gateway}/state`, { v: 1, device: "gateway-other" })).toBe(false);
    expect(receive(cloud, "stranger/state", {})).toBe(false);
    expect(told()).toEqual([]);
  });

  it("[J9] of another key comes with a birth that tells one, at once", async () => {
    const { cloud, told } = await startWithGateway();
    born(cloud);
    told();
    const another = ed25519PublicKey(new Uint8Array(32).fill(5));
    born(cloud, { timePublicKey: bytesToBase64(another) });
    const read = timeDelegate.decode(told().at(-1)?.timeDelegate?.bytes ?? new Uint8Array(0));
    expect(read).toMatchObject({ ok: true, value: { publicKey: another } });
  });

  it("[J9] [Z5] is signed by the new time key after the authority's keys were changed", async () => {
    const { cloud, clock, told, hear } = await startWithGateway();
    born(cloud);
    const before = told().at(-1)?.timeDelegate;
    cloud.authority.rotateKeys();
    clock.advance(halfWeekMs);
    hear();
    const after = told().at(-1)?.timeDelegate;
    if (before === null || before === undefined || after === null || after === undefined) throw new Error("none");
    const lock = { pairingId: new Uint8Array(16).fill(1), nonce: new Uint8Array(16).fill(2) };
    const answer = answerDelegatedTime(timeKey, { ...lock, unixMs: unixMs(noon * 1000), radiusMs: 1 });
    const { time } = authorityPublicKeys(cloud.authority.roles);
    expect(readDelegatedTime(time, lock, after, answer).ok).toBe(true);
    expect(readDelegatedTime(time, lock, before, answer)).toMatchObject({ fault: { code: "bad-signature" } });
  });
});
