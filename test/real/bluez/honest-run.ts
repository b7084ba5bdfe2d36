/**
 * The facts that an honest run of the virtual machine tells, made without one: the lock of the bench's seed, two configurations of three
 * visits, every entry, root and MAC right. A test spoils one of them and sees whether the judge notices.
 */
import { benchPairing } from "../../../emulator/bench-pairing.ts";
import { benchBundle } from "../../../emulator/bench-policy.ts";
import { decodePolicy, type LockPolicy } from "../../../protocol/access/policy.ts";
import { bytesToBase64, bytesToHex } from "../../../protocol/base/bytes.ts";
import { parseDeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import { macReport, sealBundle } from "../../../protocol/sync/authority.ts";
import { encodeAdvertisement } from "../../../protocol/wire/advertisement.ts";
import { type AuditEntry, auditChainNext, auditChainStart, auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { lockReport } from "../../../protocol/wire/signed-objects.ts";

export type TestFact = Record<string, unknown> & { readonly fact: string };

const device = parseDeviceId("bench-lock") ?? failHere();
const pairing = benchPairing(4, device);
const credentialsOf = { full: 30, interrupted: 900, resumed: 900 } as const;
interface Version {
  readonly version: number;
  readonly credentials: number;
}
type VisitName = keyof typeof credentialsOf;

export function honestRun(): TestFact[] {
  const run = new HonestRun();
  return [
    { fact: "guest", node: "v24", kernel: "6.1", upSeconds: 4 },
    ...run.configuration(3, 1, false),
    ...run.configuration(1, 2, true),
    { fact: "end", seconds: 30 },
  ];
}

class HonestRun {
  #version = 0;
  #held: Version | null = null;
  #next = 1;
  #unread: Uint8Array[] = [];
  /** The chain head after each sequence; the first is the head before any entry. */
  readonly #heads = [auditChainStart(pairing.keys.chain, pairing.record.pairingId)];
  #logFirst = 1;
  #fetched = 0;

  configuration(channels: number, boot: number, isLast: boolean): TestFact[] {
    this.#log({ kind: "boot" }, boot);
    const attempt = (after: VisitName, codeOf: number | null, granted: boolean): TestFact => {
      this.#log({ kind: granted ? "access-granted" : "access-denied" }, boot);
      return { fact: "attempt", after, codeOf, granted };
    };
    const before = this.#version;
    const facts: TestFact[] = [
      { fact: "bluetoothd", channels, readyMs: 1 },
      {
        fact: "lock",
        readyMs: 1,
        address: "00:AA:01:01:00:01",
        staticPublicKey: bytesToBase64(pairing.lockStaticPublicKey),
        pairingId: bytesToBase64(pairing.record.pairingId),
        bootCount: boot,
      },
      this.#discovered("first"),
      ...this.#visit("full", before + 1, channels, boot),
      attempt("full", before + 1, true),
      attempt("full", before + 1, true),
    ];
    if (isLast) facts.push(attempt("full", null, false));
    facts.push(this.#discovered("after-sync"), ...this.#visit("interrupted", before + 2, channels, boot));
    facts.push(attempt("interrupted", before + 1, true), ...this.#visit("resumed", before + 2, channels, boot));
    facts.push(attempt("resumed", before + 2, true), { fact: "stopped", first: "lock", lockExitCode: 0 });
    return facts;
  }

  #log(facts: Pick<AuditEntry, "kind">, boot: number): void {
    const bytes = auditEntry.encode({ sequence: this.#next++, boot, clock: "set", ...facts });
    const { keys, record } = pairing;
    // Alone in its batch, so that a test can take one away.
    this.#unread.push(auditBatch.encode(sealAuditBatch(keys.audit, record.pairingId, this.#next - 1, [bytes])));
    this.#heads.push(auditChainNext(keys.chain, this.#headAt(this.#heads.length - 1), bytes));
  }

  #discovered(when: "first" | "after-sync"): TestFact {
    const bytes = encodeAdvertisement({
      wantsSync: when === "first",
      clockNotSet: false,
      batteryLow: false,
      tamper: false,
      versionBits: this.#version,
      logHeadBits: 0,
    });
    return { fact: "discovered", when, ms: 1, scans: 1, advertisement: bytes.ok ? bytesToHex(bytes.value) : "" };
  }

  #visit(name: VisitName, version: number, channels: number, boot: number): TestFact[] {
    const isWhole = name !== "interrupted";
    const fromVersion = this.#version;
    const released = name === "resumed" ? this.#fetched : null;
    const credentials = credentialsOf[name];
    const bundle = benchBundle(pairing, { device, version, credentials });
    if (isWhole) this.#log({ kind: "policy-committed" }, boot);
    const batches = isWhole ? this.#unread.splice(0) : [];
    const base = this.#held;
    const carried = carriedBytes({ version, credentials }, base);
    if (isWhole) this.#version = version;
    if (isWhole) this.#held = { version, credentials };
    if (isWhole) this.#fetched = this.#next - 1;
    if (released !== null) this.#logFirst = released + 1;
    const counts = { framesIn: 9, framesOut: 40, late: 0, deepest: 0 };
    const held = isWhole
      ? bundle
      : benchBundle(pairing, { device, version: fromVersion, credentials: credentialsOf.full });
    return [
      {
        fact: "visit",
        name,
        version,
        credentials,
        base,
        ok: isWhole,
        fault: isWhole ? null : "radio: link-lost",
        fromVersion,
        clockWritten: false,
        durationMs: 10,
        connectMs: 5,
        syncMs: isWhole ? 5 : null,
        bytes: 4_000,
        streamBytes: name === "resumed" ? carried - 4_096 + 1_000 : carried + 1_000,
        eattChannels: channels > 1 ? 4 : 0,
        batches: batches.map(bytesToBase64),
        released,
        report: isWhole ? this.#report(version, sha256(bundle), boot) : null,
        ...counts,
      },
      {
        fact: "lock-link",
        reason: isWhole ? "closed-by-lock" : "link-lost",
        milliseconds: 10,
        bytesIn: 3_000,
        bytesOut: 1_000,
        ...counts,
      },
      {
        fact: "state",
        after: name,
        version: this.#version,
        root: bytesToBase64(sha256(held)),
        stagedBytes: isWhole ? 0 : 4_096,
        logFirst: this.#logFirst,
        logNext: this.#next,
      },
    ];
  }

  #headAt(sequence: number): Uint8Array {
    const head = this.#heads[sequence];
    if (head === undefined) throw new Error(`the log has no entry ${sequence}`);
    return head;
  }

  #report(version: number, root: Uint8Array, bootCount: number): { readonly bytes: string; readonly mac: string } {
    const bytes = lockReport.encode({
      pairingId: pairing.record.pairingId,
      epoch: 1,
      version,
      root,
      bootCount,
      clock: "set",
      logNext: this.#next,
      chainHead: this.#headAt(this.#next - 1),
      nonce: new Uint8Array(16),
      logFirst: this.#logFirst,
      headBefore: this.#headAt(this.#logFirst - 1),
      keysetEpoch: 1,
      clockSource: "authority",
    });
    return { bytes: bytesToBase64(bytes), mac: bytesToBase64(macReport(pairing.keys.report, bytes)) };
  }
}

function policyOf({ version, credentials }: Version): LockPolicy {
  const policy = decodePolicy(benchBundle(pairing, { device, version, credentials }));
  if (!policy.ok) throw new Error(policy.fault.code);
  return policy.value;
}

function carriedBytes(next: Version, base: Version | null): number {
  const { authority, keys, record } = pairing;
  const wanted = { policy: policyOf(next), notAfter: unixSeconds(0) };
  const held = base === null ? undefined : policyOf(base);
  return sealBundle(authority, keys.bundle, record.pairingId, wanted, held)?.bytes.length ?? 0;
}

function failHere(): never {
  throw new Error("bench-lock is a device id");
}
