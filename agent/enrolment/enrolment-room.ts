/**
 * Puts the room together for `doorlink run`: trusted time, the site's CA where the broker shows certificates, and the devices' enrolments.
 * Without `broker.tls` no key is made and nothing is asked of the system; what was revoked stays so.
 */
import { type DeviceId, unixMs } from "../../protocol/base/units.ts";
import type { BrokerOptions } from "../broker/aedes-broker.ts";
import { defaultGateRules } from "../broker/connect-gate.ts";
import type { Config } from "../config.ts";
import type { Gateway } from "../gateway.ts";
import type { EnrolmentDesk } from "../http/enrolment-routes.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import { AuthorityTime } from "./authority-time.ts";
import { Enrolments } from "./enrolments.ts";
import { ServerCertificate } from "./server-certificate.ts";
import { SiteAuthority } from "./site-authority.ts";
import type { TimeRoom } from "./time-room.ts";

export interface EnrolmentRoomOptions {
  readonly config: Config;
  readonly gateway: Gateway;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly time: TimeRoom;
}

export interface EnrolmentRoom {
  readonly desk: EnrolmentDesk;
  /** What the embedded broker needs of this room. */
  readonly broker: Pick<BrokerOptions, "host" | "tls" | "enrolment" | "gate" | "clock">;
  /** Where devices connect. */
  readonly url: (port: number) => string;
  readonly close: () => void;
}

const DAY_MS = 86_400_000;

/** Throws StoreError: a key or certificate in the state directory cannot be used. */
export async function openEnrolmentRoom(options: EnrolmentRoomOptions): Promise<EnrolmentRoom> {
  const { config, gateway, store, clock, random, log, time } = options;
  const { tls, listen, connects } = config.broker;
  const authority = tls === undefined ? null : await SiteAuthority.open(config.stateDir, config.site, random);
  const enrolments = new Enrolments({
    ...{ site: config.site, store, random, log, authority },
    now: () => time.now(),
    isListed: (device: DeviceId) => gateway.intake.admits(device),
    onRevoked: (device: DeviceId) => gateway.disconnect(device),
    ...(tls === undefined ? {} : { lifeMs: tls.certificateDays * DAY_MS }),
  });
  await enrolments.load();
  const room = {
    desk: { enrolments, brokerNames: tls?.names ?? [] },
    broker: {
      clock,
      enrolment: enrolments.forBroker(),
      ...(listen === undefined ? {} : { host: listen }),
      ...(connects === undefined ? {} : { gate: gateRulesOf(connects) }),
    },
  };
  const asking = new AuthorityTime({
    ...{ clock, random, time: time.trusted },
    pairing: () => gateway.table.gateway?.pairing ?? null,
    writtenAt: () => {
      const written = gateway.table.gateway?.revision;
      return written === undefined ? null : unixMs(written);
    },
    ask: (nonce) => gateway.upstream.askTime(config.gateway, nonce),
    // A link that was made while nobody knew the time is made again, and judged in full.
    onTrusted: () => gateway.upstream.reconnect(),
  });
  if (time.isAsked) asking.start();
  const close = (): void => asking.stop();
  if (tls === undefined || authority === null) {
    return { ...room, url: (port) => `mqtt://${listen ?? "127.0.0.1"}:${port}`, close };
  }
  const server = new ServerCertificate(config.stateDir, authority, tls.names);
  return {
    ...room,
    broker: {
      ...room.broker,
      tls: { credentials: () => server.credentials(time.now()), judge: (der) => enrolments.judge(der) },
    },
    url: (port) => `mqtts://${tls.names[0]}:${port}`,
    close,
  };
}

function gateRulesOf(connects: NonNullable<Config["broker"]["connects"]>): typeof defaultGateRules {
  const { perSecond, perAddressPerSecond } = connects;
  return {
    ...defaultGateRules,
    perSecond,
    burst: Math.ceil(perSecond / 2),
    perAddressPerSecond,
    perAddressBurst: 2 * perAddressPerSecond,
  };
}
