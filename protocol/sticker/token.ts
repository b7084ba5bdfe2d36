/**
 * The text in a sticker: `HTTPS://<HOST>/L/<TOKEN>`, every character of it QR-alphanumeric.
 *
 * Rules: SPEC Q1-Q5. The token is 15 bytes in Crockford Base32, 24 characters:
 *   version u8 (1) | panel number u16 | rotation epoch u16 | MAC (10 bytes)
 * The MAC is the first 10 bytes of HMAC-SHA-256, by the site's sticker key, over
 *   "doorlink/1/sticker" | 0x00 | the five bytes before it.
 * Theory: only the authority holds the key, so only it can mint, and nobody can guess a panel's next code. Phones and
 * gateways need no key: they compare whole payloads with lists (verdict.ts). The host is not under the MAC, so a site
 * that moves to another address keeps its tokens; a payload of another host is foreign by comparison.
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { bytesToCrockford, crockfordToBytes, foldCrockford } from "../base/crockford.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { hmacSha256 } from "../crypto.ts";

/** What a token says. `panelNumber` 0..65535, `epoch` 1..65535, `mac` ten bytes. */
export type StickerToken = {
  readonly version: number;
  readonly panelNumber: number;
  readonly epoch: number;
  readonly mac: Uint8Array;
};

/** A sticker's URL taken apart. `origin` as printed, e.g. `HTTP://192.168.1.5:8700`; `tokenText` has 24 characters. */
export type StickerUrl = {
  readonly origin: string;
  readonly host: string;
  readonly tokenText: string;
  readonly token: StickerToken;
};

export type TokenFault =
  | { readonly code: "token-length"; readonly expected: number; readonly length: number }
  | { readonly code: "token-character"; readonly at: number }
  | { readonly code: "token-version"; readonly expected: number; readonly version: number }
  | { readonly code: "token-epoch" };

export type StickerUrlFault =
  | TokenFault
  | { readonly code: "not-a-sticker-url"; readonly expected: string; readonly length: number };

export type PublicUrlFault = { readonly code: "bad-public-url"; readonly expected: string };

/** A freshly minted sticker. `payload` is what the symbol carries, `tokenText` what the server sees after `/L/`. */
export type MintedSticker = { readonly payload: string; readonly tokenText: string; readonly epoch: number };

export const stickerTokenVersion = 1;
export const stickerTokenLength = 24;
export const stickerEpochMax = 0xffff;
export const stickerPanelNumberMax = 0xffff;

/**
 * Mints the payload of one panel at one epoch. `publicUrl` is where visitors' phones reach the site: `https://host`, or
 * `http://host:port` on a bench; letters of any case, no path but `/`.
 * Faults: bad-public-url (another scheme, a path, a user name, a character QR-alphanumeric lacks, a host over 80 characters).
 * Source: SPEC Q1, Q3.
 */
export function mintStickerPayload(order: {
  readonly key: Uint8Array;
  readonly publicUrl: string;
  readonly panelNumber: number;
  readonly epoch: number;
}): Result<MintedSticker, PublicUrlFault> {
  assert(order.key.length >= stickerKeyLengthMin, "a sticker key has at least 16 bytes");
  assert(isWholeUpTo(order.panelNumber, stickerPanelNumberMax), "a panel number is 0..65535");
  assert(isWholeUpTo(order.epoch, stickerEpochMax) && order.epoch >= 1, "a rotation epoch is 1..65535");
  const origin = publicUrlToOrigin(order.publicUrl);
  if (!origin.ok) return origin;
  const head = tokenHead(stickerTokenVersion, order.panelNumber, order.epoch);
  const tokenText = bytesToCrockford(concatBytes(head, stickerMac(order.key, head)));
  return ok({ payload: `${origin.value}${tokenPath}${tokenText}`, tokenText, epoch: order.epoch });
}

/**
 * Reads a payload exactly as minted: upper-case scheme, host and path, 24 token characters and nothing after them.
 * Faults: not-a-sticker-url, and those of `parseStickerToken`. A foreign code is `not-a-sticker-url` or another `origin`;
 * whose code it is says verdict.ts. Never throws; input of any length is looked at once.
 * Source: SPEC Q1, Q4.
 */
export function parseStickerUrl(text: string): Result<StickerUrl, StickerUrlFault> {
  const parts = text.length <= stickerUrlLengthMax ? stickerUrlPattern.exec(text) : null;
  const [, origin, host, tokenText] = parts ?? [];
  if (origin === undefined || host === undefined || tokenText === undefined) {
    return failed({ code: "not-a-sticker-url", expected: `HTTPS://<HOST>${tokenPath}<TOKEN>`, length: text.length });
  }
  const token = parseStickerToken(tokenText);
  return token.ok ? ok({ origin, host, tokenText, token: token.value }) : token;
}

/**
 * Reads a token in its one written form. Faults: token-length (not 24), token-character, token-version (not 1),
 * token-epoch (0, which is never minted). Source: SPEC Q2.
 */
export function parseStickerToken(text: string): Result<StickerToken, TokenFault> {
  if (text.length !== stickerTokenLength) {
    return failed({ code: "token-length", expected: stickerTokenLength, length: text.length });
  }
  const bytes = crockfordToBytes(text);
  if (!bytes.ok) return failed({ code: "token-character", at: "at" in bytes.fault ? bytes.fault.at : text.length });
  const view = new DataView(bytes.value.buffer);
  const version = view.getUint8(0);
  if (version !== stickerTokenVersion) {
    return failed({ code: "token-version", expected: stickerTokenVersion, version });
  }
  const epoch = view.getUint16(3);
  if (epoch === 0) return failed({ code: "token-epoch" });
  return ok({ version, panelNumber: view.getUint16(1), epoch, mac: bytes.value.slice(headLength) });
}

/** Takes a token that a person typed or a browser lower-cased to its written form; `parseStickerToken` then judges it. */
export function foldStickerToken(typed: string): string {
  // Ten times the length is room for hyphens; more is no token and need not be folded.
  return typed.length <= stickerTokenLength * 10 ? foldCrockford(typed) : typed;
}

/** Says whether the holder of `key` minted this token. Takes the same time whichever byte differs. Source: SPEC Q3. */
export function checkStickerMac(key: Uint8Array, token: StickerToken): "minted-by-us" | "mac-differs" {
  const expected = stickerMac(key, tokenHead(token.version, token.panelNumber, token.epoch));
  return equalBytes(expected, token.mac) ? "minted-by-us" : "mac-differs";
}

/**
 * Takes a public URL to the origin that is printed: upper case, without a closing slash, without the scheme's own port.
 * Faults: bad-public-url. Source: SPEC Q1.
 */
export function publicUrlToOrigin(publicUrl: string): Result<string, PublicUrlFault> {
  const parts = publicUrl.length <= publicUrlLengthMax ? publicUrlPattern.exec(publicUrl.toUpperCase()) : null;
  const [, scheme, host, port] = parts ?? [];
  const portNumber = Number(port ?? 0);
  if (scheme === undefined || host === undefined || portNumber > portMax || host.length > hostLengthMax) {
    return failed({ code: "bad-public-url", expected: "https://host or http://host:port, no path" });
  }
  const shownPort = portNumber === 0 || portNumber === (scheme === "HTTPS" ? 443 : 80) ? "" : `:${portNumber}`;
  return ok(`${scheme}://${host}${shownPort}`);
}

function stickerMac(key: Uint8Array, head: Uint8Array): Uint8Array {
  return hmacSha256(key, concatBytes(macPrefix, head)).slice(0, macLength);
}

function tokenHead(version: number, panelNumber: number, epoch: number): Uint8Array {
  const head = new Uint8Array(headLength);
  const view = new DataView(head.buffer);
  view.setUint8(0, version);
  view.setUint16(1, panelNumber);
  view.setUint16(3, epoch);
  return head;
}

function isWholeUpTo(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

const tokenPath = "/L/";
const headLength = 5;
const macLength = 10;
const macPrefix = concatBytes(utf8("doorlink/1/sticker"), new Uint8Array(1));
// HMAC-SHA-256 with a shorter key would be easier to guess than the 80 bits that are shown.
const stickerKeyLengthMin = 16;
const portMax = 65535;
// A longer host leaves no symbol that a phone reads from arm's length; DNS would allow 253.
const hostLengthMax = 80;
const publicUrlLengthMax = 100;
const stickerUrlLengthMax = 160;
// One label or more, of letters, digits and inner hyphens: what DNS allows and QR-alphanumeric has.
const hostPattern = "[0-9A-Z](?:[0-9A-Z-]{0,61}[0-9A-Z])?(?:\\.[0-9A-Z](?:[0-9A-Z-]{0,61}[0-9A-Z])?)*";
const publicUrlPattern = new RegExp(`^(HTTPS?)://(${hostPattern})(?::([0-9]{1,5}))?/?$`);
const stickerUrlPattern = new RegExp(`^(HTTPS?://(${hostPattern})(?::[1-9][0-9]{0,4})?)${tokenPath}(.*)$`);
