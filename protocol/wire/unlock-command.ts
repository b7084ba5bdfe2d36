/**
 * The unlock command: what an authority signs so that one device opens once, now. And the boot report, by which the device told
 * the authority what "now" is on its own clock.
 *
 * Theory of operation. No wall clock is involved. A device draws a random boot id at each boot and counts its uptime from there. It
 * reports both under a MAC that only it and the authority can make. The authority signs a moment of that uptime, a few seconds
 * ahead of the report's, until which the command may be carried out. A courier can hold back the report or the command, and each makes
 * the time that remains shorter; it can alter neither, and without the MAC it could have claimed an uptime of tomorrow and kept
 * the command until then. A device that lost power has another boot id, so what it took and forgot cannot come back.
 * Source: SPEC V1-V7; PROTOCOL part 5.
 */
import { bytesToHex, concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { type CborTypeOf, cborBytes, cborChoice, cborRecord, cborUint, field } from "../base/cbor-record.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { hmacSha256, signTyped, verifyTyped } from "../crypto.ts";
import { type SignedBlob, signedTypes } from "./signed-objects.ts";

/** A device takes a command only if at most this much of its time remains: longer ones could be kept for later. */
export const UNLOCK_REMAINING_LIMIT_MS = 30_000;
export const BOOT_ID_BYTES = 16;
export const COMMAND_ID_BYTES = 16;
/** A command is 71 bytes of CBOR at most; twice that is refused unread. */
export const UNLOCK_COMMAND_LIMIT_BYTES = 128;

/** About 285,000 years of milliseconds; a whole number of JSON and CBOR alike. */
const uptimeMs = cborUint(2 ** 53 - 1);

/** SPEC V1. `notAfterUptimeMs` counts from the device's own boot. */
export const unlockCommand = cborRecord({
  pairingId: field(1, cborBytes(16)),
  bootId: field(2, cborBytes(BOOT_ID_BYTES)),
  commandId: field(3, cborBytes(COMMAND_ID_BYTES)),
  action: field(4, cborChoice({ unlock: 1 })),
  notAfterUptimeMs: field(5, uptimeMs),
});
export type UnlockCommand = CborTypeOf<typeof unlockCommand>;

/** SPEC V6: which boot this is, and how long ago it was. */
export const bootReport = cborRecord({
  pairingId: field(1, cborBytes(16)),
  bootId: field(2, cborBytes(BOOT_ID_BYTES)),
  bootCount: field(3, cborUint(0xffffffff)),
  uptimeMs: field(4, uptimeMs),
});
export type BootReport = CborTypeOf<typeof bootReport>;

export type UnlockFault =
  | { readonly code: "bad-signature" }
  | { readonly code: "malformed-command" }
  | { readonly code: "wrong-device" }
  | { readonly code: "wrong-boot" }
  | { readonly code: "expired"; readonly lateMs: number }
  | { readonly code: "too-far-ahead"; readonly remainingMs: number; readonly limitMs: number }
  | { readonly code: "replayed" };

/** What a device knows of itself when a command comes. */
export interface UnlockFacts {
  readonly pairingId: Uint8Array;
  /** The authority's Ed25519 public key for this one purpose. */
  readonly unlockKey: Uint8Array;
  readonly bootId: Uint8Array;
  readonly uptimeMs: number;
  /** Whether a command of this id was taken in this boot; ids in lower-case hex. */
  readonly isSeen: (commandId: string) => boolean;
}

export function signUnlock(unlockSeed: Uint8Array, command: UnlockCommand): SignedBlob {
  const bytes = unlockCommand.encode(command);
  return { bytes, signature: signTyped(unlockSeed, signedTypes.unlock, bytes) };
}

/**
 * Takes a command only if it is the authority's, for this device, for this boot, with 0 to 30 s left on this device's uptime, and new.
 * Faults, in the order of the checks: bad-signature, malformed-command, wrong-device, wrong-boot, expired, too-far-ahead, replayed.
 * Any bytes give one of them, never a throw. The caller notes the id before it moves anything. Source: SPEC V2.
 */
export function verifyUnlock({ bytes, signature }: SignedBlob, facts: UnlockFacts): Result<UnlockCommand, UnlockFault> {
  // SPEC V2: nothing that nobody signed is even parsed.
  if (bytes.length > UNLOCK_COMMAND_LIMIT_BYTES) return failed({ code: "malformed-command" });
  if (!verifyTyped(facts.unlockKey, signedTypes.unlock, bytes, signature)) return failed({ code: "bad-signature" });
  const read = unlockCommand.decode(bytes);
  if (!read.ok) return failed({ code: "malformed-command" });
  const command = read.value;
  if (!equalBytes(command.pairingId, facts.pairingId)) return failed({ code: "wrong-device" });
  if (!equalBytes(command.bootId, facts.bootId)) return failed({ code: "wrong-boot" });
  const remainingMs = command.notAfterUptimeMs - facts.uptimeMs;
  if (remainingMs < 0) return failed({ code: "expired", lateMs: -remainingMs });
  if (remainingMs > UNLOCK_REMAINING_LIMIT_MS) {
    return failed({ code: "too-far-ahead", remainingMs, limitMs: UNLOCK_REMAINING_LIMIT_MS });
  }
  if (facts.isSeen(bytesToHex(command.commandId))) return failed({ code: "replayed" });
  return ok(command);
}

/** The report's MAC: 32 bytes of HMAC-SHA-256 under the key that the device and its authority share. Source: SPEC V6. */
export function macBootReport(reportKey: Uint8Array, report: BootReport): Uint8Array {
  return hmacSha256(
    reportKey,
    concatBytes(utf8("doorlink/1/boot-report"), Uint8Array.of(0), bootReport.encode(report)),
  );
}

/** True only for the MAC that the device itself made over exactly this. */
export function isBootReportAuthentic(reportKey: Uint8Array, report: BootReport, mac: Uint8Array): boolean {
  return equalBytes(macBootReport(reportKey, report), mac);
}
