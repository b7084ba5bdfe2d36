/**
 * Which of a site's gateways may visit a lock now. There is one writer, this authority, and each lease ends by itself; how long they last is
 * reckoned on this machine's monotonic clock. What was granted is on disk, so that a restart forgets nobody who is under way: it then lasts
 * for a whole lease again. SPEC G20-G22.
 */
import { z } from "zod";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { Documents } from "./documents.ts";
import type { CloudPorts } from "./ports.ts";

export type LeaseJudgement =
  | { readonly granted: true; readonly forMs: number }
  | { readonly granted: false; readonly forMs: number; readonly by: DeviceId };

interface Lease {
  readonly gateway: string;
  /** On the monotonic clock. */
  readonly untilMs: number;
  /** Who asked meanwhile and is next, until a moment after the time at which it was told to ask again. */
  readonly next: { readonly gateway: string; readonly untilMs: number } | undefined;
}

export class VisitLeaseDesk {
  readonly #documents: Documents;
  readonly #clock: CloudPorts["clock"];
  readonly #leaseMs: number;
  readonly #leaseByDevice = new Map<string, Lease>();

  constructor(options: {
    readonly documents: Documents;
    readonly clock: CloudPorts["clock"];
    readonly leaseSeconds: number;
  }) {
    this.#documents = options.documents;
    this.#clock = options.clock;
    this.#leaseMs = options.leaseSeconds * 1000;
    const untilMs = this.#now() + this.#leaseMs;
    for (const [device, gateway] of Object.entries(this.#documents.get(documentName, grantedSchema)?.body ?? {})) {
      this.#leaseByDevice.set(device, { gateway, untilMs, next: undefined });
    }
  }

  /** A gateway wants to visit a lock. Who holds the lease of it already goes on, for what is left where somebody waits. */
  take(gateway: DeviceId, device: DeviceId): LeaseJudgement {
    const now = this.#now();
    const held = this.#leaseByDevice.get(device);
    const isFree = held === undefined || now >= held.untilMs;
    if (!isFree && held.gateway !== gateway) return this.#refuse(device, held, gateway);
    const next = held?.next;
    const isOthersTurn = next !== undefined && next.gateway !== gateway && now < next.untilMs;
    if (isOthersTurn && !isFree && held.untilMs - now >= shortestVisitMs)
      return { granted: true, forMs: held.untilMs - now };
    // SPEC G22: who was refused comes first, so that a gateway that fails at a lock keeps nobody from it.
    if (isOthersTurn) return { granted: false, forMs: next.untilMs - now, by: next.gateway as DeviceId };
    this.#leaseByDevice.set(device, { gateway, untilMs: now + this.#leaseMs, next: undefined });
    this.#save();
    return { granted: true, forMs: this.#leaseMs };
  }

  /** The lock has reported: whoever waits for it hears what it holds, and has no claim from before any more. */
  reported(device: DeviceId): void {
    const held = this.#leaseByDevice.get(device);
    if (held?.next === undefined) return;
    if (this.#now() >= held.untilMs) this.#leaseByDevice.delete(device);
    else this.#leaseByDevice.set(device, { ...held, next: undefined });
  }

  /** The visit is over. Another gateway's lease is not ended by it. */
  end(gateway: DeviceId, device: DeviceId): void {
    const held = this.#leaseByDevice.get(device);
    if (held?.gateway !== gateway) return;
    if (held.next === undefined) this.#leaseByDevice.delete(device);
    else this.#leaseByDevice.set(device, { ...held, untilMs: this.#now() });
    this.#save();
  }

  #refuse(device: string, held: Lease, gateway: string): LeaseJudgement {
    const now = this.#now();
    // The visit may end, or come to nothing, long before its lease.
    const forMs = Math.min(held.untilMs - now, askAgainMs);
    const isOthersTurn = held.next !== undefined && held.next.gateway !== gateway && now < held.next.untilMs;
    const next = isOthersTurn ? held.next : { gateway, untilMs: now + forMs + comeBackMs };
    this.#leaseByDevice.set(device, { ...held, next });
    return { granted: false, forMs, by: held.gateway as DeviceId };
  }

  #save(): void {
    const now = this.#now();
    const running = [...this.#leaseByDevice].filter(([, { untilMs }]) => now < untilMs);
    const granted = Object.fromEntries(running.map(([device, { gateway }]) => [device, gateway]));
    this.#documents.put(documentName, granted, this.#clock.nowMs());
  }

  /** In whole milliseconds, as leases are told; a real clock has fractions. */
  #now(): number {
    return Math.floor(this.#clock.monotonicMs());
  }
}

/** More than the longest visit (90 s) with its question and its end; what a dead gateway keeps from the others, and no longer. */
export const VISIT_LEASE_SECONDS = 120;
/** Four messages a minute for a lock that somebody waits for. */
const askAgainMs = 15_000;
/** A gateway that was told when to come back listens to the air for 5 s at a time. */
const comeBackMs = 10_000;
/** Of a lease that is nearly over nobody has any use. */
const shortestVisitMs = 10_000;
const documentName = "visit-leases";
/** Gateway by lock. */
const grantedSchema = z.record(z.string(), z.string());
