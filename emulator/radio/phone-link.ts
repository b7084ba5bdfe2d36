/**
 * A phone's own radio: a connection to a lock that goes past BlueZ, which is the gateway's, over the same air and to the same
 * firmware. Frames take the time and the order of the air's profile.
 */
import type { WorldClock } from "../world/clock.ts";
import type { AirConnection, ConnectionEnd, ConnectionListener, Peripheral } from "./air.ts";
import { type AirProfile, scaledMs } from "./air-profile.ts";
import { FramePath } from "./frame-path.ts";

export interface PhoneLinkOptions {
  readonly clock: WorldClock;
  readonly profile: AirProfile;
  /** 0 <= value < 1, seeded by the caller. */
  readonly random: () => number;
}

/** The phone's end of a link. */
export interface PhoneLink {
  send(frame: Uint8Array): void;
  close(): void;
}

/** Connects; `heard` is told of the connection, of each frame, and once of the end. */
export function connectPhone(
  peripheral: Peripheral,
  { clock, profile, random }: PhoneLinkOptions,
  heard: ConnectionListener & { connected(): void },
): PhoneLink {
  let listener: ConnectionListener | undefined;
  let isOver = false;
  const path = (deliver: (frame: Uint8Array) => void) => new FramePath({ profile, clock, random, deliver });
  const inward = path((frame) => listener?.frame(frame));
  const outward = path((frame) => heard.frame(frame));
  const end = (reason: ConnectionEnd): void => {
    if (isOver) return;
    isOver = true;
    inward.drop();
    outward.drop();
    if (reason !== "closed-by-lock") listener?.ended(reason);
    heard.ended(reason);
  };
  const connection: AirConnection = {
    notify: (frame) => {
      if (!isOver) outward.push(Uint8Array.from(frame));
      return !isOver;
    },
    close: () => {
      if (isOver) return;
      outward.flush();
      listener?.ended("closed-by-lock");
      end("closed-by-lock");
    },
  };
  const cancel = clock.after(scaledMs(profile, "connectMs"), () => {
    listener = peripheral.onConnection(connection);
    // A lock that is busy closes the connection as it begins.
    if (!isOver) heard.connected();
  });
  return {
    send: (frame) => {
      if (!isOver) inward.push(Uint8Array.from(frame));
    },
    close: () => {
      cancel();
      inward.flush();
      end("closed-by-central");
    },
  };
}
