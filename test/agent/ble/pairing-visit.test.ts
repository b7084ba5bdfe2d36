/** The gateway's pairing visit against the emulator's own lock, over a link in memory that is lost wherever it can be. */
import { describe, expect, it } from "vitest";
import type { PairingOutcome } from "../../../agent/ports/pairing.ts";
import { RadioError } from "../../../agent/ports/radio.ts";
import { bytesToBase64, bytesToHex } from "../../../protocol/base/bytes.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { rootPublicKey } from "../../../protocol/wire/keyset.ts";
import { pairingStatement } from "../../../protocol/wire/pairing-message.ts";
import { setupPresharedKey } from "../../../protocol/wire/setup-code.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { dailyKeys, PairingBench, pairingRoot, setupSecret, type Tried } from "../../world/pairing-bench.ts";

function statementOf(outcome: PairingOutcome) {
  if (!outcome.ok) throw new Error(outcome.fault.code);
  const read = pairingStatement.decode(outcome.statement);
  if (!read.ok) throw new Error(read.fault.code);
  return read.value;
}

/** Every spelling in which a secret could have got out. */
function spellings(bytes: Uint8Array): readonly string[] {
  return [bytesToHex(bytes), bytesToBase64(bytes), [...bytes].join(","), Buffer.from(bytes).toString("latin1")];
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Uint8Array ? bytesToHex(inner) : inner));
}

/** Cuts the link at each frame towards one side, from the first on, until a pairing needs no more of them. */
async function* eachCut(to: "lock" | "courier"): AsyncGenerator<{
  readonly frame: number;
  readonly bench: PairingBench;
  readonly tried: Tried;
}> {
  for (let frame = 1; ; frame++) {
    const bench = new PairingBench();
    const tried = await bench.pair({ cutAt: { to, frame } });
    if (tried.radio.frames[to] < frame) return;
    yield { frame, bench, tried };
  }
}

describe("a pairing visit", () => {
  it("[Z9] ends with the lock's word for the authority, and the lock holds root, keyset and its door's keys", async () => {
    const bench = new PairingBench();
    const { outcome, radio } = await bench.pair();
    const statement = statementOf(outcome);
    expect(statement).toMatchObject({ model: "C2", firmware: "2.3.1", hardware: "rev-c", bootCount: 1, epoch: 1 });
    expect(statement.lockPublicKey).toEqual(x25519PublicKey(bench.firmware.staticPrivateKey));
    expect(bench.firmware.pairing).toMatchObject({ pairingId: statement.pairingId, root: pairingRoot });
    expect(bench.firmware.pairing).toMatchObject({ dailyKeys: dailyKeys.keys });
    expect(outcome.ok && bench.isConfirmed(outcome.mac)).toBe(true);
    expect(radio.open).toBe(0);
    // The lock heard that its last word came through, and closed the link itself.
    expect(bench.ends).toEqual(["pairing: finished"]);
  });

  it.each([1, 2, 3, 4, 5, 6])("[Z9] comes through loss, doubles and reordering (seed %i)", async (seed) => {
    const bench = new PairingBench();
    const { outcome } = await bench.pair({ link: { seed, loss: 0.15, duplication: 0.1, reorderDepth: 6 } });
    expect(outcome.ok && bench.isConfirmed(outcome.mac)).toBe(true);
  });

  describe.each(["lock", "courier"] as const)("a link that is lost on the way to the %s", (to) => {
    it("[Z9] [Z10] at any frame is a named fault, the lock is paired or not, and who is not can be paired again", async () => {
      const seen = new Map<string, number>();
      let cuts = 0;
      for await (const { frame, bench, tried } of eachCut(to)) {
        cuts += 1;
        const { outcome, isHandedOver, radio } = tried;
        const code = outcome.ok ? "ok" : outcome.fault.code;
        const place = `frame ${frame} to the ${to}`;
        seen.set(code, (seen.get(code) ?? 0) + 1);
        expect(isHandedOver ? ["ok", "unconfirmed"] : ["radio", "handshake"], place).toContain(code);
        // Before anything was handed over there is nothing that a lock could keep.
        if (!isHandedOver) expect(bench.firmware.paired, place).toBe(false);
        if (outcome.ok) expect(bench.isConfirmed(outcome.mac), place).toBe(true);
        expect([radio.open, bench.host.visited], place).toEqual([0, false]);

        const again = await bench.pair();
        if (bench.pending.size > 0 && tried.isHandedOver && !again.outcome.ok) {
          // It has kept the pairing of which nobody heard, and the authority knows it as pending: it takes no second one.
          expect(again.outcome.fault.code, place).toBe("handshake");
          const held = bytesToHex(bench.firmware.pairing?.pairingId ?? new Uint8Array(0));
          expect(bench.pending.has(held), place).toBe(true);
        } else {
          expect(again.outcome.ok && bench.isConfirmed(again.outcome.mac), place).toBe(true);
        }
      }
      expect(cuts).toBeGreaterThan(4);
      expect([...seen.keys()]).toEqual(expect.arrayContaining(["handshake", "radio", "unconfirmed"]));
    });
  });

  it("[Z9] cut after the lock's commit leaves both: a lock that took the pairing and a gateway that cannot know", async () => {
    const found: boolean[] = [];
    for await (const { bench, tried } of eachCut("courier")) {
      if (!tried.outcome.ok && tried.outcome.fault.code === "unconfirmed") found.push(bench.firmware.paired);
    }
    expect(found).toContain(true);
  });

  it("[Z7] a lock that was made for another root refuses, and stays unpaired", async () => {
    const bench = new PairingBench({ setup: { secret: setupSecret, rootFingerprint: new Uint8Array(16).fill(1) } });
    const { outcome, isHandedOver } = await bench.pair();
    expect(outcome).toEqual({ ok: false, fault: { code: "refused", reason: "root-mismatch" } });
    expect([isHandedOver, bench.firmware.paired]).toEqual([false, false]);
  });

  it("[Z7] a lock refuses a keyset that the offered root did not sign", async () => {
    const bench = new PairingBench();
    const { outcome } = await bench.pair({}, { root: rootPublicKey(seededBytes(1, 32)) });
    expect(outcome).toEqual({ ok: false, fault: { code: "refused", reason: "bad-signature" } });
    expect(bench.firmware.paired).toBe(false);
  });

  it("[Z9] a lock that is handed what another authority sealed refuses it, and can be paired afterwards", async () => {
    const bench = new PairingBench();
    const wrong = await bench.pair({}, { onAccepted: async () => ({ sealed: new Uint8Array(90).fill(1) }) });
    expect(wrong.outcome).toEqual({ ok: false, fault: { code: "refused", reason: "seal-does-not-open" } });
    expect(bench.firmware.paired).toBe(false);
    expect((await bench.pair()).outcome.ok).toBe(true);
  });

  it("[Z7] somebody with another secret gets no word out of the lock: handshake", async () => {
    const bench = new PairingBench();
    const { outcome, radio } = await bench.pair({}, { setupSecret: seededBytes(7, 16) });
    expect(outcome).toMatchObject({ ok: false, fault: { code: "handshake" } });
    expect([bench.firmware.paired, radio.open]).toEqual([false, 0]);
    expect((await bench.pair()).outcome.ok).toBe(true);
  });

  it("[Z7] a lock that is paired takes no pairing, also with its own secret: handshake, and it keeps what it has", async () => {
    const bench = new PairingBench();
    await bench.pair();
    const held = bench.firmware.pairing;
    const { outcome } = await bench.pair();
    expect(outcome).toMatchObject({ ok: false, fault: { code: "handshake" } });
    expect(bench.firmware.pairing).toEqual(held);
    expect(held).toBeDefined();
  });

  it("[Z10] two pairings in a row, with a factory reset between them, have nothing in common", async () => {
    const bench = new PairingBench();
    const first = statementOf((await bench.pair()).outcome);
    const before = bench.firmware.pairing;
    bench.host.factoryReset();
    expect(bench.firmware.paired).toBe(false);
    const { outcome } = await bench.pair();
    const second = statementOf(outcome);
    expect(outcome.ok && bench.isConfirmed(outcome.mac)).toBe(true);
    expect(second.pairingId).not.toEqual(first.pairingId);
    expect(second.lockPublicKey).not.toEqual(first.lockPublicKey);
    for (const [name, key] of Object.entries(bench.firmware.pairing?.keys ?? {})) {
      expect(key, name).not.toEqual(before?.keys[name as keyof NonNullable<typeof before>["keys"]]);
    }
  });

  it("[Z10] a factory reset in the middle of a pairing cuts it off, and the next one goes through", async () => {
    const bench = new PairingBench();
    const { outcome } = await bench.pair(
      {},
      {
        onAccepted: async (statement, mac) => {
          bench.host.factoryReset();
          return { sealed: bench.accept(statement, mac) };
        },
      },
    );
    expect(outcome.ok).toBe(false);
    expect(bench.firmware.paired).toBe(false);
    expect((await bench.pair()).outcome.ok).toBe(true);
  });

  describe("the authority", () => {
    it("says no: its reason is the fault's, and the lock is unpaired and can be paired", async () => {
      const bench = new PairingBench();
      const { outcome } = await bench.pair({}, { onAccepted: async () => "not-open" });
      expect(outcome).toEqual({ ok: false, fault: { code: "authority", reason: "not-open" } });
      expect(bench.firmware.paired).toBe(false);
      expect((await bench.pair()).outcome.ok).toBe(true);
    });

    it("breaks off: a fault of the authority, without what the error said", async () => {
      const bench = new PairingBench();
      const { outcome } = await bench.pair({}, { onAccepted: () => Promise.reject(new Error("with a secret in it")) });
      expect(outcome).toEqual({ ok: false, fault: { code: "authority", reason: "no answer" } });
    });

    it("never answers: the visit ends by itself, and the lock is free again", async () => {
      const bench = new PairingBench();
      const { outcome, durationMs, radio } = await bench.pair({}, { onAccepted: () => new Promise(() => undefined) });
      expect(outcome).toEqual({ ok: false, fault: { code: "timeout", reason: "no-progress" } });
      expect(durationMs).toBeLessThanOrEqual(45_500);
      expect([radio.open, bench.host.visited, bench.firmware.paired]).toEqual([0, false, false]);
      expect((await bench.pair()).outcome.ok).toBe(true);
    });

    it("answers when the visit is over: nothing is handed over any more", async () => {
      const bench = new PairingBench();
      const answer = Promise.withResolvers<{ readonly sealed: Uint8Array }>();
      let sealed = new Uint8Array(0);
      const { outcome } = await bench.pair(
        {},
        {
          onAccepted: (statement, mac) => {
            sealed = bench.accept(statement, mac).slice();
            return answer.promise;
          },
        },
      );
      expect(outcome.ok).toBe(false);
      answer.resolve({ sealed });
      await bench.clock.advance(60_000);
      expect(bench.firmware.paired).toBe(false);
    });
  });

  it("says not-found for a lock that does not answer the connection", async () => {
    const { outcome } = await new PairingBench().pair({ absent: true });
    expect(outcome).toEqual({ ok: false, fault: { code: "not-found", reason: "connect-timeout" } });
  });

  it("names the fault of an adapter that goes in the middle", async () => {
    const bench = new PairingBench();
    const broken: Tried["outcome"] = (
      await bench.pair(
        {},
        {
          radio: {
            scan: async () => [],
            close: async () => undefined,
            connect: async (address, listener) => ({
              address,
              send: async () => {
                listener.closed({ reason: "radio-failed", error: new RadioError("no-bus", "send") });
              },
              close: async () => undefined,
            }),
          },
        },
      )
    ).outcome;
    expect(broken).toEqual({ ok: false, fault: { code: "radio", reason: "no-bus" } });
  });

  it("[Z6] nothing of the secret or of its preshared key is in an outcome, in what the authority hears, or on the air", async () => {
    const bench = new PairingBench();
    const tries = [
      await bench.pair({}, { setupSecret: seededBytes(7, 16) }),
      await bench.pair({ cutAt: { to: "courier", frame: 3 } }),
      await bench.pair({}, { onAccepted: async () => "not-open" }),
      await bench.pair(),
      await bench.pair(),
    ];
    expect(tries.map(({ outcome }) => outcome.ok)).toEqual([false, false, false, true, false]);
    const said = tries.map(({ outcome }) => textOf(outcome)).join("\n");
    const air = tries.flatMap(({ radio }) => radio.heard).map((frame) => Buffer.from(frame).toString("latin1"));
    for (const secret of [setupSecret, setupPresharedKey(setupSecret), ...dailyKeys.keys.map(({ key }) => key)]) {
      for (const spelling of spellings(secret)) {
        expect(said).not.toContain(spelling);
        expect(air.filter((frame) => frame.includes(spelling))).toEqual([]);
      }
    }
  });
});
