/** The manager's table of devices: each with its health, firmware verdict and sync state, and the age of all of it. */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import { linkPanelModel, type ModelName, modelByName } from "../../protocol/firmware/models.ts";
import type { SyncWord } from "../../protocol/wire/messages/health.ts";
import type { SyncState } from "../../protocol/wire/messages/reported.ts";
import type { CloudParts } from "./cloud-parts.ts";
import { doorNameOf } from "./desired.ts";
import { heldPolicy } from "./device-reports.ts";
import type { HealthView } from "./device-table.ts";
import { seenOnWall } from "./stickers.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface SyncView {
  /** SPEC M17: the gateway's word, but whether it is in sync the device's own report says. */
  readonly state: SyncState;
  /** By the gateway, with the age of its word; null: it has not said, or what it said is contradicted. */
  readonly why: string | null;
  readonly since: number | null;
  readonly saidAgeSeconds: number | null;
  readonly desired: PolicyVersion;
  /** What the device reported under its own MAC; null: it never has. */
  readonly reported: (PolicyVersion & { readonly ageSeconds: number }) | null;
}

export interface DeviceRow extends HealthView {
  readonly device: string;
  readonly name: string;
  readonly model: string;
  readonly network: string;
  readonly door: string | null;
  readonly doorName: string | null;
  /** Whatever holds a policy of this authority; null for everything else. */
  readonly sync: SyncView | null;
  /** Passive panels; `seenAt` null: the current sticker has not been seen on the wall yet, neither opened nor checked. */
  readonly sticker: {
    readonly rotation: number;
    readonly rotatedAt: number;
    readonly openedAt: number | null;
    readonly checkedAt: number | null;
    readonly seenAt: number | null;
    /** Null: the sticker of this rotation is valid. */
    readonly retiredAt: number | null;
    readonly retired: number;
  } | null;
}

/** Every device of the site, its passive panels and its gateways. */
export function deviceRows(parts: CloudParts): readonly DeviceRow[] {
  const { authority, table, ports } = parts;
  const { site, state } = authority;
  const now = ports.clock.nowMs();
  if (site === undefined) return [];
  const place = (door: string) => ({ door, doorName: doorNameOf(site, door) });
  const row = (id: string, model: ModelName, door: string, name: string): DeviceRow => ({
    device: id,
    name,
    model,
    network: modelByName[model].network,
    ...place(door),
    ...table.health(id, model, now),
    sync: syncView(parts, id),
    sticker: stickerView(parts, id),
  });
  const devices = site.devices.map(({ id, model, door, name }) => row(id, model, door, name));
  const panels = site.panels.map(({ id, door, name }) => row(id, linkPanelModel, door, name));
  const gateways = Object.keys(state.gateways).map((id) => ({
    device: id,
    name: id,
    model: table.latest(id, "birth")?.body.model ?? "gateway",
    network: "mqtt",
    door: null,
    doorName: null,
    ...table.health(id, undefined, now),
    sync: null,
    sticker: null,
  }));
  return [...devices, ...panels, ...gateways];
}

function syncView(parts: CloudParts, device: string): SyncView | null {
  const { authority, ports, table } = parts;
  const policy = authority.state.policies[device];
  if (policy === undefined) return null;
  const { epoch, version } = policy;
  const report = heldPolicy(parts, device);
  const holds = report !== null && comparePolicyOrder(report, policy) === 0;
  const ageSeconds = report === null ? 0 : Math.max(0, Math.floor((ports.clock.nowMs() - report.at) / 1000));
  const said = table.latest(device, "health")?.body;
  const word = trustedWord(said?.sync, holds);
  return {
    state: word?.state ?? (holds ? "in-sync" : "pending"),
    why: word?.why ?? null,
    since: word?.since ?? null,
    saidAgeSeconds: word === undefined || said === undefined ? null : Math.max(0, authority.now() - said.at),
    desired: { epoch, version },
    reported: report === null ? null : { epoch: report.epoch, version: report.version, ageSeconds },
  };
}

/** A gateway that says `in-sync` or `pending` against the device's own report is not heard; what it alone can know it may say. */
function trustedWord(word: SyncWord | undefined, holds: boolean): SyncWord | undefined {
  if (word?.state === "in-sync") return holds ? word : undefined;
  if (word?.state === "pending" || word?.state === "unconfirmed") return holds ? undefined : word;
  return word;
}

function stickerView({ authority }: CloudParts, panel: string): DeviceRow["sticker"] {
  const state = authority.state.panels[panel];
  if (state === undefined) return null;
  const { rotation, rotatedAt, openedAt, checkedAt, retiredAt } = state;
  const retired = rotation - (retiredAt === null ? 1 : 0);
  return { rotation, rotatedAt, openedAt, checkedAt, seenAt: seenOnWall(state), retiredAt, retired };
}
