/**
 * Asks the site's authority what time it is while nobody here knows: a signed answer to a nonce of this gateway's own. The answer is
 * believed under the time key of the keyset that the pinned root signed; how long it was under way is measured, not assumed. SPEC I10.
 */
import { equalBytes } from "../../protocol/base/bytes.ts";
import { type UnixMs, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { verifyTyped } from "../../protocol/crypto.ts";
import { acceptKeyset } from "../../protocol/sync/keyset.ts";
import type { GatewayDesired } from "../../protocol/wire/messages/desired.ts";
import { type SignedBlob, signedTypes, timeAnswer } from "../../protocol/wire/signed-objects.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { TrustedTime } from "./trusted-time.ts";

export interface AuthorityTimeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly time: TrustedTime;
  /** What of the authority's last word names its keys; null: nothing yet. */
  readonly pairing: () => GatewayDesired["pairing"];
  /** When the authority's newest word was written (SPEC M12): it is later than that; null: it has said nothing yet. */
  readonly writtenAt: () => UnixMs | null;
  /** Asks; undefined while there is no link. */
  readonly ask: (nonce: Uint8Array) => Promise<SignedBlob | "refused" | undefined>;
  /** Heard when time became trusted by an answer. */
  readonly onTrusted: () => void;
}

export class AuthorityTime {
  readonly #options: AuthorityTimeOptions;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(options: AuthorityTimeOptions) {
    this.#options = options;
  }

  /** Asks now and again, for as long as time is not trusted. */
  start(): void {
    const { clock, time } = this.#options;
    const next = (): void => {
      const againMs = time.now().trusted ? LOOK_EVERY_MS : ASK_EVERY_MS;
      if (!this.#stopped) this.#cancel = clock.after(againMs, () => this.start());
    };
    // Whatever became of the question, it is asked again.
    this.askOnce().then(next, next);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** True when time is trusted afterwards. */
  async askOnce(): Promise<boolean> {
    const { clock, random, time, pairing, writtenAt, ask } = this.#options;
    const written = writtenAt();
    if (written !== null) time.noteNotBefore(written);
    if (time.now().trusted) return true;
    if (pairing() === null) return false;
    const nonce = random.bytes(NONCE_BYTES);
    const askedAt = clock.monotonicMs();
    const answer = await ask(nonce);
    const tripMs = clock.monotonicMs() - askedAt;
    if (answer === undefined || answer === "refused" || tripMs > TRIP_LIMIT_MS) return false;
    const said = readTimeForGateway(pairing(), nonce, answer);
    if (said === undefined) return false;
    time.noteAuthority(unixMs(said + Math.round(tripMs / 2)));
    this.#options.onTrusted();
    return true;
  }
}

/** What the authority said to this nonce; undefined for anything that it did not sign for this gateway and this nonce. */
export function readTimeForGateway(
  pairing: GatewayDesired["pairing"],
  nonce: Uint8Array,
  answer: SignedBlob,
): UnixMs | undefined {
  if (pairing === null) return undefined;
  // Nobody knows the time yet, so the keyset's end cannot be judged: a lock goes on by one that has ended, too (SPEC Z2).
  const keyset = acceptKeyset(pairing.root, undefined, pairing.keyset, unixSeconds(0));
  if (!keyset.ok) return undefined;
  if (!verifyTyped(keyset.value.keyset.time, signedTypes.time, answer.bytes, answer.signature)) return undefined;
  const read = timeAnswer.decode(answer.bytes);
  if (!read.ok || !equalBytes(read.value.nonce, nonce)) return undefined;
  return equalBytes(read.value.pairingId, gatewayPairingId) ? read.value.unixMs : undefined;
}

/** SPEC I10: no lock has this pairing id, so what is said to a gateway is worth nothing to a lock. */
export const gatewayPairingId = new Uint8Array(16);
const NONCE_BYTES = 16;
const ASK_EVERY_MS = 5_000;
/** A clock that was trusted may turn out to be nobody's. */
const LOOK_EVERY_MS = 60_000;
/** As a lock's own limit (SPEC O4's round trip). */
const TRIP_LIMIT_MS = 2_000;
