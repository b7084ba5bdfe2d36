/**
 * What the agent's HTTP API shows. The schemas are the contract: the server writes by them, the command line reads by them.
 * Every fact carries its age or its moment; null is "not known". No key, no code and no payload of a sticker's secret is here.
 */
import { z } from "zod";
import { capabilities } from "../../protocol/firmware/floor-table.ts";
import { stickerEpochMax } from "../../protocol/sticker/token.ts";
import { viewerRoles } from "../../protocol/wire/log-privacy.ts";
import { stickerActions } from "../../protocol/wire/messages/command.ts";
import { revocationKinds } from "../../protocol/wire/messages/desired.ts";
import { standardsSchema } from "../../protocol/wire/messages/event.ts";
import { bluetoothAddress, clockQuality, entityId } from "../../protocol/wire/messages/fields.ts";
import { firmwareVerdicts, gateVerdicts } from "../../protocol/wire/messages/health.ts";
import { syncStates } from "../../protocol/wire/messages/reported.ts";
import { SETUP_CODE_LIMIT_CHARACTERS } from "../../protocol/wire/setup-code.ts";
import { logWords } from "../log/log-query.ts";
import { storeFillings } from "../ports/store.ts";
import { holdOffs, visitReasons } from "../sync/schedule.ts";
import { attentionView, selfView } from "./health-views.ts";

const seconds = z.number().int();
const policyVersion = z.strictObject({ epoch: z.number(), version: z.number() });

export const exposureView = z.strictObject({
  device: z.string(),
  door: z.string().nullable(),
  doorName: z.string().nullable(),
  person: z.string(),
  personName: z.string().nullable(),
  what: z.enum(revocationKinds),
  since: seconds,
  ageSeconds: seconds,
  holds: policyVersion.nullable(),
});
export type ExposureView = z.output<typeof exposureView>;

/** What the schedule waits for, and what has to be there before it can choose at all. */
export const heldOffBy = [...holdOffs, "not-paired", "no-certificate", "radio"] as const;
export type HeldOffBy = (typeof heldOffBy)[number];

export const gateView = z.strictObject({
  capability: z.enum(capabilities),
  verdict: z.enum(gateVerdicts),
  version: z.string(),
  source: z.string(),
  wanted: z.boolean().nullable(),
});

/** How the door sync of a BLE lock stands. */
export const lockView = z.strictObject({
  state: z.enum(syncStates),
  why: z.string().nullable(),
  since: seconds.nullable(),
  sinceAgeSeconds: seconds.nullable(),
  /** Of the visit under way. */
  progress: z.strictObject({ step: z.string(), done: z.number().nullable(), of: z.number().nullable() }).nullable(),
  desired: policyVersion.nullable(),
  /** By the lock's own report, with the moment in which it came. */
  reported: policyVersion.extend({ at: seconds, ageSeconds: seconds }).nullable(),
  heardAt: seconds.nullable(),
  heardAgeSeconds: seconds.nullable(),
  rssi: z.number().nullable(),
  /** By when it is visited again even if nothing is new: half of its shortest lease. */
  visitBy: seconds.nullable(),
  urgent: z.boolean(),
  /** Why it should be visited now, and what holds that off; null: it is left alone. */
  nextVisit: z.strictObject({ reason: z.enum(visitReasons), heldOff: z.enum(heldOffBy).nullable() }).nullable(),
  failures: z.number(),
  /** What is left of the pause after failed visits. */
  pauseSeconds: seconds,
  automaticVisitsToday: z.number(),
});
export type LockView = z.output<typeof lockView>;

export const deviceView = z.strictObject({
  device: z.string(),
  model: z.string(),
  door: z.string(),
  doorName: z.string(),
  network: z.enum(["mqtt", "ble", "passive"]),
  /** Null: a passive panel, of which nobody can say. */
  online: z.boolean().nullable(),
  heardAt: seconds.nullable(),
  heardAgeSeconds: seconds.nullable(),
  /** Null: a device that holds no policy, or none is wanted of it yet. */
  syncState: z.enum(syncStates).nullable(),
  /** BLE locks only. */
  lock: lockView.nullable(),
  pendingSince: seconds.nullable(),
  lastSyncAt: seconds.nullable(),
  syncAgeSeconds: seconds.nullable(),
  /** How the last visit failed; null: it went through. */
  lastFault: z.strictObject({ code: z.string(), reason: z.string().optional() }).nullable(),
  /** The last that this gateway knows of, however long ago. `isOwn`: said by the device of itself; else how a visit failed. */
  latestFault: z.strictObject({ code: z.string(), isOwn: z.boolean(), ageSeconds: seconds }).nullable(),
  /** Null: a model that is not known here. */
  power: z.enum(["battery", "wired", "none"]).nullable(),
  uptimeSeconds: seconds.nullable(),
  bootCount: seconds.nullable(),
  signal: z.strictObject({ rssi: z.number(), ageSeconds: seconds }).nullable(),
  desired: policyVersion.nullable(),
  holds: policyVersion.nullable(),
  battery: z.strictObject({ millivolts: z.number(), percent: z.number(), ageSeconds: seconds }).nullable(),
  clock: z.strictObject({ quality: clockQuality, driftMs: z.number().nullable(), ageSeconds: seconds }).nullable(),
  firmware: z.strictObject({
    version: z.string().nullable(),
    verdict: z.enum(firmwareVerdicts),
    floor: z.string().nullable(),
    ageSeconds: seconds.nullable(),
    /** What some firmware cannot do yet. `wanted`: this site uses it; null: not known. */
    gates: z.array(gateView),
  }),
  exposure: z.array(exposureView),
});
export type DeviceView = z.output<typeof deviceView>;

export const statusView = z.strictObject({
  gateway: z.string(),
  version: z.string(),
  at: seconds,
  uptimeSeconds: seconds,
  /** Null until the authority has said which site this is. */
  site: z.strictObject({ id: z.string(), name: z.string(), timeZone: z.string() }).nullable(),
  upstream: z.strictObject({
    connected: z.boolean(),
    since: seconds,
    attempts: z.number(),
    lastFault: z.string().nullable(),
    outboxDepth: z.number(),
    /** Which of the ways to the authority is, or was last, in use; null: none yet. */
    url: z.string().nullable(),
  }),
  /** How full the store is; SPEC G62 says what follows from it. */
  store: z.strictObject({
    filling: z.enum(storeFillings),
    usedBytes: z.number(),
    limitBytes: z.number().nullable(),
    /** The disk itself has no room. */
    diskFull: z.boolean(),
    /** Telemetry since the start that gave way and is named in gap records. */
    droppedEvents: z.number(),
  }),
  broker: z.strictObject({
    port: z.number().nullable(),
    connected: z.array(z.string()),
    refused: z.record(z.string(), z.number()),
    /** By device: events that came under a name that another event has already. */
    conflicting: z.record(z.string(), z.number()),
    /** To an external broker; absent: it is this gateway's own. SPEC B16. */
    link: z
      .strictObject({ url: z.string(), connected: z.boolean(), since: seconds, lastFault: z.string().nullable() })
      .optional(),
  }),
  radio: z.strictObject({ working: z.boolean().nullable(), fault: z.string().nullable(), since: seconds }),
  configuration: z.strictObject({
    /** When the file was last read again and taken; null: it is the one of the start. */
    reloadedAt: seconds.nullable(),
    /** What is wrong with the file as it is now; the one before it stands. */
    mistakesAt: seconds.nullable(),
    mistakes: z.array(z.string()),
    /** Settings of the file that take effect at the next start. */
    waitsForRestart: z.array(z.string()),
  }),
  /** Null: not measured. */
  self: selfView.nullable(),
  devices: z.array(deviceView),
  /** What needs a person. */
  attention: attentionView,
});
export type StatusView = z.output<typeof statusView>;

export const exposureAnswer = z.strictObject({ at: seconds, exposures: z.array(exposureView) });

export const panelView = z.strictObject({
  panel: z.string(),
  panelNumber: z.number(),
  doorName: z.string(),
  epoch: z.number(),
  /** Null: none is valid until the next rotation. */
  current: z.string().nullable(),
  retired: z.array(z.string()),
  rotatedAtMs: z.number(),
  /** Since when the current one is known to hang on the wall; null: not yet. */
  seenAtMs: z.number().nullable(),
  listedAtMs: z.number(),
  ageMs: z.number(),
});
export const panelsAnswer = z.array(panelView);

/** A change of a panel's sticker, to be asked of the authority. `epoch`: the one that is meant; left out, the one that the gateway knows. */
export const stickerRequest = z.strictObject({
  panel: z.string().max(32),
  action: z.enum(stickerActions),
  epoch: z.int().min(0).max(stickerEpochMax).optional(),
});

/** An entry of the door log as one viewer may see it; beside what stands here, the event's own words. */
export const logEntryView = z.looseObject({
  device: z.string(),
  door: z.string().nullable(),
  doorName: z.string().nullable(),
  /** By this gateway's clock; of a hole, when what follows it came. */
  receivedAt: seconds,
  /** Null: a hole has none. */
  boot: z.number().nullable(),
  /** Null: a hole has none, and at the door of a home it would tell how often somebody came and went. */
  sequence: z.number().nullable(),
  /** One of the kinds of events, or `hole`: entries that never came. */
  kind: z.string(),
  /** By the device's own clock. */
  at: z.strictObject({ unixSeconds: z.number().nullable(), quality: clockQuality }).optional(),
  facts: z.record(z.string(), z.number()).optional(),
  person: z.string().optional(),
  personName: z.string().nullable(),
  reason: z.string().optional(),
  reasonAbsent: z.string().optional(),
  /** All that failed, the reason first. */
  failedChecks: z.array(z.string()).optional(),
  warnings: z.array(z.string()).optional(),
  credential: z.string().optional(),
  credentialType: z.string().optional(),
  /** Who it was has been taken out of it. */
  erased: z.boolean().optional(),
  /** The reason in the words of ONVIF, Matter and BACnet, where they have one. */
  standards: standardsSchema.optional(),
  detail: z.string().optional(),
});
export type LogEntryView = z.output<typeof logEntryView>;
export const logAnswer = z.strictObject({
  at: seconds,
  /** Whether something keeps this gateway's clock, by which `receivedAt` is told: now, not then. Null: not known. */
  clockSynchronised: z.boolean().nullable(),
  /** Whose eyes it is for. */
  role: z.enum(viewerRoles),
  /** Newest first; the entries of one device in the order of its own sequence. */
  entries: z.array(logEntryView),
  /** Leads on to what is older; null: there is nothing more. */
  next: z.string().nullable(),
});
export type LogAnswer = z.output<typeof logAnswer>;

/** As `agent/log/log-query.ts` reads them. */
export const logQuery = z.strictObject(
  Object.fromEntries(logWords.map((word) => [word, z.string().max(100).optional()])),
);
/** A person to be taken out of all that this gateway keeps. What is answered names nobody. */
export const eraseRequest = z.strictObject({ person: entityId, credentials: z.array(entityId).max(64).default([]) });
export const eraseAnswer = z.strictObject({
  /** Entries that lost who it was, now. */
  events: z.number(),
  /** Entries that are looked at when the authority has receipted them. */
  waiting: z.number(),
  /** Policies signed by the authority that name the person: only it can make others. */
  signed: z.number(),
});

export const syncRequest = z.strictObject({ device: z.string().max(32) });
/** `code`: the text of the setup code. It is a secret and is answered with by nobody. */
export const pairRequest = z.strictObject({
  device: z.string().max(32),
  code: z.string().max(SETUP_CODE_LIMIT_CHARACTERS),
  address: bluetoothAddress.optional(),
});
export const pairAnswerView = z.strictObject({
  device: z.string(),
  pairingId: z.string(),
  address: z.string(),
  model: z.string(),
  firmware: z.string(),
  hardware: z.string(),
  confirmed: z.boolean(),
});
export type PairAnswerView = z.output<typeof pairAnswerView>;

const clockChange = z.strictObject({ oldMs: z.number().nullable(), newMs: z.number(), written: z.boolean() });
export const syncAnswerView = z.strictObject({
  device: z.string(),
  outcome: z.enum(["in-sync", "pending"]),
  from: policyVersion.nullable(),
  to: policyVersion,
  clock: clockChange.nullable(),
  logEntries: z.number(),
  battery: z.strictObject({ millivolts: z.number(), percent: z.number() }).nullable(),
  firmware: z.string().nullable(),
  durationMs: z.number(),
  bytes: z.number(),
  /** When the lock's own report of what it now holds came, by this gateway's clock. */
  reportedAt: z.number(),
});
export type SyncAnswerView = z.output<typeof syncAnswerView>;

export const syncProgressView = z.strictObject({
  device: z.string(),
  active: z.boolean(),
  step: z.string().nullable(),
  done: z.number().nullable(),
  of: z.number().nullable(),
});

/** Every answer that is not 2xx. */
export const faultView = z.strictObject({
  fault: z.strictObject({ code: z.string(), reason: z.string().optional() }),
});
