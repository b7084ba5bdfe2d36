/**
 * Which parts of the agent can do their work now, each since when: for whoever decides whether a site is served. A part that is not ready
 * is no reason to restart the agent; the watchdog judges that (`machine/vitals.ts`). SPEC G32.
 */
import { z } from "zod";
import { withDeadline } from "../base/deadline.ts";
import { secondsOf } from "../devices.ts";
import type { Gateway } from "../gateway.ts";
import type { Vital } from "../machine/vitals.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";

export const readyParts = ["store", "broker", "radio", "upstream"] as const;
export type ReadyPart = (typeof readyParts)[number];

const partView = z.strictObject({
  state: z.enum(["ready", "not ready", "unknown", "not needed"]),
  /** When this was first seen to be so. */
  since: z.number().int(),
  /** Null while it is ready. */
  why: z.string().nullable(),
});
export const readinessView = z.strictObject({
  ready: z.boolean(),
  notReady: z.array(z.enum(readyParts)),
  parts: z.record(z.enum(readyParts), partView),
});
export type ReadinessView = z.output<typeof readinessView>;
type PartView = z.output<typeof partView>;
type PartState = Omit<PartView, "since"> & { readonly since?: number };

export interface ReadinessOptions {
  readonly gateway: Pick<Gateway, "radioStatus" | "upstream" | "table" | "brokerPort" | "brokerLink">;
  readonly store: Pick<Store, "space">;
  /** Whether store and broker go round; absent: nobody asks them. */
  readonly check?: (() => Promise<readonly Vital[]>) | undefined;
  readonly clock: Clock;
}

/** Remembers since when each part is as it is. */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #partByName = new Map<ReadyPart, PartView>();

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  async look(): Promise<ReadinessView> {
    const vitals = (await this.#options.check?.()) ?? [];
    const parts = {
      store: this.#note("store", await this.#store(vitals)),
      broker: this.#note("broker", this.#broker(vitals)),
      radio: this.#note("radio", this.#radio()),
      upstream: this.#note("upstream", this.#upstream()),
    };
    const notReady = readyParts.filter((part) => parts[part].state === "not ready");
    return { ready: notReady.length === 0, notReady, parts };
  }

  /** One that is full keeps what it has and refuses more: what devices say is not acknowledged. */
  async #store(vitals: readonly Vital[]): Promise<PartState> {
    const vital = vitalState(vitals, "store");
    if (vital.state !== "ready") return vital;
    const { store, clock: timers } = this.#options;
    try {
      const expired = (): Error => new Error("no answer in time");
      const { filling, diskFull } = await withDeadline(store.space(), { timers, limitMs: SPACE_LIMIT_MS, expired });
      const isFull = filling === "full" || diskFull;
      return isFull ? { state: "not ready", why: diskFull ? "the disk is full" : "the store is full" } : vital;
    } catch (error) {
      return { state: "not ready", why: error instanceof Error ? error.message : String(error) };
    }
  }

  #broker(vitals: readonly Vital[]): PartState {
    const { gateway } = this.#options;
    if (gateway.brokerPort() === null) return { state: "not ready", why: "does not listen yet" };
    const link = gateway.brokerLink();
    if (link === null || link.connected) return vitalState(vitals, "broker");
    return { state: "not ready", why: link.lastFault ?? "no link yet", since: secondsOf(link.sinceMs) };
  }

  /** A site without locks needs none; one that was not used yet is not known, which is not the same as broken. */
  #radio(): PartState {
    const { gateway } = this.#options;
    if (!gateway.table.devices().some(({ network }) => network === "ble")) return { state: "not needed", why: null };
    const { working, fault, sinceMs } = gateway.radioStatus();
    if (working === null) return { state: "unknown", why: "not used yet" };
    const since = secondsOf(sinceMs);
    return working ? { state: "ready", why: null, since } : { state: "not ready", why: fault, since };
  }

  #upstream(): PartState {
    const { connected, sinceMs, lastFault } = this.#options.gateway.upstream.status();
    const since = secondsOf(sinceMs);
    return connected
      ? { state: "ready", why: null, since }
      : { state: "not ready", why: lastFault ?? "not linked yet", since };
  }

  #note(name: ReadyPart, { state, why, since }: PartState): PartView {
    const before = this.#partByName.get(name);
    const sinceBefore = before?.state === state ? before.since : secondsOf(this.#options.clock.nowMs());
    const part = { state, why, since: since ?? sinceBefore };
    this.#partByName.set(name, part);
    return part;
  }
}

function vitalState(vitals: readonly Vital[], name: "store" | "broker"): PartState {
  const vital = vitals.find(({ part }) => part === name);
  return vital === undefined || vital.beats ? { state: "ready", why: null } : { state: "not ready", why: vital.why };
}

const SPACE_LIMIT_MS = 4_000;
