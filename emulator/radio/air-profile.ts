/**
 * How the air and BlueZ behave: each trap of real BlueZ is one field here. Times are those of BlueZ 5.66 (measured in a
 * virtual machine with two LE controllers) multiplied by `timeScale`, so that a demo keeps the proportions and not the
 * waiting; 1 is life.
 */
export interface AirProfile {
  readonly timeScale: number;
  /** From Connect to connected. */
  readonly connectMs: number;
  /** From Connect to the refusal when nobody answers. */
  readonly absentConnectMs: number;
  /** From connected until the services are read. */
  readonly servicesMs: number;
  /** Disconnect returns this long after it was called, though the link is down at once. */
  readonly disconnectMs: number;
  /** From an ended link to the answer of what was under way. */
  readonly lossNoticedMs: number;
  readonly advertisingIntervalMs: number;
  readonly connectionIntervalMs: number;
  /** Frames that one connection interval carries each way; 4 of 244 bytes each 50 ms are 20 kB/s. */
  readonly framesPerInterval: number;
  /** `early`: ServicesResolved is true one services time before the objects are there. */
  readonly servicesResolved: "with-objects" | "early";
  /** What the MTU property says; undefined: BlueZ before 5.62, which has none. */
  readonly mtu: number | undefined;
  /** A longer command is acknowledged and lost, a longer request refused. */
  readonly writeLimitBytes: number;
  /** A second request on a characteristic is refused while the first is under way. */
  readonly oneRequestAtATime: boolean;
  /** RSSI goes away when the discovery ends. */
  readonly rssiVanishes: boolean;
  /** Devices that left stay listed, with their last service data. */
  readonly listsAbsentDevices: boolean;
  /** How many places a frame may be overtaken by, in each direction; 0 keeps order. EATT between two BlueZ: up to 8. */
  readonly reorderDepth: number;
  /** 0..1: a frame arrives twice. */
  readonly duplicateShare: number;
  /** 0..1: a frame does not arrive, and nobody is told. */
  readonly silentLossShare: number;
  /** The link breaks when the central writes its n-th command of a connection (1 is the first); undefined: never. */
  readonly linkLossAtFrame: number | undefined;
  /** Characteristics of a second service, to be read and written with response; a central that subscribes to all pays for each. */
  readonly extraCharacteristics: number;
}

/** What real BlueZ does with one well-behaved lock of another make (no EATT), twenty times as fast. */
export const DEFAULT_AIR_PROFILE: AirProfile = {
  timeScale: 0.05,
  connectMs: 65,
  absentConnectMs: 40_500,
  servicesMs: 400,
  disconnectMs: 2_000,
  lossNoticedMs: 37,
  advertisingIntervalMs: 1_000,
  connectionIntervalMs: 50,
  framesPerInterval: 4,
  servicesResolved: "with-objects",
  mtu: 517,
  writeLimitBytes: 510,
  oneRequestAtATime: true,
  rssiVanishes: true,
  listsAbsentDevices: true,
  reorderDepth: 0,
  duplicateShare: 0,
  silentLossShare: 0,
  linkLossAtFrame: undefined,
  extraCharacteristics: 0,
};

/** A time of the profile in the milliseconds of its clock. */
export function scaledMs(profile: AirProfile, name: AirTime): number {
  return profile[name] * profile.timeScale;
}

type AirTime =
  | "connectMs"
  | "absentConnectMs"
  | "servicesMs"
  | "disconnectMs"
  | "lossNoticedMs"
  | "advertisingIntervalMs"
  | "connectionIntervalMs";
