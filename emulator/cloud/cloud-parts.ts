/** The parts of the cloud, as its routes and tables work with them. `cloud.ts` puts them together. */
import type { AuditChains } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { UpstreamPort } from "./broker.ts";
import type { Calls } from "./calls.ts";
import type { Carried } from "./carried.ts";
import type { Outbox } from "./delivery.ts";
import type { DeviceTable } from "./device-table.ts";
import type { GatewayOrders } from "./gateway-orders.ts";
import type { Intake } from "./intake.ts";
import type { CloudLog } from "./log.ts";
import type { PhoneCouriers } from "./phone-couriers.ts";
import type { CloudPorts } from "./ports.ts";
import type { EventRecord } from "./record.ts";
import type { StickerDesk } from "./sticker-desk.ts";
import type { StickerRecord } from "./sticker-record.ts";
import type { UnlockRecord } from "./unlock-record.ts";
import type { Unlocks } from "./unlocks.ts";

export interface CloudParts {
  readonly authority: Authority;
  readonly record: EventRecord;
  readonly table: DeviceTable;
  readonly chains: AuditChains;
  readonly carried: Carried;
  readonly couriers: PhoneCouriers;
  readonly intake: Intake;
  readonly broker: UpstreamPort;
  readonly calls: Calls;
  readonly outbox: Outbox;
  readonly unlocks: Unlocks;
  readonly unlockRecord: UnlockRecord;
  readonly orders: GatewayOrders;
  readonly stickers: StickerDesk;
  readonly stickerRecord: StickerRecord;
  readonly ports: CloudPorts;
  readonly log: CloudLog;
  /** Publishes everything desired anew; what has not changed is the same message again. */
  readonly publishDesired: () => void;
}
