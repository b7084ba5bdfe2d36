/**
 * The device models and what each can do: credentials, key, relocking, keypad, power, network, licences, firmware floor.
 *
 * Lock models: support.door.com articles 40449163970071 (C1), 40638907908887 (C2), 40645638492055 (M2), 41155098063127
 * (Interconnect), 41305141978391 (R2); keypad timing: 24658677135255. Waking the keypad by any key: 40449163970071 (C1), 40639215976983 (C2),
 * 40645638492055 (M2), 41154846312983 (Interconnect), 41305141978391 (R2), 39996104349079 (digits typed on a sleeping lock fail).
 * They say that it comes first and do not say when the keypad sleeps again: that it does the digit timeout after the last
 * press and when an entry has ended is our assumption. Of the readers nothing is published; that they are always
 * lit is assumed too (`keypadWakeEvidence`). Reader models: knowledge.akuvox.com door-unlock-configuration-4 gives the
 * credentials of the family, not of each model, so `credentialsEvidence` says where the list of one model is our reading.
 */
import type { CredentialKind } from "../access/credential-kind.ts";
import { shippedFloors } from "./floors.ts";

export const networkedOrBleModelNames = [
  "C1",
  "C2",
  "M2",
  "R2",
  "Interconnect",
  "A08",
  "EC33",
  "R20",
  "R29",
  "X915V2",
] as const;
export const linkPanelModel = "DOOR Link";
export const modelNames = [...networkedOrBleModelNames, linkPanelModel] as const;
export type ModelName = (typeof modelNames)[number];

export interface FirmwareFloor {
  readonly version: string;
  readonly source: string;
  /** Month in which the source was read. */
  readonly readOn: string;
}

export interface DeviceModel {
  readonly name: ModelName;
  readonly maker: "DOOR" | "Akuvox";
  readonly what: "lock" | "reader" | "link panel";
  /** How it is reached: its own network, a courier's Bluetooth, or not at all. */
  readonly network: "mqtt" | "ble" | "passive";
  readonly power: "battery" | "wired" | "none";
  readonly takes: readonly CredentialKind[];
  readonly credentialsEvidence: "sourced" | "read from the family";
  readonly mechanicalKey: boolean;
  /** How long it stays open; absent: it does not lock by itself. */
  readonly relockSeconds?: number;
  /** A digit that comes later than this after the one before it discards the entry; absent: no keypad. */
  readonly digitTimeoutMs?: number;
  /** A check-mark key ends the entry; otherwise the last digit does. */
  readonly checkMarkKey: boolean;
  /** Which press wakes a sleeping keypad, without being part of the entry; "none": it never sleeps, or there is no keypad. */
  readonly keypadWake: "any-key" | "none";
  readonly keypadWakeEvidence: "sourced" | "assumed";
  /** An extended deadbolt refuses daily codes. */
  readonly deadboltRefusesDaily: boolean;
  /** Its profile knows door licences. */
  readonly hasLicences: boolean;
  readonly floor?: FirmwareFloor;
}

const digitTimeoutMs = 5_000;

const lockDefaults = {
  maker: "DOOR",
  what: "lock",
  network: "ble",
  power: "battery",
  credentialsEvidence: "sourced",
  digitTimeoutMs,
  checkMarkKey: false,
  keypadWake: "any-key",
  keypadWakeEvidence: "sourced",
  deadboltRefusesDaily: false,
  hasLicences: false,
} as const;

const appAndCodes = ["app-key", "permanent-doorcode", "daily-doorcode"] as const;

const readerDefaults = {
  maker: "Akuvox",
  what: "reader",
  network: "mqtt",
  power: "wired",
  credentialsEvidence: "read from the family",
  mechanicalKey: false,
  relockSeconds: 5,
  digitTimeoutMs,
  checkMarkKey: true,
  keypadWake: "none",
  keypadWakeEvidence: "assumed",
  deadboltRefusesDaily: false,
  hasLicences: true,
} as const;

const readerBasics = ["app-key", "pin", "rf-card", "keycard", "temp-key"] as const;

/** The shipped floor of a model as an optional field; none for models of which none is published. */
function shippedFloor(name: ModelName): Pick<DeviceModel, "floor"> {
  const found = shippedFloors.floors.find(({ model }) => model === name);
  if (found === undefined) return {};
  const { version, source, readOn } = found;
  return { floor: { version, source, readOn } };
}

export const modelByName: Readonly<Record<ModelName, DeviceModel>> = {
  C1: {
    ...lockDefaults,
    name: "C1",
    takes: [...appAndCodes, "mechanical-key"],
    mechanicalKey: true,
    checkMarkKey: true,
  },
  C2: { ...lockDefaults, name: "C2", takes: [...appAndCodes, "keycard"], mechanicalKey: false, relockSeconds: 10 },
  M2: {
    ...lockDefaults,
    name: "M2",
    takes: [...appAndCodes, "keycard", "mechanical-key"],
    mechanicalKey: true,
    relockSeconds: 10,
    deadboltRefusesDaily: true,
  },
  Interconnect: {
    ...lockDefaults,
    name: "Interconnect",
    takes: [...appAndCodes, "keycard", "mechanical-key"],
    mechanicalKey: true,
    relockSeconds: 10,
  },
  R2: {
    ...lockDefaults,
    name: "R2",
    network: "mqtt",
    power: "wired",
    takes: [...appAndCodes, "keycard"],
    mechanicalKey: false,
    relockSeconds: 5,
  },
  A08: { ...readerDefaults, name: "A08", takes: [...readerBasics, "qr"], ...shippedFloor("A08") },
  EC33: { ...readerDefaults, name: "EC33", takes: [...readerBasics, "qr"], ...shippedFloor("EC33") },
  R20: { ...readerDefaults, name: "R20", takes: [...readerBasics, "qr"], ...shippedFloor("R20") },
  R29: { ...readerDefaults, name: "R29", takes: [...readerBasics, "qr", "face"], ...shippedFloor("R29") },
  X915V2: {
    ...readerDefaults,
    name: "X915V2",
    takes: [...readerBasics, "qr", "face", "licence-plate"],
    ...shippedFloor("X915V2"),
  },
  [linkPanelModel]: {
    name: linkPanelModel,
    maker: "DOOR",
    what: "link panel",
    network: "passive",
    power: "none",
    takes: [],
    credentialsEvidence: "sourced",
    mechanicalKey: false,
    checkMarkKey: false,
    keypadWake: "none",
    keypadWakeEvidence: "sourced",
    deadboltRefusesDaily: false,
    hasLicences: false,
  },
};
