/**
 * The way of an unlock command through the gateway: forwarded once, as it came, or dropped with a word upstream. The gateway makes
 * no command, keeps none, tries none again and has no key to sign one; what it forwards the device judges for itself.
 *
 * It drops what it knows to be useless: a device that is not on its broker cannot do it now, and later is too late; a device
 * whose last report, plus the time since then, is past the command's end would refuse it. The time since is this gateway's own
 * monotonic clock, and a report is always older than it looks here, so nothing is dropped too early. SPEC V9-V10.
 */
import { bytesToHex } from "../protocol/base/bytes.ts";
import type { DeviceId, MonotonicMs } from "../protocol/base/units.ts";
import {
  UNLOCK_PAYLOAD_LIMIT_BYTES,
  type UnlockCommandMessage,
  type UnlockResult,
  unlockCommandSchema,
  unlockResultSchema,
} from "../protocol/wire/messages/command.ts";
import { formatPayload, parsePayload } from "../protocol/wire/payload.ts";
import type { Topic } from "../protocol/wire/topics.ts";
import { unlockCommand } from "../protocol/wire/unlock-command.ts";
import type { DeviceTable } from "./devices.ts";
import type { Clock } from "./ports/clock.ts";
import type { Log } from "./ports/log.ts";
import type { SiteBroker } from "./ports/site-broker.ts";

export interface UnlockRelayOptions {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly table: DeviceTable;
  readonly clock: Clock;
  readonly log: Log;
  readonly broker: () => SiteBroker | undefined;
  /** Says it upstream once, now; false: there is no link, and it is gone. */
  readonly tell: (topic: Topic, payload: string) => boolean;
}

interface HeardBoot {
  readonly id: string;
  readonly uptimeMs: number;
  readonly atMs: MonotonicMs;
}

export class UnlockRelay {
  readonly #options: UnlockRelayOptions;
  readonly #bootByDevice = new Map<DeviceId, HeardBoot>();

  constructor(options: UnlockRelayOptions) {
    this.#options = options;
  }

  /** A device said something: its uptime may be among it. What it said before, and is only read again, is not heard now. */
  heard(device: DeviceId): void {
    const boot = this.#options.table.words(device).health?.boot;
    if (boot === undefined) return;
    const before = this.#bootByDevice.get(device);
    if (before?.id === boot.id && before.uptimeMs >= boot.uptimeMs) return;
    const { id, uptimeMs } = boot;
    this.#bootByDevice.set(device, { id, uptimeMs, atMs: this.#options.clock.monotonicMs() });
  }

  /** A command of the authority came down. */
  forward(device: DeviceId, payload: Uint8Array): void {
    const { log, gateway, site, broker } = this.#options;
    const message = parsePayload(unlockCommandSchema, payload, UNLOCK_PAYLOAD_LIMIT_BYTES);
    if (!message.ok) return log.warn({ device, code: message.fault.code }, "dropped an unlock command");
    const { id, via } = message.value;
    if (via !== gateway) return;
    if (message.value.device !== device) {
      return log.warn({ device, code: "wrong-device" }, "dropped an unlock command");
    }
    const dropped = this.#whyUseless(message.value);
    log.info(
      { device, id, ...dropped },
      dropped === undefined ? "forwards an unlock command" : "dropped an unlock command",
    );
    if (dropped !== undefined) this.#tell({ v: 1, id, device, ...dropped });
    else broker()?.publish({ site, device, channel: "command", name: "unlock" }, new TextDecoder().decode(payload));
  }

  /** A device answered. Without a link upstream the answer is gone; what the device did stands in its events. */
  answer(result: UnlockResult): void {
    const { id, device, state, reason } = result;
    this.#options.log.info({ device, id, state, reason }, "an unlock command was answered");
    this.#tell(result);
  }

  #whyUseless({ device, command }: UnlockCommandMessage): Pick<UnlockResult, "state" | "reason"> | undefined {
    const { table, broker } = this.#options;
    if (table.device(device)?.network !== "mqtt") return { state: "failed", reason: "not-a-networked-device" };
    if (broker()?.connected().includes(device) !== true) return { state: "failed", reason: "device-offline" };
    const signed = unlockCommand.decode(command.bytes);
    // Not ours to judge: the device says what is wrong with it.
    if (!signed.ok) return undefined;
    const boot = this.#bootByDevice.get(device);
    if (boot?.id !== bytesToHex(signed.value.bootId)) return undefined;
    const uptimeAtLeastMs = boot.uptimeMs + (this.#options.clock.monotonicMs() - boot.atMs);
    return uptimeAtLeastMs > signed.value.notAfterUptimeMs ? { state: "expired", reason: "expired" } : undefined;
  }

  #tell(result: UnlockResult): void {
    const { site, tell, log } = this.#options;
    const { device, id } = result;
    const topic = { site, device, channel: "result", name: "unlock" } as const;
    if (!tell(topic, formatPayload(unlockResultSchema, result))) {
      log.warn({ device, id, state: result.state }, "no link for the result of an unlock command");
    }
  }
}
