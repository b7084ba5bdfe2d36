/**
 * How the air and BlueZ behave: each trap of real BlueZ is one field here (README.md lists them beside the tests). Times are
 * those of BlueZ 5.66 (measured in a virtual machine with two LE controllers) multiplied by `timeScale`, so that a demo keeps
 * the proportions and not the waiting; 1 is life.
 */
export interface AirProfile {
  readonly timeScale: number;
  /** From Connect to connected. */
  readonly connectMs: number;
  /** From Connect to the refusal when nobody answers. */
  readonly absentConnectMs: number;
  /** 0..1: a Connect takes as long as that, though the lock is there. */
  readonly slowConnectShare: number;
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
  /**
   * `early`: ServicesResolved is true one services time before the objects are there. `when-asked`: it becomes true just after
   * somebody was told that it is false.
   */
  readonly servicesResolved: "with-objects" | "early" | "when-asked";
  /** 0..1: a connection never gets its services, and ServicesResolved stays false. */
  readonly servicesNeverShare: number;
  /** ATT MTU of the link: a longer command than mtu - 3 is acknowledged and lost, a longer notification arrives cut off. */
  readonly mtu: number;
  /** False: BlueZ before 5.62, which has no MTU property. */
  readonly tellsMtu: boolean;
  /** A longer command is acknowledged and lost, a longer request refused. */
  readonly writeLimitBytes: number;
  /** So many commands from the n-th of a connection on (1 is the first) are acknowledged and lost; undefined: none. */
  readonly swallowedCommands: { readonly from: number; readonly count: number } | undefined;
  /** What becomes of a write of type "reliable", which is what node-ble asks for by default. */
  readonly reliableWrites: "refused" | "taken";
  /** A second request on a characteristic is refused while the first is under way. */
  readonly oneRequestAtATime: boolean;
  /** 0..1: StartDiscovery, Connect or StartNotify is refused with InProgress, because another program is at it. */
  readonly busyShare: number;
  /** Another program has acquired the characteristics by file descriptor; writing and subscribing are not permitted. */
  readonly acquiredByAnother: boolean;
  /** False: pairing needs a registered agent, and without one it is refused. */
  readonly pairsWithoutAgent: boolean;
  /** Members that bluetoothd takes and never answers, such as `Connect` or `GetManagedObjects`. */
  readonly unanswered: readonly string[];
  /** Each change of a device is told so many times, at least once. */
  readonly changesTold: number;
  /** RSSI goes away when the discovery ends. */
  readonly rssiVanishes: boolean;
  /** Devices that left stay listed, with their last service data. */
  readonly listsAbsentDevices: boolean;
  /**
   * `empty`: the peripheral's BlueZ could not read its advertisement and sends packets without data, from random addresses, that
   * nobody can connect to. `cut`: the service data is one byte short.
   */
  readonly advertisements: "whole" | "empty" | "cut";
  /** A Connect that comes while a Disconnect has not returned is connected and never gets its services. */
  readonly connectHangsInDisconnect: boolean;
  /** How many places a frame may be overtaken by, in each direction; 0 keeps order. EATT between two BlueZ: up to 8. */
  readonly reorderDepth: number;
  /** 0..1: a frame arrives twice. */
  readonly duplicateShare: number;
  /** 0..1: a frame does not arrive, and nobody is told. */
  readonly silentLossShare: number;
  /** The link breaks when the central writes its n-th command of a connection (1 is the first); undefined: never. */
  readonly linkLossAtFrame: number | undefined;
  /** The link breaks when so many bytes of a connection have crossed it, both directions counted; undefined: never. */
  readonly linkLossAtByte: number | undefined;
  /** bluetoothd dies when so many bytes of a connection have crossed, and is back after `downMs`; undefined: never. */
  readonly daemonDeath: { readonly atByte: number; readonly downMs: number } | undefined;
  /** Characteristics of a second service, to be read and written with response; a central that subscribes to all pays for each. */
  readonly extraCharacteristics: number;
}

/** What real BlueZ does with one well-behaved lock of another make (no EATT), twenty times as fast. */
export const DEFAULT_AIR_PROFILE: AirProfile = {
  timeScale: 0.05,
  connectMs: 65,
  absentConnectMs: 40_500,
  slowConnectShare: 0,
  servicesMs: 400,
  disconnectMs: 2_000,
  lossNoticedMs: 37,
  advertisingIntervalMs: 1_000,
  connectionIntervalMs: 50,
  framesPerInterval: 4,
  servicesResolved: "with-objects",
  servicesNeverShare: 0,
  mtu: 517,
  tellsMtu: true,
  writeLimitBytes: 510,
  swallowedCommands: undefined,
  reliableWrites: "refused",
  oneRequestAtATime: true,
  busyShare: 0,
  acquiredByAnother: false,
  pairsWithoutAgent: false,
  unanswered: [],
  changesTold: 1,
  rssiVanishes: true,
  listsAbsentDevices: true,
  advertisements: "whole",
  connectHangsInDisconnect: true,
  reorderDepth: 0,
  duplicateShare: 0,
  silentLossShare: 0,
  linkLossAtFrame: undefined,
  linkLossAtByte: undefined,
  daemonDeath: undefined,
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
