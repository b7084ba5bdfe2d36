/**
 * The kinds of credential that a door can be opened with, and how each is presented.
 *
 * A lock finds a credential by what is presented: an app by its id, digits on the keypad, or a token (card number, QR text,
 * face template, licence plate). A mechanical key is seen by the door sensor alone and never asks for a decision.
 */
export const credentialKinds = [
  "app-key",
  "permanent-doorcode",
  "daily-doorcode",
  "keycard",
  "mechanical-key",
  "pin",
  "rf-card",
  "qr",
  "face",
  "licence-plate",
  "temp-key",
] as const;

export type CredentialKind = (typeof credentialKinds)[number];

/** The kinds that a reader sees as a token. */
export type TokenKind = "keycard" | "rf-card" | "qr" | "face" | "licence-plate";

/** What may have happened to a credential; only `active` opens. */
export const credentialStates = ["active", "disabled", "lost", "stolen", "revoked"] as const;
export type CredentialState = (typeof credentialStates)[number];

/** The kinds that are typed on a keypad and that a lock's policy holds (daily codes are derived, not held). */
export function isKeypadKind(kind: CredentialKind): boolean {
  return kind === "permanent-doorcode" || kind === "pin" || kind === "temp-key";
}
