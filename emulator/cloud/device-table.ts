/**
 * What the cloud knows of each device's health: the latest birth, state, health and report, each with when it came.
 * Unknown is a value here: what was never said stays null and is shown as unknown, with the age of everything that was said.
 */
import type { z } from "zod";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { ModelName } from "../../protocol/firmware/models.ts";
import { judgeFirmware } from "../../protocol/firmware/version.ts";
import { type Birth, birthSchema } from "../../protocol/wire/messages/birth.ts";
import { type Health, healthSchema } from "../../protocol/wire/messages/health.ts";
import {
  type ExposureReport,
  exposureSchema,
  type Reported,
  reportedSchema,
} from "../../protocol/wire/messages/reported.ts";
import { type DeviceState, stateSchema } from "../../protocol/wire/messages/state.ts";
import { withBase64 } from "./authority-state.ts";
import type { Documents, StoredDocument } from "./documents.ts";

const schemaByChannel = {
  birth: birthSchema,
  state: stateSchema,
  health: healthSchema,
  reported: reportedSchema,
  exposure: exposureSchema,
} as const;
export type TableChannel = keyof typeof schemaByChannel;

interface LatestByChannel {
  readonly birth: Birth;
  readonly state: DeviceState;
  readonly health: Health;
  readonly reported: Reported;
  readonly exposure: ExposureReport;
}

export interface FirmwareView {
  readonly version: string | null;
  readonly verdict: string;
  readonly floor: string | null;
  /** What the gateway makes of it; null when it has not judged. */
  readonly reportedVerdict: string | null;
  readonly ageSeconds: number | null;
}

export interface HealthView {
  readonly via: string | null;
  /** Null: nobody has said. */
  readonly online: boolean | null;
  readonly heardAt: number | null;
  readonly heardAgeSeconds: number | null;
  readonly battery: { readonly millivolts: number; readonly percent: number; readonly ageSeconds: number } | null;
  readonly firmware: FirmwareView;
  readonly clock: { readonly quality: string; readonly driftMs: number | null; readonly ageSeconds: number } | null;
  readonly uptimeSeconds: number | null;
  readonly bootCount: number | null;
  readonly lastSyncAt: number | null;
  readonly health: { readonly ageSeconds: number } | null;
}

export class DeviceTable {
  readonly #documents: Documents;
  readonly #cache = new Map<string, StoredDocument<unknown> | null>();

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  latest<Channel extends TableChannel>(
    device: string,
    channel: Channel,
  ): StoredDocument<LatestByChannel[Channel]> | undefined {
    const name = documentName(device, channel);
    const cached = this.#cache.get(name);
    // The cache holds under a channel's name what was parsed by that channel's schema.
    if (cached !== undefined) return (cached ?? undefined) as StoredDocument<LatestByChannel[Channel]> | undefined;
    const schema: z.ZodType = schemaByChannel[channel];
    const stored = this.#documents.get(name, schema);
    this.#cache.set(name, stored ?? null);
    return stored as StoredDocument<LatestByChannel[Channel]> | undefined;
  }

  put<Channel extends TableChannel>(
    device: DeviceId,
    channel: Channel,
    message: LatestByChannel[Channel],
    at: UnixMs,
  ): void {
    const name = documentName(device, channel);
    this.#documents.put(name, withBase64(message), at);
    this.#cache.set(name, { body: message, writtenAt: at });
  }

  /** The devices of which there is anything under this channel. */
  devicesWith(channel: TableChannel): readonly string[] {
    const prefix = `${channel}/`;
    return this.#documents.names(prefix).map((name) => name.slice(prefix.length));
  }

  /** One row of the health table. `model` undefined: a gateway, to which no floor applies. */
  health(device: string, model: ModelName | undefined, now: UnixMs): HealthView {
    const birth = this.latest(device, "birth");
    const state = this.latest(device, "state")?.body;
    const health = this.latest(device, "health")?.body;
    const age = (at: number | null | undefined): number | null =>
      at === null || at === undefined ? null : Math.max(0, Math.floor(now / 1000) - at);
    return {
      via: birth?.body.via ?? null,
      online: state?.online ?? null,
      heardAt: state?.heardAt ?? null,
      heardAgeSeconds: age(state?.heardAt),
      battery: health?.battery ? { ...withoutAt(health.battery), ageSeconds: age(health.battery.at) ?? 0 } : null,
      firmware: firmwareView(model, birth, health, age),
      clock: health?.clock ? { ...withoutAt(health.clock), ageSeconds: age(health.clock.at) ?? 0 } : null,
      uptimeSeconds: health?.uptimeSeconds ?? null,
      bootCount: health?.bootCount ?? birth?.body.bootCount ?? null,
      lastSyncAt: health?.lastSyncAt ?? null,
      health: health === undefined ? null : { ageSeconds: age(health.at) ?? 0 },
    };
  }
}

/** The device's latest word on its firmware: in its health, or at its birth when health says nothing of it. */
function firmwareView(
  model: ModelName | undefined,
  birth: StoredDocument<Birth> | undefined,
  health: Health | undefined,
  age: (at: number) => number | null,
): FirmwareView {
  const born = birth?.body.firmware ?? null;
  const bornAt = birth === undefined ? null : Math.floor(birth.writtenAt / 1000);
  const version = health?.firmware?.version ?? born;
  const saidAt = health?.firmware?.at ?? (born === null ? null : bornAt);
  const judged = model === undefined ? undefined : judgeFirmware(model, version ?? undefined);
  return {
    version,
    verdict: judged?.verdict ?? "not applicable",
    floor: judged?.floor?.version ?? null,
    reportedVerdict: health?.firmwareVerdict ?? null,
    ageSeconds: saidAt === null ? null : age(saidAt),
  };
}

function withoutAt<Value extends { readonly at: unknown }>({ at: _at, ...rest }: Value): Omit<Value, "at"> {
  return rest;
}

function documentName(device: string, channel: TableChannel): string {
  return `${channel}/${device}`;
}
