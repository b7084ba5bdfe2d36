import { describe, expect, it } from "vitest";
import { rootFingerprint } from "../../protocol/wire/keyset.ts";
import { formatSetupCode, parseSetupCode, type SetupCode, setupPresharedKey } from "../../protocol/wire/setup-code.ts";
import { outcomeOf, readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly values: readonly (SetupCode & { readonly text: string })[];
  readonly presharedKeys: readonly { readonly secret: Uint8Array; readonly key: Uint8Array }[];
  readonly rootPublicKey: Uint8Array;
  readonly rootFingerprint: Uint8Array;
  readonly broken: readonly { readonly what: string; readonly text: string; readonly expect: string }[];
}>("setup-code.json");

describe("setup-code.json", () => {
  it.each(vectors.values)("[Z6] reads $text and writes the same", ({ text, ...code }) => {
    expect(parseSetupCode(text)).toEqual({ ok: true, value: code });
    expect(formatSetupCode(code)).toBe(text);
  });

  it.each(vectors.broken)("[Z6] refuses $what: $text", ({ text, expect: code }) => {
    expect(outcomeOf(parseSetupCode(text))).toBe(code);
  });

  it.each(vectors.presharedKeys)("[Z6] the preshared key of a secret", ({ secret, key }) => {
    expect(setupPresharedKey(secret)).toEqual(key);
  });

  it("[Z6] the fingerprint of a root", () => {
    expect(rootFingerprint(vectors.rootPublicKey)).toEqual(vectors.rootFingerprint);
  });
});
