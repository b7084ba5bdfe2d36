/** The radio of the gateway over BlueZ and unmodified node-ble: one scan or one visit at a time, each in a fresh session. */
import type { Clock } from "../ports/clock.ts";
import {
  type ConnectDeadlines,
  DEFAULT_CONNECT_DEADLINES,
  type LinkListener,
  type Radio,
  RadioError,
  type RadioLink,
  type ScanOptions,
  type Sighting,
} from "../ports/radio.ts";
import { BluezSession } from "./bluez-session.ts";
import { openLink } from "./link.ts";
import { listen } from "./scan.ts";

export interface BleRadioOptions {
  readonly clock: Clock;
  /** Such as `hci0`; the first adapter when absent. */
  readonly adapter?: string;
}

/** Makes a radio. Nothing is connected yet: a machine without Bluetooth fails at its first scan, with a RadioError. */
export function createBleRadio(options: BleRadioOptions): Radio {
  return new BleRadio(options);
}

class BleRadio implements Radio {
  readonly #options: BleRadioOptions;
  /** The session in use; the radio is busy while there is one. */
  #session: BluezSession | undefined;
  #link: RadioLink | undefined;
  /** The scan, or the making of a link, that was begun last. */
  #current: Promise<unknown> | undefined;
  #closed = false;

  constructor(options: BleRadioOptions) {
    this.#options = options;
  }

  async scan(options: ScanOptions): Promise<readonly Sighting[]> {
    const session = this.#begin("scan", DEFAULT_CONNECT_DEADLINES.callMs);
    const scanning = this.#scan(session, options);
    this.#current = scanning;
    return scanning;
  }

  async connect(
    address: string,
    listener: LinkListener,
    deadlines: ConnectDeadlines = DEFAULT_CONNECT_DEADLINES,
  ): Promise<RadioLink> {
    const session = this.#begin("connect", deadlines.callMs);
    const connecting = this.#connect(session, address, listener, deadlines);
    this.#current = connecting;
    return connecting;
  }

  async close(): Promise<void> {
    this.#closed = true;
    // An open link is ended as by its owner, so that the lock is not left with a connection that nobody serves; what
    // is being made is stopped, and takes down what there is of it before it fails.
    await this.#link?.close();
    this.#session?.stop(new RadioError("closed", "close the radio"));
    await Promise.allSettled([this.#current]);
  }

  async #scan(session: BluezSession, options: ScanOptions): Promise<readonly Sighting[]> {
    try {
      await session.openAdapter();
      return await listen(session, options, this.#options.clock);
    } finally {
      this.#finish(session);
    }
  }

  async #connect(
    session: BluezSession,
    address: string,
    listener: LinkListener,
    deadlines: ConnectDeadlines,
  ): Promise<RadioLink> {
    const { clock } = this.#options;
    try {
      this.#link = await openLink(session, address, {
        clock,
        deadlines,
        listener,
        onFree: () => this.#finish(session),
      });
      return this.#link;
    } catch (error) {
      this.#finish(session);
      throw error;
    }
  }

  #begin(operation: string, callMs: number): BluezSession {
    if (this.#closed) throw new RadioError("closed", operation);
    if (this.#session !== undefined) throw new RadioError("busy", operation);
    const session = new BluezSession({ clock: this.#options.clock, callMs, adapter: this.#options.adapter });
    this.#session = session;
    return session;
  }

  #finish(session: BluezSession): void {
    session.end(new RadioError("closed", "finish"));
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#link = undefined;
  }
}
