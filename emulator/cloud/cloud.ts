/**
 * The emulated cloud put together: record, authority, intake, broker, calls and the HTTP side. Everything that it needs from
 * outside comes in here, so that tests build the same cloud on a stepped clock and ephemeral ports.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { readU32 } from "../../protocol/base/bytes.ts";
import { ok, type Result } from "../../protocol/base/result.ts";
import { AuditChains } from "./audit-chains.ts";
import { Authority } from "./authority.ts";
import type { CloudKeys } from "./authority-keys.ts";
import { UpstreamBroker, type UpstreamPort } from "./broker.ts";
import { Calls } from "./calls.ts";
import { Carried } from "./carried.ts";
import type { CloudParts } from "./cloud-parts.ts";
import { Outbox } from "./delivery.ts";
import { allDesired } from "./desired.ts";
import { DeviceTable } from "./device-table.ts";
import { Documents } from "./documents.ts";
import { ExternalUpstream, type ExternalUpstreamSettings } from "./external-upstream.ts";
import { GatewayOrders } from "./gateway-orders.ts";
import { createHttpServer } from "./http/server.ts";
import { Intake } from "./intake.ts";
import { lockWordsOf, speakerOf } from "./lock-words.ts";
import type { CloudLog } from "./log.ts";
import { PhoneCouriers } from "./phone-couriers.ts";
import type { CloudPorts } from "./ports.ts";
import { EventRecord, type OpenFault, openCloudDatabase } from "./record.ts";
import { StickerDesk } from "./sticker-desk.ts";
import { StickerRecord } from "./sticker-record.ts";
import { UnlockRecord } from "./unlock-record.ts";
import { Unlocks } from "./unlocks.ts";
import { VISIT_LEASE_SECONDS, VisitLeaseDesk } from "./visit-leases.ts";

export interface CloudOptions {
  /** A folder of this process alone; `:memory:` keeps everything in memory. */
  readonly stateDirectory: string;
  readonly keys: CloudKeys;
  readonly publicUrl: string;
  readonly ports: CloudPorts;
  readonly log: CloudLog;
  /** How long a gateway may visit a lock that it was granted, where there are several. */
  readonly visitLeaseSeconds?: number;
  /** Somebody else's broker, instead of one of this process. */
  readonly externalBroker?: ExternalUpstreamSettings | undefined;
}

export interface Cloud extends CloudParts {
  readonly http: FastifyInstance;
  close(): Promise<void>;
}

/** Fault: record-newer. A broken disk throws. */
export async function createCloud(options: CloudOptions): Promise<Result<Cloud, OpenFault>> {
  const { stateDirectory, keys, publicUrl, ports, log, visitLeaseSeconds = VISIT_LEASE_SECONDS } = options;
  const database = openCloudDatabase(databasePath(stateDirectory));
  if (!database.ok) return database;
  const documents = new Documents(database.value);
  const record = new EventRecord(database.value);
  const authority = new Authority({
    keys,
    documents,
    ports,
    publicUrl,
    visitLeaseSeconds,
    lastSequence: (device) => record.lastSequence(device),
  });
  const table = new DeviceTable(documents);
  const chains = new AuditChains(authority, record, documents);
  const { clock } = ports;
  const stickerRecord = new StickerRecord(database.value);
  const stickers = new StickerDesk({
    authority,
    record: stickerRecord,
    clock,
    log,
    send: (message) => broker.publish(message),
  });
  const leases = new VisitLeaseDesk({ documents, clock, leaseSeconds: visitLeaseSeconds });
  const unlockRecord = new UnlockRecord(database.value);
  const unlocks = new Unlocks({
    authority,
    table,
    record: unlockRecord,
    ports,
    log,
    send: (message) => broker.publish(message),
    linkIsUp: () => broker.linkIsUp,
  });
  const orders = new GatewayOrders({
    authority,
    ports,
    log,
    send: (message) => broker.publish(message),
    linkIsUp: () => broker.linkIsUp,
  });
  const carried = new Carried({ authority, record, table, chains, leases, send: (message) => broker.publish(message) });
  const intake = new Intake({
    authority,
    record,
    table,
    carried,
    unlocks,
    orders,
    stickers,
    leases,
    clock,
    log,
    send: (message) => broker.publish(message),
    onPaired: () => publishDesired(),
  });
  const couriers = new PhoneCouriers({
    authority,
    chains,
    record,
    carried,
    clock,
    refused: (phone, what, code, bytes) => intake.refuse(phone, what, code, bytes),
  });
  const refused = (...[from, topic, code, bytes]: Parameters<Intake["refuse"]>): void =>
    intake.refuse(from, topic, code, bytes);
  const broker: UpstreamPort =
    options.externalBroker === undefined
      ? await UpstreamBroker.create(
          {
            site: () => authority.site?.id,
            passwordHash: (gateway) => authority.state.gateways[gateway]?.passwordHash,
            intake: (gateway, topic, payload) => intake.receive(gateway, topic, payload),
            refused,
          },
          log,
        )
      : new ExternalUpstream({
          settings: options.externalBroker,
          rules: {
            site: () => authority.site?.id,
            isGateway: (id) => authority.state.gateways[id] !== undefined,
            speakerOf: (device) => speakerOf({ authority, table }, device),
            intake: (gateway, topic, payload) => intake.receive(gateway, topic, payload),
            refused,
            onConnected: () => publishDesired(),
          },
          clock,
          fraction: () => readU32(ports.random(4), 0) / 2 ** 32,
          log,
        });
  const publishDesired = (): void => {
    for (const message of allDesired(authority, (device) => lockWordsOf({ authority, chains, table }, device)))
      broker.publish(message);
  };
  authority.renewPolicies();
  publishDesired();
  const calls = new Calls(ports.random);
  const outbox = new Outbox({ keys, documents, ports, log });
  const parts: CloudParts = {
    authority,
    record,
    table,
    chains,
    carried,
    couriers,
    intake,
    broker,
    calls,
    outbox,
    unlocks,
    unlockRecord,
    orders,
    stickers,
    stickerRecord,
    ports,
    log,
    publishDesired,
  };
  const http = createHttpServer(parts);
  const close = async (): Promise<void> => {
    await http.close();
    await broker.close();
    database.value.close();
  };
  return ok({ ...parts, http, close });
}

function databasePath(stateDirectory: string): string {
  if (stateDirectory === ":memory:") return stateDirectory;
  mkdirSync(stateDirectory, { recursive: true });
  return join(stateDirectory, "cloud.sqlite");
}
