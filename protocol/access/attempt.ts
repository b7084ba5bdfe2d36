/** What somebody presents to a device, and what the device knows besides its policy: the two inputs of `decide`. */
import type { UnixSeconds } from "../base/units.ts";
import type { TokenKind } from "./credential-kind.ts";

export type Attempt =
  /** Digits on a keypad, 1-16 of them. `digitTimesMs`: when each was pressed, on any clock that only goes forward. */
  | { readonly kind: "code"; readonly digits: string; readonly digitTimesMs?: readonly number[] }
  /**
   * A phone in a secure session. The session has verified the app certificate's signature and that the phone holds its key;
   * `credentialId` and the two times are what the certificate says.
   */
  | {
      readonly kind: "app";
      readonly credentialId: string;
      readonly certificate: { readonly issuedAt: UnixSeconds; readonly notAfter: UnixSeconds };
    }
  /**
   * A card, QR text, face template or plate at a reader. `authentic` is false when the token failed to prove its own key
   * (a keycard that was cloned); readers that take tokens without keys say true.
   */
  | { readonly kind: "token"; readonly tokenKind: TokenKind; readonly value: string; readonly authentic: boolean };

export type ClockQuality = "set" | "lower-bound" | "unset";

export interface LockState {
  readonly clock: {
    readonly quality: ClockQuality;
    /** The latest instant that this lock has ever known to be past; persisted. */
    readonly highWater: UnixSeconds;
    /** Powered seconds since the clock was last `set`; 0 while it is. */
    readonly poweredSecondsUnset: number;
  };
  /** The device's own key under which lookups in the policy were made. */
  readonly codeKey: Uint8Array;
  /** Shared by this lock and the authority: names a denied entry without telling it. */
  readonly entryTagKey: Uint8Array;
  /** The door's daily key; two while it is being renewed; none on a device without daily codes. */
  readonly dailyKeys: readonly DailyKey[];
  /** Names (`usedSlotName`) of the single-use slots already taken. */
  readonly usedSlots: ReadonlySet<string>;
  /** How often each credential with limited uses was used here. */
  readonly usesSpent: ReadonlyMap<string, number>;
  /** The keypad's throttle has no try left; judged, counted and persisted before this call (SPEC C8). */
  readonly keypadLockedOut: boolean;
  /** `empty`: too weak to move the bolt. `wired`: no battery. */
  readonly battery: "wired" | "ok" | "low" | "empty" | "unknown";
  /** Of a model with a second bolt; undefined where there is none or it is not known. */
  readonly deadboltExtended?: boolean;
  /** What is known of a newer policy than the one deciding: on a lock usually nothing, on the authority the truth. */
  readonly newer?: { readonly epoch: number; readonly version: number; readonly revokedIds: ReadonlySet<string> };
}

export type DailyKey = { readonly keyId: number; readonly key: Uint8Array };
