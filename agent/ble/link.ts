/**
 * A visit's link: from an address to frames in both directions, and back to a free radio.
 *
 *     find -> take down what an earlier life left -> connect -> services -> MTU -> subscribe -> frames -> down
 *
 * The session with BlueZ belongs to the link and ends with it, whichever way the link ends (SPEC R1).
 */
import { assert } from "../../protocol/base/result.ts";
import {
  ATT_MTU_FLOOR_BYTES,
  FRAME_LIMIT_BYTES,
  FRAMES_IN_UUID,
  FRAMES_OUT_UUID,
  LOCK_SERVICE_UUID,
} from "../../protocol/wire/ble-service.ts";
import { pause } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";
import { type ConnectDeadlines, type LinkEnd, type LinkListener, RadioError, type RadioLink } from "../ports/radio.ts";
import type { BluezCharacteristic, BluezDevice, BluezSession } from "./bluez-session.ts";
import { hearAddress } from "./scan.ts";
import { SendWindow } from "./send-window.ts";

export interface LinkOptions {
  readonly clock: Clock;
  readonly deadlines: ConnectDeadlines;
  readonly listener: LinkListener;
  /** Called once, when the radio is free again after a link that was open. */
  readonly onFree: () => void;
}

/** Opens a link in a session made for it. Throws RadioError; ending the session is then the caller's part. */
export async function openLink(session: BluezSession, address: string, options: LinkOptions): Promise<RadioLink> {
  const { clock, deadlines } = options;
  const device = await findDevice(session, address, options);
  // SPEC R6: a connection that outlived a killed agent is of no use; the lock counts it as a visit that stalls.
  if (await device.isConnected()) await device.disconnect(deadlines.disconnectMs);
  const lost = new AbortController();
  const link = new BluezLink(session, device, address, options, lost.signal);
  try {
    await device.connect(deadlines.connectMs, () => lost.abort());
    const { framesIn, framesOut } = await resolveService(session, device, deadlines.servicesMs, clock, lost.signal);
    await checkMtu(framesIn);
    await framesOut.startNotifications((bytes) => link.receive(bytes));
    link.open(framesIn);
    return link;
  } catch (error) {
    // BlueZ answers in many ways when the link goes during a step; that it went is the better word for all of them.
    const isLost = lost.signal.aborted && !session.stopped.aborted;
    await disconnectQuietly(device, deadlines.disconnectMs);
    if (isLost) throw new RadioError("link-lost", "make the link ready", { cause: error });
    throw error;
  }
}

async function findDevice(session: BluezSession, address: string, options: LinkOptions): Promise<BluezDevice> {
  const { clock, deadlines } = options;
  await session.openAdapter();
  const listed = await session.device(address);
  if (listed !== undefined) return listed;
  const isHeard = await hearAddress(session, address, deadlines.findMs, clock);
  const heard = isHeard ? await session.device(address) : undefined;
  if (heard === undefined) throw new RadioError("not-found", "find the lock");
  return heard;
}

/**
 * SPEC R3: polls until the services are there. ServicesResolved may become true before the objects are exported, so
 * an absent service is looked for again until the time is up.
 */
async function resolveService(
  session: BluezSession,
  device: BluezDevice,
  limitMs: number,
  clock: Clock,
  lost: AbortSignal,
): Promise<{ framesIn: BluezCharacteristic; framesOut: BluezCharacteristic }> {
  const stop = AbortSignal.any([session.stopped, lost]);
  const endsAtMs = clock.monotonicMs() + limitMs;
  let resolved = false;
  for (let stepMs = FIRST_POLL_MS; ; stepMs = Math.min(stepMs * 2, LONGEST_POLL_MS)) {
    if (lost.aborted) throw new RadioError("link-lost", "resolve the services");
    resolved ||= await device.servicesResolved();
    if (resolved) {
      const found = await device.characteristics(LOCK_SERVICE_UUID);
      const framesIn = found?.get(FRAMES_IN_UUID);
      const framesOut = found?.get(FRAMES_OUT_UUID);
      if (framesIn !== undefined && framesOut !== undefined) return { framesIn, framesOut };
    }
    if (clock.monotonicMs() >= endsAtMs) break;
    await pause(clock, stepMs, stop);
  }
  throw new RadioError(resolved ? "wrong-services" : "services-timeout", "resolve the services");
}

async function checkMtu(characteristic: BluezCharacteristic): Promise<void> {
  const mtu = await characteristic.mtu();
  if (mtu === undefined || mtu >= ATT_MTU_FLOOR_BYTES) return;
  throw new RadioError("mtu-too-small", "read the MTU", {
    cause: { expectedBytes: ATT_MTU_FLOOR_BYTES, actualBytes: mtu },
  });
}

class BluezLink implements RadioLink {
  readonly address: string;
  readonly #session: BluezSession;
  readonly #device: BluezDevice;
  readonly #options: LinkOptions;
  readonly #lost: AbortSignal;
  readonly #window = new SendWindow(COMMANDS_IN_FLIGHT);
  #framesIn: BluezCharacteristic | undefined;
  #ended = false;
  #disconnecting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(session: BluezSession, device: BluezDevice, address: string, options: LinkOptions, lost: AbortSignal) {
    this.address = address;
    this.#session = session;
    this.#device = device;
    this.#options = options;
    this.#lost = lost;
  }

  /** From here on the link ends by itself when the lock, the bus or BlueZ goes. */
  open(framesIn: BluezCharacteristic): void {
    if (this.#session.stopped.aborted) throw this.#session.stopped.reason;
    if (this.#lost.aborted) throw new RadioError("link-lost", "make the link ready");
    this.#framesIn = framesIn;
    this.#lost.addEventListener("abort", () => this.#endByPeer());
    this.#session.stopped.addEventListener("abort", () => this.#endWithSession());
    void this.#watch();
  }

  receive(bytes: Uint8Array): void {
    if (!this.#ended) this.#options.listener.frame(bytes);
  }

  async send(frame: Uint8Array): Promise<void> {
    // SPEC R4: BlueZ would take up to 510 bytes, acknowledge more and lose them; the peer's link layer prefers 244.
    assert(frame.length >= 1 && frame.length <= FRAME_LIMIT_BYTES, `a frame has 1 to ${FRAME_LIMIT_BYTES} bytes`);
    const framesIn = this.#framesIn;
    assert(framesIn !== undefined, "a link is opened before frames are sent");
    await this.#window.run(async () => {
      try {
        await framesIn.writeCommand(frame);
      } catch (error) {
        // BlueZ refuses like this when the link is gone. If it is not, it must not stay open behind our back.
        if (error instanceof RadioError && error.code === "link-lost")
          await this.#disconnectAndEnd({ reason: "link-lost" });
        throw error;
      }
    });
  }

  close(options: { readonly waitForPeerMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.waitForPeerMs ?? 0);
    return this.#closing;
  }

  async #close(waitForPeerMs: number): Promise<void> {
    if (waitForPeerMs > 0) await pause(this.#options.clock, waitForPeerMs, this.#session.stopped);
    await this.#disconnectAndEnd({ reason: "closed-here" });
  }

  /**
   * BlueZ reports the disconnection 2 seconds before Disconnect returns, and a connect in between hangs; so the radio
   * is free when the call has returned, and not when the signal comes.
   */
  async #disconnectAndEnd(end: LinkEnd): Promise<void> {
    if (this.#ended) return;
    this.#disconnecting ??= disconnectQuietly(this.#device, this.#options.deadlines.disconnectMs);
    await this.#disconnecting;
    this.#end(end);
  }

  /** Signals get lost when bluetoothd restarts; an idle link would then wait for ever without asking. */
  async #watch(): Promise<void> {
    while (!this.#ended) {
      await pause(this.#options.clock, WATCH_MS, this.#session.stopped);
      if (this.#ended || this.#disconnecting !== undefined) return;
      try {
        if (!(await this.#device.isConnected())) this.#end({ reason: "link-lost" });
      } catch (error) {
        if (this.#ended) return;
        this.#end(endBecauseOf(error));
      }
    }
  }

  #endByPeer(): void {
    if (this.#disconnecting === undefined) this.#end({ reason: "link-lost" });
  }

  #endWithSession(): void {
    this.#end(endBecauseOf(this.#session.stopped.reason));
  }

  #end(end: LinkEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#session.end(new RadioError("link-lost", `use a link that ended: ${end.reason}`));
    this.#options.onFree();
    this.#options.listener.closed(end);
  }
}

function endBecauseOf(error: unknown): LinkEnd {
  if (!(error instanceof RadioError)) return { reason: "radio-failed" };
  return error.code === "link-lost" ? { reason: "link-lost" } : { reason: "radio-failed", error };
}

/** Takes a connection down, as far as it is there; a bus that is gone has taken it down already. */
async function disconnectQuietly(device: BluezDevice, limitMs: number): Promise<void> {
  await device.disconnect(limitMs).catch((error: unknown) => {
    if (!(error instanceof RadioError)) throw error;
  });
}

/** As many commands as keep the D-Bus pipe full; each further one would only queue, unbounded, inside bluetoothd. */
const COMMANDS_IN_FLIGHT = 4;
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 200;
/** An idle link asks this often whether it still is one. */
const WATCH_MS = 2_000;
