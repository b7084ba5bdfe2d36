/** Pairing as the gateway makes it: what it objects to, what it carries, and when its radio gets to it. */
import { describe, expect, it } from "vitest";
import type { PairingOptions, PairingOutcome, RunPairing } from "../../../agent/ports/pairing.ts";
import { Pairings, type PairingsOptions, type PairRequest } from "../../../agent/sync/pairings.ts";
import type { PairAnswer } from "../../../agent/upstream/upstream.ts";
import { bytesToBase64, bytesToHex } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { rootFingerprint } from "../../../protocol/wire/keyset.ts";
import { pairingStatement } from "../../../protocol/wire/pairing-message.ts";
import {
  base64Of,
  bleLock,
  type GatewayWorldOptions,
  gatewayDesired,
  gatewayId,
  lockAddress,
  lockDesired,
  lockId,
  memoryLog,
  panel,
  site,
  startGateway,
  visitOutcome,
} from "../../world/gateway-builder.ts";
import { seededBytes } from "../../world/lossy-link.ts";

const root = new Uint8Array(32).fill(7);
const offer = { root: base64Of(32, 7), keyset: { bytes: base64Of(40, 1), signature: base64Of(64, 2) } };
const secret = seededBytes(3, 16);
const setup = { lockPublicKey: new Uint8Array(32).fill(4), secret };
const statement = pairingStatement.encode({
  ...{ pairingId: new Uint8Array(16).fill(6), lockPublicKey: new Uint8Array(32).fill(4), model: "C1" },
  ...{ firmware: "2.0.8", hardware: "C1-rev4", bootCount: 3, epoch: 1 },
});
const paired: PairingOutcome = {
  ok: true,
  statement,
  statementMac: new Uint8Array(32).fill(1),
  mac: new Uint8Array(32).fill(2),
};

/** A lock that is not paired yet and of which the site names no address. */
const newLock = { id: "lock-new", model: "C1", network: "ble", door: "unit-2b", doorName: "2B" };

async function startSite(options: GatewayWorldOptions & { readonly pairing?: object | null } = {}) {
  const world = await startGateway({ automatic: false, ...options });
  const { pairing = offer } = options;
  const devices = [bleLock(), panel(), newLock];
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, { ...gatewayDesired({ devices }), pairing });
  world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 1 }));
  await world.clock.advance(0);
  return world;
}

/** `Pairings` alone, with a scripted radio visit and a scripted authority. */
async function startPairings(
  options: {
    readonly runPairing?: RunPairing;
    readonly answers?: readonly PairAnswer[];
    readonly pairing?: object | null;
  } = {},
) {
  const world = await startSite({ pairing: options.pairing === undefined ? offer : options.pairing });
  const runs: PairingOptions[] = [];
  const asked: Parameters<PairingsOptions["upstream"]["askPairing"]>[0][] = [];
  const answers = [...(options.answers ?? [])];
  const logged: { level: string; text: string }[] = [];
  const pairings = new Pairings({
    table: world.table,
    upstream: {
      askPairing: async (question) => {
        asked.push(question);
        return answers.shift() ?? { ok: true, sealed: undefined };
      },
    },
    clock: world.clock,
    random: { bytes: (length) => new Uint8Array(length), fraction: () => 0.5 },
    log: memoryLog(logged),
    radio: world.radio,
    runPairing: (run) => {
      runs.push(run);
      return (options.runPairing ?? (async () => paired))(run);
    },
    courierPrivateKey: new Uint8Array(32).fill(3),
  });
  return { pairings, runs, asked, logged, world };
}

const request = (change: Partial<PairRequest> = {}): PairRequest => ({
  device: lockId,
  address: undefined,
  setup,
  ...change,
});

describe("what can be said without the radio", () => {
  it.each<[string, Partial<PairRequest>, string | undefined]>([
    ["a device that is not there", { device: "lock-zz" as DeviceId }, "unknown-device"],
    ["a panel", { device: "panel-r20" as DeviceId }, "not-a-ble-lock"],
    ["a lock whose address nobody knows", { device: "lock-new" as DeviceId }, "no-address"],
    ["the same, with an address", { device: "lock-new" as DeviceId, address: lockAddress }, undefined],
    ["a lock as the site knows it", {}, undefined],
    ["a card that names another root", { setup: { ...setup, rootFingerprint: new Uint8Array(16) } }, "another-root"],
    ["a card that names this one", { setup: { ...setup, rootFingerprint: rootFingerprint(root) } }, undefined],
  ])("%s", async (_what, change, code) => {
    const { pairings, runs } = await startPairings();
    expect(pairings.objection(request(change))?.code).toBe(code);
    const answer = await pairings.pair(request(change));
    expect("fault" in answer ? answer.fault.code : undefined).toBe(code);
    expect(runs).toHaveLength(code === undefined ? 1 : 0);
  });

  it("a gateway that was told no root and keyset pairs nothing", async () => {
    const { pairings, runs } = await startPairings({ pairing: null });
    expect(await pairings.pair(request())).toEqual({ device: lockId, fault: { code: "no-keyset" } });
    expect(runs).toEqual([]);
  });
});

describe("a pairing", () => {
  it("[Z7] [Z9] takes the authority's offer to the lock, and the lock's words to the authority", async () => {
    const sealed = new Uint8Array(60).fill(5);
    const handed: unknown[] = [];
    const { pairings, runs, asked } = await startPairings({
      answers: [
        { ok: true, sealed },
        { ok: true, sealed: undefined },
      ],
      runPairing: async ({ onAccepted }) => {
        handed.push(await onAccepted(statement, new Uint8Array(32).fill(1)));
        return paired;
      },
    });
    expect(await pairings.pair(request())).toEqual({
      device: lockId,
      pairingId: bytesToHex(new Uint8Array(16).fill(6)),
      address: lockAddress,
      model: "C1",
      firmware: "2.0.8",
      hardware: "C1-rev4",
      confirmed: true,
    });
    expect(runs[0]).toMatchObject({ address: lockAddress, setupSecret: secret, root });
    expect(handed).toEqual([{ sealed }]);
    const word = { device: lockId, address: lockAddress, statement: bytesToBase64(statement), mac: base64Of(32, 1) };
    expect(asked).toEqual([word, { ...word, confirmation: base64Of(32, 2) }]);
  });

  it("the operator's address goes before the site's", async () => {
    const { pairings, runs, asked } = await startPairings();
    const address = "C0:FF:EE:00:00:77";
    expect(await pairings.pair(request({ address }))).toMatchObject({ address });
    expect([runs[0]?.address, asked[0]?.address]).toEqual([address, address]);
  });

  it("[Z9] what the authority does not confirm is paired and not confirmed", async () => {
    for (const reason of ["unreachable", "no-answer", "confirmation-bad-mac"]) {
      const { pairings } = await startPairings({ answers: [{ ok: false, reason }] });
      expect(await pairings.pair(request())).toMatchObject({ confirmed: false, model: "C1" });
    }
  });

  it("[Z11] the authority's no goes to the visit as a reason, and so does a yes with nothing to hand over", async () => {
    const carried: unknown[] = [];
    for (const answer of [
      { ok: false, reason: "not-open" },
      { ok: true, sealed: undefined },
    ] as const) {
      const { pairings } = await startPairings({
        answers: [answer],
        runPairing: async ({ onAccepted }) => {
          const said = await onAccepted(statement, new Uint8Array(32));
          carried.push(said);
          return { ok: false, fault: { code: "authority", ...(typeof said === "string" ? { reason: said } : {}) } };
        },
      });
      expect(await pairings.pair(request())).toEqual({
        device: lockId,
        fault: { code: "authority", reason: carried.at(-1) },
      });
    }
    expect(carried).toEqual(["not-open", "nothing to hand over"]);
  });

  it("a fault of the visit is the answer's, and nothing is confirmed", async () => {
    const fault = { code: "unconfirmed", reason: "link-lost" } as const;
    const { pairings, asked } = await startPairings({ runPairing: async () => ({ ok: false, fault }) });
    expect(await pairings.pair(request())).toEqual({ device: lockId, fault });
    expect(asked).toEqual([]);
  });

  it("a statement that nobody can read is the peer's fault", async () => {
    const { pairings } = await startPairings({
      runPairing: async () => ({ ...paired, statement: new Uint8Array([1]) }),
    });
    expect(await pairings.pair(request())).toMatchObject({ fault: { code: "protocol" } });
  });

  it("[Z6] nothing of the card's secret is in its log or in its answer", async () => {
    const { pairings, logged } = await startPairings();
    const answer = await pairings.pair(request());
    const said = JSON.stringify([logged, answer]);
    expect(logged.map(({ text }) => text.split(" {")[0])).toEqual(["pairing", "pairing ended"]);
    for (const spelling of [bytesToHex(secret), bytesToBase64(secret), [...secret].join(",")]) {
      expect(said).not.toContain(spelling);
    }
  });
});

describe("the gateway", () => {
  it("pairs when its radio is free: after the visit under way, one after the other, before visits that wait", async () => {
    const order: string[] = [];
    let finish: () => void = () => undefined;
    const world = await startSite({
      runVisit: async () => {
        order.push("visit");
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return visitOutcome({});
      },
      runPairing: async ({ address }) => {
        order.push(`pair ${address}`);
        return { ok: false, fault: { code: "handshake" } };
      },
    });
    const visited = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    const first = world.gateway.requestPairing(request());
    const second = world.gateway.requestPairing(request({ address: "C0:FF:EE:00:00:77" }));
    const again = world.gateway.requestSync(lockId);
    await world.clock.advance(1_000);
    expect(order).toEqual(["visit"]);
    finish();
    await world.clock.advance(0);
    expect(await first).toEqual({ device: lockId, fault: { code: "handshake" } });
    expect(await second).toEqual({ device: lockId, fault: { code: "handshake" } });
    expect(order.slice(0, 3)).toEqual(["visit", `pair ${lockAddress}`, "pair C0:FF:EE:00:00:77"]);
    expect(await visited).toMatchObject({ outcome: "in-sync" });
    expect(await again).toMatchObject({ outcome: "in-sync" });
    expect(world.fatal).toEqual([]);
  });

  it("an idle radio and one that listens are woken for it at once", async () => {
    for (const automatic of [false, true]) {
      const world = await startSite({ automatic });
      await world.clock.advance(1_000);
      const answer = world.gateway.requestPairing(request());
      await world.clock.advance(0);
      expect(await answer).toEqual({ device: lockId, fault: { code: "not-found" } });
      await world.gateway.stop();
    }
  });

  it("objects at once, without the radio", async () => {
    const world = await startSite();
    const device = "panel-r20" as DeviceId;
    expect(await world.gateway.requestPairing(request({ device }))).toEqual({
      device,
      fault: { code: "not-a-ble-lock" },
    });
  });

  it("that is stopped answers whoever waits, and whoever comes after", async () => {
    const world = await startSite({ runVisit: () => new Promise(() => undefined) });
    void world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    const waiting = world.gateway.requestPairing(request());
    void world.gateway.stop();
    expect(await waiting).toEqual({ device: lockId, fault: { code: "stopping" } });
    expect(await world.gateway.requestPairing(request())).toEqual({ device: lockId, fault: { code: "stopping" } });
  });
});
