/**
 * The agent's side of the link to the authority. Connects, and connects again with full-jitter back-off for as long as the agent
 * runs; on each connection subscribes, says the retained messages again, and starts the outbox behind its receipts. Without
 * a connection nothing is published and nothing waits: retained messages keep their latest value, events stay on disk.
 */
import type { z } from "zod";
import { bytesToBase64, bytesToHex } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import {
  type CommandName,
  leaseCommandSchema,
  leaseResultSchema,
  pairCommandSchema,
  pairResultSchema,
  stickerCommandSchema,
  stickerResultSchema,
  timeCommandSchema,
  timeResultSchema,
} from "../../protocol/wire/messages/command.ts";
import { receiptSchema } from "../../protocol/wire/messages/receipt.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { AUTHORITY_ID, formatTopic, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import { pause, withDeadline } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import { type UpstreamConnection, UpstreamError, type UpstreamTransport } from "../ports/upstream.ts";
import type { LeaseAnswer } from "../sync/visit-leases.ts";
import { type BackoffRules, fullJitterMs } from "./backoff.ts";
import { Outbox } from "./outbox.ts";

export interface UpstreamOptions {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly transport: UpstreamTransport;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly backoff: BackoffRules;
  /** A desired document came; fulfilled when it was kept and applied, or counted as a fault. */
  readonly onDesired: (device: DeviceId, payload: Uint8Array) => Promise<void>;
  /** A command of the authority for a device came; it is carried on now or never. */
  readonly onUnlock: (device: DeviceId, payload: Uint8Array) => void;
  /** A command to this gateway itself. */
  readonly onGatewayCommand?: (payload: Uint8Array) => void;
  /** There is a link again, and nothing has been said over it yet. */
  readonly onLinked?: () => void;
  /** How fast what had waited for a link goes up; infinite when absent. */
  readonly backlogEventsPerSecond?: () => number;
  /** Whether the gateway may say of this device's log what is lost; all when absent. */
  readonly mayDeclareLost?: (device: DeviceId) => boolean;
  /** The store failed: nothing can go on without it. */
  readonly onStoreError: (error: unknown) => void;
}

export interface UpstreamStatus {
  readonly connected: boolean;
  /** Since when it is as it is. */
  readonly sinceMs: UnixMs;
  readonly attempts: number;
  readonly lastFault: string | null;
  readonly refused: number;
  /** Which of the ways to the authority is, or was last, in use; null: none yet. */
  readonly url: string | null;
}

/** The authority's answer in a pairing; `sealed` is what the lock is handed. */
export type PairAnswer =
  | { readonly ok: true; readonly sealed: Uint8Array | undefined }
  | { readonly ok: false; readonly reason: string };

/** The authority's answer about a sticker; `rotation` is the panel's after it, and its list came before this. */
export type StickerAnswer =
  | { readonly ok: true; readonly rotation: number }
  | { readonly ok: false; readonly reason: string };

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #outbox: Outbox;
  /** Latest payload of each retained topic of ours: what a new connection hears first. */
  readonly #retainedByTopic = new Map<string, string>();
  readonly #askedById = new Map<string, (answer: SignedBlob | "refused" | undefined) => void>();
  readonly #pairingById = new Map<string, (answer: PairAnswer) => void>();
  readonly #stickerById = new Map<string, (answer: StickerAnswer) => void>();
  readonly #leaseById = new Map<string, (answer: LeaseAnswer | undefined) => void>();
  readonly #stop = new AbortController();
  /** Aborted to connect anew at once. */
  #again = new AbortController();
  #connection: UpstreamConnection | undefined;
  #acknowledgedAtMs = Number.NEGATIVE_INFINITY;
  #status: UpstreamStatus;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const { store, clock, onStoreError: onError, backlogEventsPerSecond, mayDeclareLost } = options;
    this.#outbox = new Outbox({
      ...{ store, clock, onError },
      ...(backlogEventsPerSecond === undefined ? {} : { backlogEventsPerSecond }),
      ...(mayDeclareLost === undefined ? {} : { mayDeclareLost }),
    });
    this.#status = {
      connected: false,
      sinceMs: options.clock.nowMs(),
      attempts: 0,
      lastFault: null,
      refused: 0,
      url: null,
    };
  }

  status(): UpstreamStatus {
    return this.#status;
  }

  /** Keeps the link until `close`. Never throws: what fails here is the state of the link, not of the agent. */
  async run(): Promise<void> {
    const { clock, random, backoff, log } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      this.#again = new AbortController();
      const startedMs = clock.monotonicMs();
      const fault = await this.#connectOnce();
      if (this.#stop.signal.aborted) return;
      if (this.#again.signal.aborted) {
        failures = 0;
        continue;
      }
      failures = clock.monotonicMs() - startedMs >= STABLE_MS ? 1 : failures + 1;
      const waitMs = fullJitterMs(backoff, failures, random.fraction());
      log.warn({ fault, failures, waitMs }, "no link upstream");
      await pause(clock, waitMs, AbortSignal.any([this.#stop.signal, this.#again.signal]));
    }
  }

  /** Ends the connection, or the wait for the next, and connects at once: by another address or with another password. */
  reconnect(): void {
    this.#again.abort();
  }

  /** Ends the link for good. `goodbye` is said first where there is a link, because a stop in order leaves no last will. */
  async close(goodbye: { readonly topic: Topic; readonly payload: string }): Promise<void> {
    const connection = this.#connection;
    if (connection !== undefined && this.#status.connected) {
      const said = connection.publish(formatTopic(goodbye.topic), goodbye.payload, { retain: true });
      const expired = (): Error => new UpstreamError("timeout", "no PUBACK");
      await withDeadline(said, { timers: this.#options.clock, limitMs: GOODBYE_MS, expired }).catch(
        // Then the last will says it for us.
        () => undefined,
      );
    }
    this.#stop.abort();
    this.#disconnected("closed here");
    await connection?.close();
  }

  /** Sets a retained message; published now if there is a link, and on every later connection. */
  retain(topic: Topic, payload: string): void {
    const text = formatTopic(topic);
    if (this.#retainedByTopic.get(text) === payload) return;
    this.#retainedByTopic.set(text, payload);
    const connection = this.#connection;
    if (connection === undefined || !this.#status.connected) return;
    this.#watch(connection, connection.publish(text, payload, { retain: true }));
  }

  /** A retained message that is another's to say from now on: it is not said again. What the broker holds of it stays. SPEC G24. */
  leave(topic: Topic): void {
    this.#retainedByTopic.delete(formatTopic(topic));
  }

  /** Says something once: now, or not at all. False: there is no link. */
  tell(topic: Topic, payload: string): boolean {
    const connection = this.#connection;
    if (connection === undefined || !this.#status.connected) return false;
    this.#watch(connection, connection.publish(formatTopic(topic), payload, { retain: false }));
    return true;
  }

  /** `order`: whether they may go before what still waits of the same device. SPEC U10. */
  eventsStored(device: DeviceId, first: number, last: number, order: "live" | "in-order" = "live"): void {
    this.#outbox.stored(device, first, last, order);
  }

  eventsDropped(device: DeviceId, from: number): void {
    this.#outbox.dropped(device, from);
  }

  /** The lowest sequence that upstream asks for again; undefined: none. */
  askedFrom(device: DeviceId): number | undefined {
    return this.#outbox.askedFrom(device);
  }

  isUntaken(device: DeviceId): boolean {
    return this.#outbox.isUntaken(device);
  }

  /** Asks the authority for the time on behalf of a lock. Undefined: no link, or no answer in time. */
  async askTime(device: DeviceId, nonce: Uint8Array): Promise<SignedBlob | "refused" | undefined> {
    const command = { device, nonce: bytesToBase64(nonce) };
    const payloadOf = (id: string): string =>
      formatPayload(timeCommandSchema, { v: 1, id, from: this.#options.gateway, ...command });
    const answers = { byId: this.#askedById, unreachable: undefined, noAnswer: undefined };
    return this.#ask("time", payloadOf, TIME_ANSWER_MS, answers);
  }

  /** Carries a lock's word in a pairing to the authority. `reason`: why there is no yes; `unreachable` and `no-answer` are this side's. */
  async askPairing(question: Omit<z.input<typeof pairCommandSchema>, "v" | "id" | "from">): Promise<PairAnswer> {
    const payloadOf = (id: string): string =>
      formatPayload(pairCommandSchema, { v: 1, id, from: this.#options.gateway, ...question });
    return this.#ask("pair", payloadOf, PAIR_ANSWER_MS, {
      byId: this.#pairingById,
      unreachable: { ok: false, reason: "unreachable" },
      noAnswer: { ok: false, reason: "no-answer" },
    });
  }

  /** Asks the authority for a change of a panel's sticker. `reason`: as above. */
  async askSticker(question: Omit<z.input<typeof stickerCommandSchema>, "v" | "id" | "from">): Promise<StickerAnswer> {
    const payloadOf = (id: string): string =>
      formatPayload(stickerCommandSchema, { v: 1, id, from: this.#options.gateway, ...question });
    return this.#ask("sticker", payloadOf, STICKER_ANSWER_MS, {
      byId: this.#stickerById,
      unreachable: { ok: false, reason: "unreachable" },
      noAnswer: { ok: false, reason: "no-answer" },
    });
  }

  /** Asks the authority whether this gateway may visit a lock now. Undefined: no link, or no answer in time. SPEC G20. */
  async askLease(device: DeviceId): Promise<LeaseAnswer | undefined> {
    const payloadOf = (id: string): string => this.#leaseCommand(id, device, "take");
    const answers = { byId: this.#leaseById, unreachable: undefined, noAnswer: undefined };
    return this.#ask("lease", payloadOf, LEASE_ANSWER_MS, answers);
  }

  /** Says that a visit is over, if there is a link. */
  endLease(device: DeviceId): void {
    const id = bytesToHex(this.#options.random.bytes(8));
    const topic: Topic = { site: this.#options.site, device: AUTHORITY_ID, channel: "command", name: "lease" };
    this.tell(topic, this.#leaseCommand(id, device, "end"));
  }

  #leaseCommand(id: string, device: DeviceId, action: "take" | "end"): string {
    return formatPayload(leaseCommandSchema, { v: 1, id, from: this.#options.gateway, device, action });
  }

  /** A command to the authority, settled by the result with its id, by the end of the link, or by its deadline. */
  async #ask<Answer>(
    name: CommandName,
    payloadOf: (id: string) => string,
    limitMs: number,
    {
      byId,
      unreachable,
      noAnswer,
    }: {
      readonly byId: Map<string, (answer: Answer) => void>;
      readonly unreachable: Answer;
      readonly noAnswer: Answer;
    },
  ): Promise<Answer> {
    const connection = this.#connection;
    if (connection === undefined || !this.#status.connected) return unreachable;
    const { clock, random, site } = this.#options;
    const id = bytesToHex(random.bytes(8));
    const topic = formatTopic({ site, device: AUTHORITY_ID, channel: "command", name });
    const payload = payloadOf(id);
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        cancel();
        byId.delete(id);
        resolve(answer);
      };
      const cancel = clock.after(limitMs, () => settle(noAnswer));
      byId.set(id, settle);
      connection.publish(topic, payload, { retain: false }).catch(() => settle(unreachable));
    });
  }

  /** One connection from its first packet to its end. Gives the reason of the end. */
  async #connectOnce(): Promise<string> {
    const { transport, clock } = this.#options;
    this.#status = { ...this.#status, attempts: this.#status.attempts + 1 };
    let connecting: Promise<UpstreamConnection> | undefined;
    let connection: UpstreamConnection | undefined;
    const closed = Promise.withResolvers<string>();
    const abort = (): void => closed.resolve("closed here");
    const ended = AbortSignal.any([this.#stop.signal, this.#again.signal]);
    ended.addEventListener("abort", abort, { once: true });
    try {
      const listener = {
        message: (topic: string, payload: Uint8Array) => this.#message(topic, payload),
        closed: (reason: string) => closed.resolve(reason),
      };
      const limit = { timers: clock, limitMs: CONNECT_MS, expired: () => new UpstreamError("timeout", "no answer") };
      connecting = transport.connect(listener);
      connection = await withDeadline(connecting, { ...limit, signal: ended });
      this.#connection = connection;
      this.#status = { ...this.#status, url: connection.url ?? null };
      await withDeadline(connection.subscribe(this.#filters()), limit);
      this.#status = { ...this.#status, connected: true, sinceMs: clock.nowMs(), lastFault: null };
      const { attempts, url } = this.#status;
      this.#options.log.info({ attempts, url }, "linked upstream");
      this.#options.onLinked?.();
      await Promise.race([this.#greet(connection), closed.promise]);
      const reason = await closed.promise;
      this.#disconnected(reason);
      return reason;
    } catch (error) {
      const reason = error instanceof UpstreamError ? error.message : String(error);
      this.#disconnected(reason);
      return reason;
    } finally {
      ended.removeEventListener("abort", abort);
      await connection?.close();
      // One that was waited for no longer and comes yet would fight over the client id with the next.
      if (connection === undefined) {
        connecting?.then(
          (late) => late.close(),
          () => undefined,
        );
      }
    }
  }

  /** Everything retained, some at a time, and then the events. */
  async #greet(connection: UpstreamConnection): Promise<void> {
    const { clock: timers } = this.#options;
    const limit = { timers, limitMs: PUBACK_MS, expired: () => new UpstreamError("timeout", "no PUBACK") };
    const topics = [...this.#retainedByTopic.keys()];
    for (let at = 0; at < topics.length; at += GREETING_AT_ONCE) {
      const some = topics.slice(at, at + GREETING_AT_ONCE);
      const said = some.map((topic) =>
        connection.publish(topic, this.#retainedByTopic.get(topic) ?? "", { retain: true }),
      );
      // Without it the events would wait behind a broker that answers pings and nothing else.
      await withDeadline(Promise.all(said), limit);
    }
    const { site } = this.#options;
    await this.#outbox.start((device, payload) => {
      const sent = connection.publish(formatTopic({ site, device, channel: "event" }), payload, { retain: false });
      this.#watch(connection, sent);
      return sent;
    });
  }

  #filters(): readonly string[] {
    const { site, gateway } = this.#options;
    return [
      `dl/1/${site}/+/desired`,
      `dl/1/${site}/+/receipt`,
      `dl/1/${site}/${gateway}/result/+`,
      `dl/1/${site}/+/command/unlock`,
      `dl/1/${site}/${gateway}/command/gateway`,
    ];
  }

  #message(text: string, payload: Uint8Array): void {
    const topic = parseTopic(text);
    if (topic === undefined || topic.site !== this.#options.site) return this.#refuse("foreign topic", "");
    switch (topic.channel) {
      case "desired":
        return this.#desired(topic.device, payload);
      case "receipt":
        return this.#receipt(topic.device, payload);
      case "result":
        // Its own word about a command, back from a broker that gives it to all who listen.
        if (topic.name === "gateway") return;
        if (topic.name === "pair") return this.#pairResult(payload);
        if (topic.name === "lease") return this.#leaseResult(payload);
        return topic.name === "sticker" ? this.#stickerResult(payload) : this.#result(payload);
      case "command":
        if (topic.name === "gateway") return this.#options.onGatewayCommand?.(payload);
        if (topic.name !== "unlock") return this.#refuse("command not known", topic.channel);
        return this.#options.onUnlock(topic.device, payload);
      default:
        return this.#refuse("channel not asked for", topic.channel);
    }
  }

  #desired(device: DeviceId, payload: Uint8Array): void {
    this.#options.onDesired(device, payload).catch(this.#options.onStoreError);
  }

  #receipt(device: DeviceId, payload: Uint8Array): void {
    const read = parsePayload(receiptSchema, payload);
    if (!read.ok) return this.#refuse(read.fault.code, "receipt");
    if (read.value.device !== device) return this.#refuse("another device's", "receipt");
    this.#outbox.receipt(device, read.value.through, read.value.missing).catch(this.#options.onStoreError);
  }

  #result(payload: Uint8Array): void {
    const read = parsePayload(timeResultSchema, payload);
    if (!read.ok) return this.#refuse(read.fault.code, "result");
    const { id, state, answer, reason } = read.value;
    // An answer that came too late, or to nobody: its id is not known any more.
    const settle = this.#askedById.get(id);
    if (settle === undefined || state === "accepted" || state === "executing") return;
    if (state !== "done") this.#options.log.warn({ state, reason }, "the authority gave no time");
    settle(state === "done" && answer !== undefined ? answer : "refused");
  }

  #pairResult(payload: Uint8Array): void {
    const read = parsePayload(pairResultSchema, payload);
    if (!read.ok) return this.#refuse(read.fault.code, "result");
    const { id, state, sealed, reason } = read.value;
    if (state === "accepted" || state === "executing") return;
    const answer: PairAnswer = state === "done" ? { ok: true, sealed } : { ok: false, reason: reason ?? state };
    this.#pairingById.get(id)?.(answer);
  }

  #leaseResult(payload: Uint8Array): void {
    const read = parsePayload(leaseResultSchema, payload);
    if (!read.ok) return this.#refuse(read.fault.code, "result");
    const { id, state, forMs = 0, by } = read.value;
    if (state === "accepted" || state === "executing") return;
    this.#leaseById.get(id)?.(state === "done" ? { granted: true, forMs } : { granted: false, forMs, by });
  }

  #stickerResult(payload: Uint8Array): void {
    const read = parsePayload(stickerResultSchema, payload);
    if (!read.ok) return this.#refuse(read.fault.code, "result");
    const { id, state, rotation, reason } = read.value;
    if (state === "accepted" || state === "executing") return;
    const isDone = state === "done" && rotation !== undefined;
    this.#stickerById.get(id)?.(isDone ? { ok: true, rotation } : { ok: false, reason: reason ?? state });
  }

  #refuse(fault: string, channel: string): void {
    this.#status = { ...this.#status, refused: this.#status.refused + 1 };
    this.#options.log.warn({ fault, channel }, "refused a message from upstream");
  }

  #disconnected(reason: string): void {
    if (this.#status.connected) {
      this.#status = { ...this.#status, connected: false, sinceMs: this.#options.clock.nowMs() };
    }
    this.#status = { ...this.#status, lastFault: reason };
    this.#connection = undefined;
    this.#outbox.stop();
    for (const settle of [...this.#askedById.values()]) settle(undefined);
    for (const settle of [...this.#pairingById.values()]) settle({ ok: false, reason: "unreachable" });
    for (const settle of [...this.#stickerById.values()]) settle({ ok: false, reason: "unreachable" });
  }

  /**
   * Publishes wait and none got its PUBACK in time: nobody is there. The connection is given up, and the next one says it all again. Where
   * others still get theirs the link is only slow, and this one waits behind them.
   */
  #watch(connection: UpstreamConnection, sent: Promise<void>): void {
    const { clock } = this.#options;
    const limit = { timers: clock, limitMs: PUBACK_MS };
    const expired = (): Error => new UpstreamError("timeout", "no PUBACK");
    withDeadline(sent, { ...limit, expired }).then(
      () => {
        this.#acknowledgedAtMs = clock.monotonicMs();
      },
      (error: unknown) => {
        if (this.#connection !== connection) return;
        const isSlow = error instanceof UpstreamError && error.code === "timeout";
        if (isSlow && clock.monotonicMs() - this.#acknowledgedAtMs < PUBACK_MS) return this.#watch(connection, sent);
        this.#options.log.warn({ fault: String(error) }, "gave the link up");
        connection.close().catch(() => undefined);
      },
    );
  }
}

/** Connections that lasted this long count as good: the next failure starts the back-off anew. */
const STABLE_MS = 5_000;
const CONNECT_MS = 10_000;
const PUBACK_MS = 15_000;
const GOODBYE_MS = 500;
/** The lock refuses a round trip over 2 s, of which the radio takes its part. */
const TIME_ANSWER_MS = 1_400;
/** Somebody stands at the door, and the lock gives its courier 10 s without progress. */
const PAIR_ANSWER_MS = 8_000;
/** Somebody waits at a command line, with no door open. */
const STICKER_ANSWER_MS = 8_000;
/** A round trip and one commit; the radio rests meanwhile. A cluster that lost a node takes seconds to agree again, and is asked again. */
const LEASE_ANSWER_MS = 4_000;
const GREETING_AT_ONCE = 32;
