/**
 * The authority's side of commands to a gateway itself: each is for the run that the gateway last told of, ends a while after it is sent by
 * the gateway's own uptime, is sent once, and its results are heard.
 *
 * Theory. A gateway's uptime is known from what it said, plus this machine's monotonic time since. What it said took time to come, so the
 * sum is at most the truth: a command ends a little early, never late. Of what was said of one run, what makes it oldest counts. SPEC M23-M26.
 */
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, MonotonicMs } from "../../protocol/base/units.ts";
import {
  type CommandState,
  type CommandStateFault,
  hearCommandState,
  isFinalState,
} from "../../protocol/wire/command-state.ts";
import {
  type GatewayAnswer,
  type GatewayBoot,
  type GatewayOrder,
  type GatewayReason,
  type GatewayResult,
  gatewayCommandSchema,
} from "../../protocol/wire/messages/gateway-command.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import type { Authority } from "./authority.ts";
import type { OutgoingMessage } from "./broker.ts";
import type { CloudLog } from "./log.ts";
import type { CloudPorts } from "./ports.ts";

export interface GatewayOrdersParts {
  readonly authority: Authority;
  readonly ports: CloudPorts;
  readonly log: CloudLog;
  readonly send: (message: OutgoingMessage) => void;
  readonly linkIsUp: () => boolean;
}

export interface OrderView {
  readonly gateway: string;
  readonly action: string;
  /** Null: nothing was sent. */
  readonly command: string | null;
  /** `unconfirmed`: sent, and nothing final came back in its time; it may have been done. */
  readonly state: CommandState | "sent" | "not-sent" | "unconfirmed";
  readonly reason: GatewayReason | "never-heard" | "no-link" | "no-answer-in-time" | null;
  readonly answer: GatewayAnswer | null;
}

export type OrderFault = { readonly code: "no-site" | "no-such-gateway" | "too-many-commands" };
export type OrderResultFault = CommandStateFault | { readonly code: "order-unknown" };

interface Sent {
  readonly gateway: DeviceId;
  readonly action: string;
  readonly command: string;
  readonly state: CommandState | "sent";
  readonly reason: GatewayReason | null;
  readonly answer: GatewayAnswer | null;
  readonly at: MonotonicMs;
}

export class GatewayOrders {
  readonly #parts: GatewayOrdersParts;
  readonly #bootByGateway = new Map<string, GatewayBoot & { readonly at: MonotonicMs }>();
  readonly #sentById = new Map<string, Sent>();
  readonly #waitingById = new Map<string, () => void>();

  constructor(parts: GatewayOrdersParts) {
    this.#parts = parts;
  }

  heardBoot(gateway: DeviceId, boot: GatewayBoot | undefined): void {
    if (boot === undefined) return;
    const at = this.#parts.ports.clock.monotonicMs();
    const held = this.#bootByGateway.get(gateway);
    const isOlderNews = held?.id === boot.id && held.uptimeMs + (at - held.at) >= boot.uptimeMs;
    if (!isOlderNews) this.#bootByGateway.set(gateway, { ...boot, at });
  }

  /** Has a gateway do something, and waits a while for what becomes of it. Faults: no-site, no-such-gateway, too-many-commands. */
  async request(gateway: DeviceId, order: GatewayOrder, waitMs = waitMsMax): Promise<Result<OrderView, OrderFault>> {
    const { authority, linkIsUp, log } = this.#parts;
    if (authority.site === undefined) return failed({ code: "no-site" });
    if (authority.state.gateways[gateway] === undefined) return failed({ code: "no-such-gateway" });
    if (this.#waitingById.size >= waitingMax) return failed({ code: "too-many-commands" });
    const boot = this.#bootByGateway.get(gateway);
    const { action } = order;
    if (boot === undefined || !linkIsUp()) {
      const reason = boot === undefined ? "never-heard" : "no-link";
      return ok({ gateway, action, command: null, state: "not-sent", reason, answer: null });
    }
    const sent = this.#send(gateway, order, boot);
    // Whom an erasure is of stands in no log.
    log.info({ command: sent.command, gateway, action }, "command to a gateway");
    return ok(await this.#outcome(sent, waitMs));
  }

  /** A result came from a gateway. Faults: order-unknown, not-a-step; neither changes anything. */
  heardResult(gateway: DeviceId, { id, state, reason, answer }: GatewayResult): Result<void, OrderResultFault> {
    const sent = this.#sentById.get(id);
    if (sent === undefined || sent.gateway !== gateway) return failed({ code: "order-unknown" });
    const heard = hearCommandState(sent.state, state);
    if (!heard.ok) return heard;
    this.#sentById.set(id, { ...sent, state: heard.value, reason: reason ?? null, answer: answer ?? null });
    if (isFinalState(heard.value)) this.#waitingById.get(id)?.();
    return ok(undefined);
  }

  #send(gateway: DeviceId, order: GatewayOrder, boot: GatewayBoot & { readonly at: MonotonicMs }): Sent {
    const { authority, ports, send } = this.#parts;
    const command = bytesToHex(ports.random(idBytes));
    const uptimeMs = boot.uptimeMs + (ports.clock.monotonicMs() - boot.at);
    const at = ports.clock.monotonicMs();
    const sent: Sent = { gateway, action: order.action, command, state: "sent", reason: null, answer: null, at };
    this.#remember(sent);
    const payload = formatPayload(gatewayCommandSchema, {
      v: 1,
      id: command,
      device: gateway,
      bootId: boot.id,
      notAfterUptimeMs: Math.floor(uptimeMs) + orderLifetimeMs,
      order,
    });
    assert(authority.site !== undefined, "a command is sent within a site");
    send({ topic: { site: authority.site.id, device: gateway, channel: "command", name: "gateway" }, payload });
    return sent;
  }

  /** Those of a gateway that are remembered, oldest first. */
  list(gateway: string): readonly OrderView[] {
    return [...this.#sentById.values()].filter((sent) => sent.gateway === gateway).map((sent) => this.#viewOf(sent));
  }

  /** When it is over, or as it stands when somebody has waited long enough. */
  async #outcome(sent: Sent, waitMs: number): Promise<OrderView> {
    const { command } = sent;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        cancel();
        this.#waitingById.delete(command);
        resolve();
      };
      const cancel = this.#parts.ports.clock.after(waitMs, finish);
      this.#waitingById.set(command, finish);
    });
    return this.#viewOf(this.#sentById.get(command) ?? sent);
  }

  #viewOf({ gateway, action, command, state, reason, answer, at }: Sent): OrderView {
    const isOver = state !== "sent" && isFinalState(state);
    const age = this.#parts.ports.clock.monotonicMs() - at;
    if (isOver || age <= orderLifetimeMs + answerMarginMs) return { gateway, action, command, state, reason, answer };
    return { gateway, action, command, state: "unconfirmed", reason: "no-answer-in-time", answer: null };
  }

  #remember(sent: Sent): void {
    this.#sentById.set(sent.command, sent);
    for (const command of this.#sentById.keys()) {
      if (this.#sentById.size <= ordersRemembered) return;
      this.#sentById.delete(command);
    }
  }
}

/** Beyond the longest visit (90 s), so that one that began at its end is still heard of. */
const answerMarginMs = 100_000;
/** A lock may have to wait for another's visit. */
export const orderLifetimeMs = 120_000;
/** Who asks at a desk can look again. */
export const waitMsMax = 10_000;
const waitingMax = 64;
const ordersRemembered = 256;
const idBytes = 16;
