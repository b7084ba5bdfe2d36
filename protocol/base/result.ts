/**
 * What a peer, a file or a photograph did wrong is a value, never a throw.
 * A function names its closed union of faults as `Fault`; each fault has a `code` and the facts
 * (what was expected, what came, where), and never a key, a code or a plaintext.
 */
export type Result<Value, Fault extends { readonly code: string }> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: Fault };

export function ok<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

export function failed<Fault extends { readonly code: string }>(
  fault: Fault,
): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault };
}

/** States what must hold if our own code is right. A false condition is our mistake and stops the program. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
