/**
 * Frames of the secure session: one frame is one write or one notification, at most 244 bytes (SPEC S5).
 *
 *     nonce u32 | word u32 | body
 *
 * nonce 0xffffffff: a handshake frame; the word is the protocol version, the body a Noise message.
 * otherwise a transport frame: the body is sealed (16-byte tag), the eight header bytes are its associated data. The word's
 * highest bit tells an acknowledgement (the other 31 bits: bytes received without a gap) from data (31 bits: the offset of
 * the body's first byte in the sender's stream). All numbers are big-endian.
 */
import { concatBytes, readU32, u32Bytes } from "../base/bytes.ts";
import { failed, ok, type Result } from "../base/result.ts";

export type Frame =
  | { readonly kind: "handshake"; readonly version: number; readonly message: Uint8Array }
  | TransportFrame<"data">
  | TransportFrame<"acknowledgement">;
type TransportFrame<Kind extends string> = {
  readonly kind: Kind;
  readonly nonce: number;
  /** The lower 31 bits of the word: an offset of the sender's stream, or of the receiver's that it acknowledges. */
  readonly offset: number;
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
};

export type FrameFault =
  | { readonly code: "short-frame"; readonly expected: number; readonly found: number }
  | { readonly code: "long-frame"; readonly expected: number; readonly found: number };

/** What a receiver has seen of the sender's nonces. `bitmap[i]` bit j (least first): nonce `highest - 1 - (8 i + j)`. */
export type Acknowledgement = { readonly highest?: number; readonly bitmap?: Uint8Array };

export const frameBytesMax = 244;
/** Header and tag. */
export const frameOverhead = 24;
/** The longest handshake frame is 104 bytes (IK's first, XXpsk3's second); a link with smaller frames carries no session. */
export const frameBytesMin = 104;
export const protocolVersion = 1;
export const bitmapBytes = 8;

/** Reads the header. Faults: short-frame, long-frame (above 244). Whether the body is true, only its tag can say. */
export function parseFrame(bytes: Uint8Array): Result<Frame, FrameFault> {
  if (bytes.length > frameBytesMax) {
    return failed({ code: "long-frame", expected: frameBytesMax, found: bytes.length });
  }
  if (bytes.length < headerBytes) return failed({ code: "short-frame", expected: headerBytes, found: bytes.length });
  const nonce = readU32(bytes, 0);
  const word = readU32(bytes, 4);
  // A copy, and no Buffer: a radio's adapter may use its memory again.
  const body = new Uint8Array(bytes.subarray(headerBytes));
  if (nonce === handshakeNonce) return ok({ kind: "handshake", version: word, message: body });
  if (bytes.length < frameOverhead)
    return failed({ code: "short-frame", expected: frameOverhead, found: bytes.length });
  return ok({
    kind: word >= acknowledgementBit ? "acknowledgement" : "data",
    nonce,
    offset: word % acknowledgementBit,
    header: new Uint8Array(bytes.subarray(0, headerBytes)),
    sealed: body,
  });
}

export function handshakeFrame(message: Uint8Array): Uint8Array {
  return concatBytes(u32Bytes(handshakeNonce), u32Bytes(protocolVersion), message);
}

/** The eight bytes in front of a transport frame's sealed body, which the seal covers. */
export function transportHeader(kind: "data" | "acknowledgement", nonce: number, offset: number): Uint8Array {
  return concatBytes(u32Bytes(nonce), u32Bytes(kind === "data" ? offset : offset + acknowledgementBit));
}

/**
 * The body of an acknowledgement frame: nothing (no data frame has come yet) | highest u32 (no byte is held behind a gap) |
 * highest u32, bitmap 8 bytes.
 */
export function acknowledgementBody({ highest, bitmap }: Acknowledgement): Uint8Array {
  if (highest === undefined) return new Uint8Array(0);
  return bitmap === undefined ? u32Bytes(highest) : concatBytes(u32Bytes(highest), bitmap);
}

/** Reads an opened acknowledgement body; undefined for another length than 0, 4 or 12. */
export function parseAcknowledgement(body: Uint8Array): Acknowledgement | undefined {
  if (body.length === 0) return {};
  if (body.length === 4) return { highest: readU32(body, 0) };
  if (body.length !== 4 + bitmapBytes) return undefined;
  return { highest: readU32(body, 0), bitmap: body.slice(4) };
}

/** The nonces below `highest` that the bitmap says have arrived, highest first. */
export function noncesInBitmap(highest: number, bitmap: Uint8Array): number[] {
  const nonces: number[] = [];
  for (let bit = 0; bit < bitmap.length * 8; bit++) {
    const isSet = ((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1;
    if (isSet === 1 && highest - 1 - bit >= 0) nonces.push(highest - 1 - bit);
  }
  return nonces;
}

const headerBytes = 8;
const handshakeNonce = 0xffff_ffff;
const acknowledgementBit = 0x8000_0000;
