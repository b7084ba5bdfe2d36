import { createHmac, createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { ed25519PublicKey, signTyped } from "../../../protocol/crypto.ts";
import {
  isBootReportAuthentic,
  macBootReport,
  signUnlock,
  UNLOCK_COMMAND_LIMIT_BYTES,
  UNLOCK_REMAINING_LIMIT_MS,
  type UnlockCommand,
  type UnlockFacts,
  unlockCommand,
  verifyUnlock,
} from "../../../protocol/wire/unlock-command.ts";

const seed = new Uint8Array(32).fill(1);
const unlockKey = ed25519PublicKey(seed);
const bytesOf = (fill: number, length = 16): Uint8Array => new Uint8Array(length).fill(fill);

function command(change: Partial<UnlockCommand> = {}): UnlockCommand {
  const ids = { pairingId: bytesOf(0x11), bootId: bytesOf(0x22), commandId: bytesOf(0x33) };
  return { ...ids, action: "unlock", notAfterUptimeMs: 70_000, ...change };
}

function facts(change: Partial<UnlockFacts> = {}): UnlockFacts {
  const ids = { pairingId: bytesOf(0x11), bootId: bytesOf(0x22) };
  return { ...ids, unlockKey, uptimeMs: 60_000, isSeen: () => false, ...change };
}

describe("an unlock command", () => {
  it("[V1] has these bytes, written by hand from the rule, and Ed25519 over type, zero byte and bytes", () => {
    const { bytes, signature } = signUnlock(seed, command());
    // a5 map(5); 01 50 = 16 bytes; 04 01 action; 05 1a 00011170 = 70,000.
    const expected = `a50150${"11".repeat(16)}0250${"22".repeat(16)}0350${"33".repeat(16)}0401051a00011170`;
    expect(bytesToHex(bytes)).toBe(expected);
    const der = concatBytes(new Uint8Array(Buffer.from("302a300506032b6570032100", "hex")), unlockKey);
    const key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
    const message = concatBytes(utf8("doorlink/1/unlock"), Uint8Array.of(0), bytes);
    expect(verify(null, message, key, signature)).toBe(true);
  });

  it("[V1] the longest there can be is within the limit", () => {
    const longest = unlockCommand.encode(command({ notAfterUptimeMs: Number.MAX_SAFE_INTEGER }));
    expect(longest.length).toBeLessThanOrEqual(71);
    expect(longest.length).toBeLessThan(UNLOCK_COMMAND_LIMIT_BYTES);
  });

  it("[V2] is taken with 0 to 30 s left on the device's own uptime, and not one millisecond outside", () => {
    const blob = signUnlock(seed, command());
    const at = (uptimeMs: number) => verifyUnlock(blob, facts({ uptimeMs }));
    expect(at(70_000)).toEqual({ ok: true, value: command() });
    expect(at(70_000 - UNLOCK_REMAINING_LIMIT_MS).ok).toBe(true);
    expect(at(70_001)).toEqual({ ok: false, fault: { code: "expired", lateMs: 1 } });
    const tooFar = { code: "too-far-ahead", remainingMs: 30_001, limitMs: 30_000 };
    expect(at(39_999)).toEqual({ ok: false, fault: tooFar });
  });

  const otherSeed = bytesOf(2, 32);
  const cases: readonly (readonly [string, Parameters<typeof verifyUnlock>[0], Partial<UnlockFacts>, string])[] = [
    ["nobody signed", { bytes: unlockCommand.encode(command()), signature: bytesOf(0, 64) }, {}, "bad-signature"],
    ["has no signature", { bytes: unlockCommand.encode(command()), signature: bytesOf(0, 0) }, {}, "bad-signature"],
    ["somebody else signed", signUnlock(otherSeed, command()), {}, "bad-signature"],
    ["was signed as a policy", signedAs("doorlink/1/policy", command()), {}, "bad-signature"],
    ["was signed as a release", signedAs("doorlink/1/release", command()), {}, "bad-signature"],
    ["is signed and no command", signedBytes(utf8("open")), {}, "malformed-command"],
    [
      "is signed with a byte more",
      signedBytes(concatBytes(unlockCommand.encode(command()), bytesOf(0, 1))),
      {},
      "malformed-command",
    ],
    ["is longer than any", signedBytes(bytesOf(0, UNLOCK_COMMAND_LIMIT_BYTES + 1)), {}, "malformed-command"],
    ["is another device's", signUnlock(seed, command({ pairingId: bytesOf(9) })), {}, "wrong-device"],
    ["is of another boot", signUnlock(seed, command({ bootId: bytesOf(9) })), {}, "wrong-boot"],
    ["was seen", signUnlock(seed, command()), { isSeen: (id) => id === "33".repeat(16) }, "replayed"],
  ];
  it.each(cases)("[V2] one that %s is refused by name", (_what, blob, change, code) => {
    expect(verifyUnlock(blob, facts(change))).toMatchObject({ ok: false, fault: { code } });
  });

  it("[V2] the checks stand in their order: each fault hides those after it", () => {
    const codes: string[] = [];
    const everythingWrong = command({ pairingId: bytesOf(9), bootId: bytesOf(9), notAfterUptimeMs: 1 });
    const mend: readonly Partial<UnlockCommand>[] = [
      {},
      { pairingId: bytesOf(0x11) },
      { bootId: bytesOf(0x22) },
      { notAfterUptimeMs: 70_000 },
    ];
    let mended = everythingWrong;
    for (const change of mend) {
      mended = { ...mended, ...change };
      const read = verifyUnlock(signUnlock(seed, mended), facts({ isSeen: () => true }));
      codes.push(read.ok ? "taken" : read.fault.code);
    }
    expect(codes).toEqual(["wrong-device", "wrong-boot", "expired", "replayed"]);
    const unsigned = { ...signUnlock(seed, everythingWrong), signature: bytesOf(7, 64) };
    expect(verifyUnlock(unsigned, facts())).toMatchObject({ fault: { code: "bad-signature" } });
  });

  it("[V2] with any one bit changed it is refused, whichever bit", () => {
    const { bytes, signature } = signUnlock(seed, command());
    for (let bit = 0; bit < (bytes.length + signature.length) * 8; bit++) {
      const whole = concatBytes(bytes, signature);
      const at = Math.floor(bit / 8);
      whole[at] = (whole[at] ?? 0) ^ (1 << (bit % 8));
      const altered = { bytes: whole.subarray(0, bytes.length), signature: whole.subarray(bytes.length) };
      expect(verifyUnlock(altered, facts())).toEqual({ ok: false, fault: { code: "bad-signature" } });
    }
  });

  it("[V2] any bytes, signed or not, give a fault or a command, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.boolean(), (bytes, signed) => {
        const blob = signed ? signedBytes(bytes) : { bytes, signature: bytesOf(1, 64) };
        expect(verifyUnlock(blob, facts()).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a boot report", () => {
  const report = { pairingId: bytesOf(0x11), bootId: bytesOf(0x22), bootCount: 7, uptimeMs: 60_000 };
  const key = bytesOf(5, 32);

  it("[V6] its MAC covers this use, device, boot, boot count and uptime", () => {
    const bytes = `a40150${"11".repeat(16)}0250${"22".repeat(16)}03070419ea60`;
    const message = Buffer.concat([Buffer.from("doorlink/1/boot-report\0"), Buffer.from(bytes, "hex")]);
    const expected = createHmac("sha256", key).update(message).digest("hex");
    const mac = macBootReport(key, report);
    expect(bytesToHex(mac)).toBe(expected);
    expect(isBootReportAuthentic(key, report, mac)).toBe(true);
    for (const change of [
      { pairingId: bytesOf(1) },
      { bootId: bytesOf(1) },
      { bootCount: 8 },
      // The one that counts: a gateway that claims tomorrow's uptime would get a command that is good tomorrow.
      { uptimeMs: 60_001 },
    ]) {
      expect(isBootReportAuthentic(key, { ...report, ...change }, mac)).toBe(false);
    }
    expect(isBootReportAuthentic(bytesOf(6, 32), report, mac)).toBe(false);
  });
});

function signedAs(type: "doorlink/1/policy" | "doorlink/1/release", value: UnlockCommand) {
  const bytes = unlockCommand.encode(value);
  return { bytes, signature: signTyped(seed, type, bytes) };
}

function signedBytes(bytes: Uint8Array) {
  return { bytes, signature: signTyped(seed, "doorlink/1/unlock", bytes) };
}
