/**
 * What a networked device knows of unlock commands: who may sign them, which boot this is, and which it has taken. It judges and
 * remembers; the bolt is the device's own. Nothing here outlives power: the next boot has another id, under which no command of this
 * boot is good (SPEC V2).
 */
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { assert, failed, type Result } from "../../protocol/base/result.ts";
import type { UnlockCommandMessage, UnlockReason } from "../../protocol/wire/messages/command.ts";
import type { BootFields } from "../../protocol/wire/messages/fields.ts";
import { BOOT_ID_BYTES, macBootReport, type UnlockCommand, verifyUnlock } from "../../protocol/wire/unlock-command.ts";

/** What enrolment gives a device that takes unlock commands. */
export interface UnlockEnrolment {
  /** The id given at enrolment, by which each command names this device. */
  readonly pairingId: Uint8Array;
  /** The authority's Ed25519 public key for unlock commands. */
  readonly unlockKey: Uint8Array;
  /** Shared with the authority alone: MACs this device's boot reports. */
  readonly reportKey: Uint8Array;
}

export type UnlockRefusal = { readonly code: UnlockReason };

export class UnlockGuard {
  readonly #bootId: Uint8Array;
  readonly #bootCount: number;
  readonly #enrolment: UnlockEnrolment;
  /** When each command taken in this boot ceases to be good, by its id, oldest first. */
  readonly #notAfterById = new Map<string, number>();

  constructor(enrolment: UnlockEnrolment, boot: { readonly id: Uint8Array; readonly count: number }) {
    assert(boot.id.length === BOOT_ID_BYTES, "a boot id is 16 random bytes");
    this.#enrolment = enrolment;
    this.#bootId = boot.id;
    this.#bootCount = boot.count;
  }

  /** Which boot this is and how old, for birth and health. */
  bootFields(uptimeMs: number): BootFields {
    const { pairingId, reportKey } = this.#enrolment;
    const report = { pairingId, bootId: this.#bootId, bootCount: this.#bootCount, uptimeMs };
    return { id: bytesToHex(this.#bootId), uptimeMs, mac: bytesToHex(macBootReport(reportKey, report)) };
  }

  /** Takes a command once, and remembers it. Faults: those of `verifyUnlock`, and too-many-commands. */
  take({ id, command: blob }: UnlockCommandMessage, uptimeMs: number): Result<UnlockCommand, UnlockRefusal> {
    const { pairingId, unlockKey } = this.#enrolment;
    const isSeen = (commandId: string): boolean => this.#notAfterById.has(commandId);
    const verified = verifyUnlock(blob, { pairingId, unlockKey, bootId: this.#bootId, uptimeMs, isSeen });
    if (!verified.ok) return failed({ code: verified.fault.code });
    const commandId = bytesToHex(verified.value.commandId);
    // SPEC V4: the id outside is for those who only carry it; an answer under another one would be somebody else's.
    if (commandId !== id) return failed({ code: "malformed-command" });
    if (!this.#makeRoom(uptimeMs)) return failed({ code: "too-many-commands" });
    this.#notAfterById.set(commandId, verified.value.notAfterUptimeMs);
    return verified;
  }

  /** SPEC V3: only an id whose command is past its time may be forgotten; it is then refused for that. */
  #makeRoom(uptimeMs: number): boolean {
    if (this.#notAfterById.size < IDS_KEPT) return true;
    for (const [id, notAfter] of this.#notAfterById) {
      if (notAfter >= uptimeMs) continue;
      this.#notAfterById.delete(id);
      return true;
    }
    return false;
  }
}

/** Ids remembered of a boot: 40 kB. An authority that sends as many within 30 s is not opening a door. */
export const IDS_KEPT = 1024;
