/**
 * One pairing over one link: the session that the setup code opens (XXpsk3), and the courier's end of the pairing inside it. The
 * gateway carries between lock and authority and can derive none of the pairing's keys. SPEC Z7-Z9.
 */
import { Session, type SessionEvent } from "../../protocol/session/session.ts";
import { CourierPairing, type CourierPairingEvent, pairingPrologue } from "../../protocol/sync/pairing.ts";
import { setupPresharedKey } from "../../protocol/wire/setup-code.ts";
import type { PairingFault, PairingOptions, PairingOutcome, RunPairing } from "../ports/pairing.ts";
import type { LinkEnd, RadioLink } from "../ports/radio.ts";
import { SessionPump } from "./session-pump.ts";
import { PEER_CLOSE_MS, radioFault, sessionFault } from "./visit.ts";

export const runPairing: RunPairing = (options) => new PairingVisit(options).run();

class PairingVisit {
  readonly #options: PairingOptions;
  readonly #done = Promise.withResolvers<void>();
  readonly #pairing: CourierPairing;
  #session: Session | undefined;
  #pump: SessionPump | undefined;
  #link: RadioLink | undefined;
  #isEstablished = false;
  #accepted: { readonly statement: Uint8Array; readonly mac: Uint8Array } | undefined;
  #isHandedOver = false;
  #outcome: PairingOutcome | undefined;

  constructor(options: PairingOptions) {
    this.#options = options;
    this.#pairing = new CourierPairing(options.root, options.keyset);
  }

  async run(): Promise<PairingOutcome> {
    const { clock, radio, address } = this.#options;
    const cancelLimit = clock.after(PAIRING_LIMIT_MS, () => this.#fail({ code: "timeout", reason: "pairing" }));
    try {
      this.#link = await radio.connect(address, {
        frame: (bytes) => this.#pump?.receive(bytes),
        closed: (end) => this.#linkClosed(end),
      });
      this.#begin();
      await this.#done.promise;
    } catch (error) {
      this.#fail(radioFault(error));
    } finally {
      cancelLimit();
      this.#pump?.stop();
      await this.#link?.close();
    }
    return this.#outcome ?? { ok: false, fault: { code: "protocol", reason: "no outcome" } };
  }

  #begin(): void {
    const { courierStaticPrivateKey, setupSecret, random, clock } = this.#options;
    const session = new Session({
      role: "courier",
      staticPrivateKey: courierStaticPrivateKey,
      ephemeralPrivateKey: random.bytes(32),
      pairingSecret: setupPresharedKey(setupSecret),
      prologue: pairingPrologue,
      nowMs: clock.monotonicMs(),
    });
    this.#session = session;
    this.#pump = new SessionPump({
      session,
      clock,
      onEvent: (event) => this.#sessionEvent(event),
      drain: () => this.#drain(session),
      send: (frame) => {
        this.#link?.send(frame).catch((error: unknown) => this.#fail(radioFault(error)));
      },
    });
    this.#pump.pump();
  }

  /** A lock that is paired, or has another secret, says nothing to us and leaves: that is no fault of the radio. */
  #linkClosed({ reason, error }: LinkEnd): void {
    if (this.#outcome !== undefined) return this.#leave();
    const isSilence = error === undefined && !this.#isEstablished;
    this.#fail({ code: isSilence ? "handshake" : "radio", reason: error?.code ?? reason });
  }

  #sessionEvent(event: SessionEvent): void {
    if (event.kind === "established") this.#isEstablished = true;
    else if (event.kind === "message") this.#pairing.receive(event.bytes);
    else this.#fail(sessionFault(event.reason, this.#isEstablished));
  }

  #drain(session: Session): void {
    if (!this.#isEstablished) return;
    for (const event of this.#pairing.takeEvents()) this.#pairingEvent(event);
    for (const message of this.#pairing.takeMessages()) session.send(message);
  }

  #pairingEvent(event: CourierPairingEvent): void {
    switch (event.kind) {
      case "accepted":
        return this.#carry(event.statement, event.mac);
      case "paired": {
        const accepted = this.#accepted;
        if (accepted === undefined) return this.#fail({ code: "protocol", reason: "paired before it accepted" });
        const { statement, mac: statementMac } = accepted;
        return this.#end({ ok: true, statement, statementMac, mac: event.mac });
      }
      case "refused":
        return this.#fail({ code: "refused", reason: event.refusal });
      case "bad-answer":
        return this.#fail({ code: "protocol", reason: event.kind });
    }
  }

  #carry(statement: Uint8Array, mac: Uint8Array): void {
    this.#accepted = { statement, mac };
    this.#options.onAccepted(statement, mac).then(
      (answer) => {
        if (this.#outcome !== undefined) return;
        if (typeof answer === "string") return this.#fail({ code: "authority", reason: answer });
        this.#isHandedOver = true;
        this.#pairing.handOver(answer.sealed);
        this.#pump?.pump();
      },
      () => this.#fail({ code: "authority", reason: "no answer" }),
    );
  }

  #fail(fault: PairingFault): void {
    // Once everything is with the lock, a broken link does not tell whether it kept it.
    const isOpen =
      this.#isHandedOver && (fault.code === "radio" || fault.code === "timeout" || fault.code === "protocol");
    this.#end({ ok: false, fault: isOpen ? { ...fault, code: "unconfirmed" } : fault });
  }

  /** The first outcome stands. After the lock's last word the pump goes on, so that it hears that this came through and closes the link. */
  #end(outcome: PairingOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#session?.finish();
    this.#pump?.pump();
    const isOver = outcome.ok || outcome.fault.code === "refused";
    if (isOver) this.#options.clock.after(PEER_CLOSE_MS, () => this.#leave());
    else this.#leave();
  }

  #leave(): void {
    this.#pump?.stop();
    this.#done.resolve();
  }
}

/** A person stands in front of the lock; the authority answers within seconds or not at all. */
const PAIRING_LIMIT_MS = 45_000;
