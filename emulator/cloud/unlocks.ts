/**
 * The authority's side of unlock commands: who asks is judged by the site, the command is signed for a few seconds of the device's own
 * uptime, written down, sent once, and its results are heard.
 *
 * Theory. A device's uptime is known from its latest boot report with a right MAC, plus this machine's monotonic time since it
 * came. The report took time to come, so the sum is at most the truth and the command ends a little early, never late. Reports are
 * ordered by (boot count, uptime): one that a gateway held back or repeats changes nothing. SPEC V6, V7.
 */
import { bytesToBase64, bytesToHex, hexToBytes } from "../../protocol/base/bytes.ts";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, MonotonicMs } from "../../protocol/base/units.ts";
import type { SiteDevice } from "../../protocol/site/site.ts";
import {
  type CommandState,
  type CommandStateFault,
  hearCommandState,
  isFinalState,
} from "../../protocol/wire/command-state.ts";
import { type UnlockResult, unlockCommandSchema } from "../../protocol/wire/messages/command.ts";
import type { BootFields } from "../../protocol/wire/messages/fields.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import {
  type BootReport,
  COMMAND_ID_BYTES,
  isBootReportAuthentic,
  signUnlock,
} from "../../protocol/wire/unlock-command.ts";
import type { Authority } from "./authority.ts";
import type { OutgoingMessage } from "./broker.ts";
import type { DeviceTable } from "./device-table.ts";
import type { CloudLog } from "./log.ts";
import type { CloudPorts } from "./ports.ts";
import { type UnlockAccessFault, unlockableDevice } from "./unlock-access.ts";
import type { UnlockRecord, UnlockStep } from "./unlock-record.ts";

export interface UnlocksParts {
  readonly authority: Authority;
  readonly table: DeviceTable;
  readonly record: UnlockRecord;
  readonly ports: CloudPorts;
  readonly log: CloudLog;
  readonly send: (message: OutgoingMessage) => void;
  readonly linkIsUp: () => boolean;
}

export interface UnlockView {
  /** Null: nothing was signed. */
  readonly command: string | null;
  readonly door: string;
  readonly device: string;
  readonly by: string;
  /** `unconfirmed`: sent, and nothing final came back in its time. That is not a failure: nobody here knows. */
  readonly state: CommandState | "not-sent" | "unconfirmed";
  readonly reason: string | null;
  /** What was heard, in order. */
  readonly heard: readonly CommandState[];
}

export type UnlockRequestFault =
  | UnlockAccessFault
  | { readonly code: "no-site" }
  | { readonly code: "too-many-commands" };

export type UnlockResultFault =
  | CommandStateFault
  | { readonly code: "unlock-unknown" }
  | { readonly code: "gateway-mismatch" };

interface Sent {
  readonly command: string;
  readonly door: string;
  readonly device: DeviceId;
  readonly via: DeviceId;
  readonly by: string;
  readonly state: CommandState | "sent";
  readonly reason: string | null;
  readonly heard: readonly CommandState[];
}

interface HeardBoot {
  readonly report: BootReport;
  readonly at: MonotonicMs;
}

export class Unlocks {
  readonly #parts: UnlocksParts;
  readonly #bootByDevice = new Map<string, HeardBoot>();
  readonly #sentById = new Map<string, Sent>();
  /** Called when a final state was heard. */
  readonly #waitingById = new Map<string, () => void>();

  constructor(parts: UnlocksParts) {
    this.#parts = parts;
  }

  /** Notes a boot report that the device itself made and that is newer than what is held; any other changes nothing. */
  heardBoot(device: DeviceId, bootCount: number | null, boot: BootFields | undefined): void {
    const { authority, ports, log } = this.#parts;
    const bootId = boot === undefined ? undefined : hexToBytes(boot.id);
    const mac = boot === undefined ? undefined : hexToBytes(boot.mac);
    if (boot === undefined || bootId === undefined || mac === undefined || bootCount === null) return;
    if (!authority.state.enrolled.includes(device)) return;
    const report = { pairingId: authority.keys.enrolledPairingId(device), bootId, bootCount, uptimeMs: boot.uptimeMs };
    // SPEC V6: an uptime that only a gateway vouches for could be tomorrow's.
    if (!isBootReportAuthentic(authority.keys.enrolledReportKey(device), report, mac)) {
      return log.warn({ device }, "a boot report without the device's own MAC");
    }
    const held = this.#bootByDevice.get(device)?.report;
    const isNewer =
      held === undefined ||
      report.bootCount > held.bootCount ||
      (report.bootCount === held.bootCount && report.uptimeMs > held.uptimeMs);
    if (isNewer) this.#bootByDevice.set(device, { report, at: ports.clock.monotonicMs() });
  }

  /** Has a door opened for somebody, and waits for what becomes of it. Faults: no-site, and those of `unlockableDevice`. */
  async request(door: string, by: string): Promise<Result<UnlockView, UnlockRequestFault>> {
    const { authority } = this.#parts;
    if (authority.site === undefined) return failed({ code: "no-site" });
    const device = unlockableDevice(authority.site, door, by, authority.now());
    if (!device.ok) {
      const { fault } = device;
      const reason = fault.code === "ACCESS_DENIED" ? fault.reason : fault.code;
      // Names that nothing in the site bears are nobody's to write down.
      const isKnown = fault.code !== "no-such-door" && fault.code !== "no-such-person";
      if (isKnown) this.#write({ command: null, door, device: null, by }, "denied", reason);
      return device;
    }
    if (this.#waitingById.size >= commandsAtOnceMax) return failed({ code: "too-many-commands" });
    const sent = this.#send(device.value, door, by);
    return ok("heard" in sent ? await this.#outcome(sent) : { ...sent, state: "not-sent", heard: [] });
  }

  /** A result came from a gateway. Faults: unlock-unknown, gateway-mismatch, not-a-step; none of them changes anything. */
  heardResult(gateway: DeviceId, result: UnlockResult): Result<void, UnlockResultFault> {
    const sent = this.#sentById.get(result.id);
    if (sent === undefined || sent.device !== result.device) return failed({ code: "unlock-unknown" });
    if (sent.via !== gateway) return failed({ code: "gateway-mismatch" });
    const state = hearCommandState(sent.state, result.state);
    if (!state.ok) return state;
    if (state.value === sent.state) return ok(undefined);
    const reason = result.reason ?? null;
    this.#write(sent, state.value, reason);
    this.#sentById.set(sent.command, { ...sent, state: state.value, reason, heard: [...sent.heard, state.value] });
    if (isFinalState(state.value)) this.#waitingById.get(sent.command)?.();
    return ok(undefined);
  }

  /** Signs, writes down and sends. */
  #send(
    { id: device }: SiteDevice,
    door: string,
    by: string,
  ): Sent | Pick<UnlockView, "command" | "door" | "device" | "by" | "reason"> {
    const { authority, table, ports, send, linkIsUp } = this.#parts;
    const boot = this.#bootByDevice.get(device);
    const via = table.latest(device, "birth")?.body.via;
    const missing = boot === undefined || via === undefined ? "device-never-heard" : linkIsUp() ? undefined : "no-link";
    if (boot === undefined || via === undefined || missing !== undefined) {
      const reason = missing ?? "device-never-heard";
      this.#write({ command: null, door, device, by }, "not-sent", reason);
      return { command: null, door, device, by, reason };
    }
    const commandId = this.#newCommandId();
    const uptimeMs = boot.report.uptimeMs + (ports.clock.monotonicMs() - boot.at);
    const blob = signUnlock(authority.keys.roles.unlock, {
      pairingId: boot.report.pairingId,
      bootId: boot.report.bootId,
      commandId,
      action: "unlock",
      notAfterUptimeMs: Math.floor(uptimeMs) + unlockLifetimeMs,
    });
    const command = bytesToHex(commandId);
    const sent: Sent = { command, door, device, via, by, state: "sent", reason: null, heard: [] };
    // On disk before it is under way: what may have opened a door is never without its name.
    this.#write(sent, "sent", null);
    this.#remember(sent);
    const message = { bytes: bytesToBase64(blob.bytes), signature: bytesToBase64(blob.signature) };
    const payload = formatPayload(unlockCommandSchema, { v: 1, id: command, device, via, command: message });
    assert(authority.site !== undefined, "a device was found in a site");
    send({ topic: { site: authority.site.id, device, channel: "command", name: "unlock" }, payload });
    return sent;
  }

  async #outcome({ command, door, device, by }: Sent): Promise<UnlockView> {
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        cancel();
        this.#waitingById.delete(command);
        resolve();
      };
      const cancel = this.#parts.ports.clock.after(unlockLifetimeMs + answerMarginMs, finish);
      this.#waitingById.set(command, finish);
    });
    const sent = this.#sentById.get(command);
    assert(sent !== undefined, "a command that is waited for is remembered");
    const view = { command, door, device, by, heard: sent.heard };
    if (sent.state !== "sent" && isFinalState(sent.state)) return { ...view, state: sent.state, reason: sent.reason };
    this.#write(sent, "unconfirmed", "no-answer-in-time");
    return { ...view, state: "unconfirmed", reason: "no-answer-in-time" };
  }

  #newCommandId(): Uint8Array {
    for (;;) {
      const id = this.#parts.ports.random(COMMAND_ID_BYTES);
      if (!this.#parts.record.isIssued(bytesToHex(id))) return id;
    }
  }

  /** Late results are still written down; of very old commands they are unknown. */
  #remember(sent: Sent): void {
    this.#sentById.set(sent.command, sent);
    for (const command of this.#sentById.keys()) {
      if (this.#sentById.size <= commandsRemembered) return;
      if (!this.#waitingById.has(command)) this.#sentById.delete(command);
    }
  }

  #write(
    { command, door, device, by }: { command: string | null; door: string; device: string | null; by: string },
    step: UnlockStep,
    reason: string | null,
  ): void {
    const { record, ports, log } = this.#parts;
    record.append({ at: ports.clock.nowMs(), command, door, device, person: by, step, reason });
    log.info({ command, door, device, person: by, step, reason }, "unlock");
  }
}

/** What a command may take to the device; a third of what the device would accept (SPEC V2). */
export const unlockLifetimeMs = 10_000;
/** For the way back. */
const answerMarginMs = 2_000;
const commandsAtOnceMax = 64;
const commandsRemembered = 1_024;
