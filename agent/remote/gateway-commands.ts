/**
 * Commands of the authority to this gateway itself, from their arrival to their final result.
 *
 * Theory. A command is for one run of this program and for a stretch of its own uptime, so neither a wall clock that jumps, nor a stop, nor
 * sleep, nor a broker's queue makes it be done late: whatever is past its time is answered `expired`. It may wait (for the radio), and is
 * judged again at the moment in which it begins. An id is on disk before anything begins; whoever sends it again is told what became of
 * the first, also after a restart. What was under way when the program ended is `failed`, and is not done again. SPEC M23-M26.
 */
import { z } from "zod";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import {
  type CommandState,
  commandStates,
  isFinalState,
  nextCommandStates,
} from "../../protocol/wire/command-state.ts";
import { deviceId, hexText } from "../../protocol/wire/messages/fields.ts";
import {
  GATEWAY_COMMAND_LIMIT_BYTES,
  type GatewayAnswer,
  type GatewayCommand,
  type GatewayOrder,
  type GatewayReason,
  gatewayAnswerSchema,
  gatewayCommandSchema,
  gatewayReasons,
  gatewayResultSchema,
} from "../../protocol/wire/messages/gateway-command.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import type { Topic } from "../../protocol/wire/topics.ts";
import type { Boot } from "../ports/boot.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Store } from "../ports/store.ts";
import { readDocumentBody } from "../store/document-body.ts";

/** Ask at the moment in which it begins: false, and it is too late and is not begun. */
export type Begin = () => Promise<boolean>;

export type OrderOutcome =
  | { readonly state: "done"; readonly answer: GatewayAnswer }
  | { readonly state: "failed"; readonly answer: GatewayAnswer }
  /** `begin` said no. */
  | { readonly state: "not-begun" };

export interface GatewayCommandsOptions {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly boot: Boot;
  readonly store: Pick<Store, "putDocuments" | "readDocuments">;
  readonly clock: Clock;
  readonly log: Log;
  /** False: the configuration takes no commands. */
  readonly allowed: () => boolean;
  /** Says it upstream once, now; false: there is no link. */
  readonly tell: (topic: Topic, payload: string) => boolean;
  /** Carries an order out. Nothing of it happens before `begin` said yes. */
  readonly perform: (order: GatewayOrder, begin: Begin) => Promise<OrderOutcome>;
  /** The store is broken. */
  readonly onStoreError: (error: unknown) => void;
}

const keptSchema = z.object({
  commands: z.array(
    z.object({
      id: hexText(16),
      action: z.string(),
      device: z.string().nullable(),
      state: z.enum(commandStates),
      reason: z.enum(gatewayReasons).optional(),
      answer: gatewayAnswerSchema.optional(),
      at: z.number(),
    }),
  ),
});

/** What is kept of a command: nothing that names a person. */
interface Known {
  readonly id: string;
  readonly action: string;
  /** The lock of a sync. */
  readonly device: string | null;
  readonly state: CommandState;
  readonly reason?: GatewayReason | undefined;
  readonly answer?: GatewayAnswer | undefined;
  readonly at: UnixMs;
  /** The last millisecond of this run in which it could still be taken for a new one; -1: it is of another run. */
  readonly until: number;
}

export class GatewayCommands {
  readonly #options: GatewayCommandsOptions;
  /** Oldest first. Of those that were never accepted the disk knows nothing: their run ends with this one's. */
  readonly #knownById = new Map<string, Known>();
  readonly #onDisk = new Set<string>();
  /** Results that nobody was there to hear. */
  readonly #untold = new Set<string>();

  constructor(options: GatewayCommandsOptions) {
    this.#options = options;
  }

  /** Reads what earlier runs knew, and ends what they left. */
  async load(): Promise<void> {
    const { store, gateway } = this.#options;
    const document = (await store.readDocuments("command")).find(({ device }) => device === gateway);
    const kept = document === undefined ? undefined : readDocumentBody(keptSchema, document);
    let left = 0;
    for (const command of kept?.commands ?? []) {
      const known: Known = { ...command, at: command.at as UnixMs, until: OTHER_RUN };
      const ended: Known = isFinalState(known.state)
        ? known
        : {
            ...known,
            state: known.state === "executing" ? "failed" : "expired",
            reason: known.state === "executing" ? "interrupted" : "another-boot",
          };
      if (ended !== known) {
        left += 1;
        this.#untold.add(known.id);
      }
      this.#knownById.set(known.id, ended);
      this.#onDisk.add(known.id);
    }
    if (left > 0) await this.#save();
  }

  /** One message of upstream. What it was is said in results; a message that cannot be answered is only noted. */
  take(payload: Uint8Array): void {
    const { log, gateway } = this.#options;
    const head = parsePayload(headSchema, payload, GATEWAY_COMMAND_LIMIT_BYTES);
    if (!head.ok) return log.warn({ code: head.fault.code }, "dropped a command to this gateway");
    if (head.value.device !== gateway) return;
    const { id } = head.value;
    const known = this.#knownById.get(id);
    if (known !== undefined) return this.#tell(known);
    const command = parsePayload(gatewayCommandSchema, payload, GATEWAY_COMMAND_LIMIT_BYTES);
    if (!command.ok) return this.#end({ id, action: "unknown", device: null }, "refused", "malformed-command");
    this.#judge(command.value);
  }

  /** There is a link: what nobody could hear is said. */
  linked(): void {
    for (const id of [...this.#untold]) {
      const known = this.#knownById.get(id);
      if (known === undefined) this.#untold.delete(id);
      else this.#tell(known);
    }
  }

  #judge({ id, bootId, notAfterUptimeMs: until, order }: GatewayCommand): void {
    const { boot, clock, allowed, log } = this.#options;
    const said = { id, action: order.action, device: order.action === "sync" ? order.device : null };
    const left = until - boot.uptimeMs();
    if (bootId !== boot.id) return this.#end(said, "expired", "another-boot");
    if (left < 0) return this.#end(said, "expired", "too-late");
    if (!this.#hasRoom()) return this.#end(said, "refused", "too-many-commands");
    const refusal = this.#refusalOf(said.device, left, allowed());
    if (refusal !== undefined) {
      // Sent again it could be one that may be done by then; the first answer stands.
      this.#knownById.set(id, { ...said, state: "refused", reason: refusal, at: clock.nowMs(), until });
      return this.#end(said, "refused", refusal);
    }
    log.info({ id, action: order.action, device: said.device }, "accepted a command");
    this.#knownById.set(id, { ...said, state: "accepted", at: clock.nowMs(), until });
    this.#onDisk.add(id);
    this.#carryOut(id, until, order).catch(this.#options.onStoreError);
  }

  #refusalOf(device: string | null, left: number, allowed: boolean): GatewayReason | undefined {
    if (left > AHEAD_LIMIT_MS) return "too-far-ahead";
    if (!allowed) return "not-allowed-here";
    return device !== null && this.#syncsOfDay(device) >= SYNCS_PER_LOCK_AND_DAY ? "too-often" : undefined;
  }

  async #carryOut(id: string, notAfterUptimeMs: number, order: GatewayOrder): Promise<void> {
    const { boot, clock, perform } = this.#options;
    const isLate = (): boolean => boot.uptimeMs() > notAfterUptimeMs;
    await this.#save();
    this.#tellNow(id);
    // Somebody waits for the answer; that it was not begun in time is said in time. Sleep makes the timer late, and `begin` does not.
    const cancel = clock.after(Math.max(0, notAfterUptimeMs - boot.uptimeMs()) + 1, () => {
      this.#expire(id).catch(this.#options.onStoreError);
    });
    const begin: Begin = async () => {
      if (this.#stateOf(id) !== "accepted" || isLate()) {
        await this.#expire(id);
        return false;
      }
      // SPEC M25: on disk before it begins, and late if the disk took too long.
      await this.#save({ id, state: "executing" });
      if (this.#stateOf(id) !== "accepted" || isLate()) {
        await this.#expire(id);
        return false;
      }
      this.#change(id, { state: "executing" });
      return true;
    };
    const outcome = await perform(order, begin);
    cancel();
    // What was not begun, for whatever reason it was not, is still only accepted.
    if (outcome.state === "not-begun") return this.#expire(id);
    const { state, answer } = outcome;
    this.#change(id, state === "done" ? { state, answer } : { state, answer, reason: "not-done" });
    await this.#save();
  }

  async #expire(id: string): Promise<void> {
    if (this.#stateOf(id) !== "accepted") return;
    this.#change(id, { state: "expired", reason: "too-late" });
    await this.#save();
  }

  /** A command of which nothing is done. */
  #end(said: Pick<Known, "id" | "action" | "device">, state: "refused" | "expired", reason: GatewayReason): void {
    const { log, clock } = this.#options;
    log.warn({ id: said.id, action: said.action, state, reason }, "a command is not carried out");
    this.#tell({ ...said, state, reason, at: clock.nowMs(), until: OTHER_RUN });
  }

  #change(id: string, change: Partial<Known> & Pick<Known, "state">): void {
    const known = this.#knownById.get(id);
    assert(known !== undefined, "a command that is under way is not forgotten");
    const next: readonly CommandState[] = nextCommandStates[known.state];
    assert(next.includes(change.state), "a command takes the steps that there are");
    this.#knownById.set(id, { ...known, ...change });
    this.#tellNow(id);
  }

  #forget(id: string): void {
    this.#knownById.delete(id);
    this.#onDisk.delete(id);
    this.#untold.delete(id);
  }

  #stateOf(id: string): CommandState | undefined {
    return this.#knownById.get(id)?.state;
  }

  #tellNow(id: string): void {
    const known = this.#knownById.get(id);
    if (known !== undefined) this.#tell(known);
  }

  #tell({ id, state, reason, answer }: Known): void {
    const { site, gateway: device, tell } = this.#options;
    const result = { v: 1 as const, id, device, state, ...(reason === undefined ? {} : { reason }) };
    const payload = formatPayload(gatewayResultSchema, { ...result, ...(answer === undefined ? {} : { answer }) });
    if (tell({ site, device, channel: "result", name: "gateway" }, payload)) this.#untold.delete(id);
    else if (this.#knownById.has(id)) this.#untold.add(id);
  }

  /** Room in memory and in the last hour. Whoever floods is refused, and the disk is spared. */
  #hasRoom(): boolean {
    const { boot, clock } = this.#options;
    for (const [id, { state, until }] of this.#knownById) {
      if (this.#knownById.size < KNOWN_LIMIT) break;
      // What is over, and too late to be taken for new, may be forgotten.
      if (isFinalState(state) && until < boot.uptimeMs()) this.#forget(id);
    }
    const since = clock.nowMs() - HOUR_MS;
    const accepted = [...this.#onDisk].map((id) => this.#knownById.get(id));
    const ofLastHour = accepted.filter((known) => known !== undefined && known.at > since).length;
    return this.#knownById.size < KNOWN_LIMIT && ofLastHour < COMMANDS_PER_HOUR;
  }

  #syncsOfDay(device: string): number {
    const since = this.#options.clock.nowMs() - DAY_MS;
    return [...this.#knownById.values()].filter(
      (known) => known.device === device && known.at > since && this.#onDisk.has(known.id),
    ).length;
  }

  /** `ahead`: a state that is on disk before it is true. */
  async #save(ahead?: Pick<Known, "id" | "state">): Promise<void> {
    const { store, gateway } = this.#options;
    const kept = [...this.#onDisk].flatMap((id) => this.#knownById.get(id) ?? []).slice(-KEPT_LIMIT);
    const commands = kept.map(({ until: _until, ...known }) =>
      known.id === ahead?.id ? { ...known, ...ahead } : known,
    );
    await store.putDocuments([{ kind: "command", device: gateway, body: JSON.stringify({ commands }) }]);
  }
}

/** As much as it takes to answer. */
const headSchema = z.looseObject({ v: z.literal(1), id: hexText(16), device: deviceId });

/** Nobody needs to say so early what is to be done now. */
const AHEAD_LIMIT_MS = 15 * 60_000;
/** Somebody at a desk, and a cloud that tries again. */
const COMMANDS_PER_HOUR = 120;
/** A visit costs a lock's battery; who commands is held to less than who stands at the door and asks. */
const SYNCS_PER_LOCK_AND_DAY = 24;
/** In memory, refused ones too. */
const KNOWN_LIMIT = 1_024;
/** More than can be accepted in an hour, which is longer than a command lives. */
const KEPT_LIMIT = 128;
const OTHER_RUN = -1;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
