/** What an order of the authority makes this gateway do. There is no order that opens anything, and none that changes whom it listens to. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { GatewayAnswer, GatewayOrder } from "../../protocol/wire/messages/gateway-command.ts";
import type { ErasureDone } from "../log/erasures.ts";
import type { SyncAnswer } from "../sync/visits.ts";
import type { Begin, OrderOutcome } from "./gateway-commands.ts";

export interface OrderActions {
  /** `begin` is asked when the radio is free for it. */
  readonly sync: (device: DeviceId, begin: Begin) => Promise<SyncAnswer>;
  readonly erasePerson: (person: string, credentials: readonly string[]) => Promise<ErasureDone>;
  /** Undefined: this agent was started without a file to read again. */
  readonly reload: (() => Promise<NonNullable<GatewayAnswer["reloaded"]>>) | undefined;
  readonly diagnose: () => Promise<NonNullable<GatewayAnswer["diagnosis"]>>;
}

export async function performOrder(order: GatewayOrder, begin: Begin, actions: OrderActions): Promise<OrderOutcome> {
  if (order.action === "sync") return performSync(order.device, begin, actions);
  if (!(await begin())) return { state: "not-begun" };
  switch (order.action) {
    case "erase-person": {
      const { events, waiting, signed } = await actions.erasePerson(order.person, order.credentials);
      return { state: "done", answer: { erased: { events, waiting, signed } } };
    }
    case "reload":
      if (actions.reload === undefined) return { state: "failed", answer: { fault: { code: "no-file" } } };
      return { state: "done", answer: { reloaded: await actions.reload() } };
    case "diagnose":
      return { state: "done", answer: { diagnosis: await actions.diagnose() } };
  }
}

async function performSync(device: DeviceId, begin: Begin, actions: OrderActions): Promise<OrderOutcome> {
  let asked = false;
  const answer = await actions.sync(device, () => {
    asked = true;
    return begin();
  });
  if ("fault" in answer) {
    const { code, reason } = answer.fault;
    if (code === "withdrawn") return { state: "not-begun" };
    return {
      state: "failed",
      answer: { fault: { code, ...(reason === undefined ? {} : { reason: reason.slice(0, 120) }) } },
    };
  }
  // Somebody's visit was under way already, and is this one's too.
  if (!asked && !(await begin())) return { state: "not-begun" };
  const { outcome, to, reportedAt } = answer;
  return { state: "done", answer: { sync: { device, outcome, to, reportedAt } } };
}
