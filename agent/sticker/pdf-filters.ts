/**
 * The filters of PDF streams, each within a named room, so that a bomb is told before it goes off.
 * Source: PDF 32000-1, 7.4. Rules: SPEC Q53.
 */
import { inflateSync, constants as zlib } from "node:zlib";

/** Why a stream did not come out: more bytes than there is room for, or a filter that is not known or finds rubbish. */
export type NotUnpacked = "too-large" | "rubbish";

/** What a filter is told beside its name; the defaults are those of the standard. */
export type FilterParameters = {
  readonly predictor: number;
  readonly colours: number;
  readonly bits: number;
  readonly columns: number;
  readonly earlyChange: number;
};

/** Undoes one filter of PDF, by its long or short name. `room`: the most bytes that may come out. */
export function undoFilter(
  name: string,
  bytes: Uint8Array,
  parameters: FilterParameters,
  room: number,
): Uint8Array | NotUnpacked {
  switch (name) {
    case "FlateDecode":
    case "Fl":
    case "LZWDecode":
    case "LZW": {
      // A predictor adds a byte to each row, which is taken off again.
      const roomBefore = room + (room >> 1) + 1024;
      const plain = name[0] === "F" ? inflate(bytes, roomBefore) : unpackLzw(bytes, parameters.earlyChange, roomBefore);
      if (typeof plain === "string" || parameters.predictor <= 1) return plain;
      return undoPredictor(plain, parameters);
    }
    case "ASCIIHexDecode":
    case "AHx":
      return unpackHex(bytes);
    case "ASCII85Decode":
    case "A85":
      return unpackBase85(bytes);
    case "RunLengthDecode":
    case "RL":
      return unpackRuns(bytes, room);
    default:
      return "rubbish";
  }
}

function inflate(packed: Uint8Array, room: number): Uint8Array | NotUnpacked {
  try {
    // A missing end is common and harmless; what stands before it is given.
    return inflateSync(packed, { maxOutputLength: Math.max(1, room), finishFlush: zlib.Z_SYNC_FLUSH });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    return code === "ERR_BUFFER_TOO_LARGE" ? "too-large" : "rubbish";
  }
}

function undoPredictor(bytes: Uint8Array, parameters: FilterParameters): Uint8Array | NotUnpacked {
  const { colours, bits, columns } = parameters;
  const pixelBytes = Math.max(1, (colours * bits) >> 3);
  const rowBytes = Math.ceil((colours * bits * columns) / 8);
  if (!(rowBytes > 0 && rowBytes < 1_000_000)) return "rubbish";
  // Below 10 it is TIFF's own, above it each row names one of PNG's.
  if (parameters.predictor < 10) return bits === 8 ? undoTiff(bytes, rowBytes, colours) : "rubbish";
  const rows = Math.ceil(bytes.length / (rowBytes + 1));
  const out = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    const kind = bytes[row * (rowBytes + 1)] ?? 0;
    for (let at = 0; at < rowBytes; at++) {
      const raw = bytes[row * (rowBytes + 1) + 1 + at] ?? 0;
      const here = row * rowBytes + at;
      const left = at >= pixelBytes ? (out[here - pixelBytes] ?? 0) : 0;
      const above = row > 0 ? (out[here - rowBytes] ?? 0) : 0;
      const corner = row > 0 && at >= pixelBytes ? (out[here - rowBytes - pixelBytes] ?? 0) : 0;
      out[here] = raw + pngPrediction(kind, left, above, corner);
    }
  }
  return out;
}

/** Source: PNG (ISO/IEC 15948), 9.2. */
function pngPrediction(kind: number, left: number, above: number, corner: number): number {
  if (kind === 1) return left;
  if (kind === 2) return above;
  if (kind === 3) return (left + above) >> 1;
  if (kind !== 4) return 0;
  const guess = left + above - corner;
  const [toLeft, toAbove, toCorner] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

function undoTiff(bytes: Uint8Array, rowBytes: number, colours: number): Uint8Array {
  const out = Uint8Array.from(bytes);
  for (let at = 0; at < out.length; at++) {
    if (at % rowBytes >= colours) out[at] = (out[at] ?? 0) + (out[at - colours] ?? 0);
  }
  return out;
}

function unpackHex(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1").split(">")[0] ?? "";
  const digits = text.replaceAll(/[^0-9a-fA-F]/g, "");
  return new Uint8Array(Buffer.from(digits.length % 2 === 0 ? digits : `${digits}0`, "hex"));
}

function unpackBase85(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  let group: number[] = [];
  const flush = (count: number) => {
    const padded = [...group, 84, 84, 84, 84].slice(0, 5);
    const value = padded.reduce((sum, digit) => sum * 85 + digit, 0);
    for (let byte = 0; byte < count; byte++) out.push(Math.floor(value / 256 ** (3 - byte)) & 0xff);
    group = [];
  };
  for (const byte of bytes) {
    if (byte === 0x7e) break;
    if (byte === 0x7a && group.length === 0) out.push(0, 0, 0, 0);
    else if (byte >= 0x21 && byte <= 0x75) {
      group.push(byte - 0x21);
      if (group.length === 5) flush(4);
    }
  }
  if (group.length > 1) flush(group.length - 1);
  return Uint8Array.from(out);
}

function unpackRuns(bytes: Uint8Array, room: number): Uint8Array | NotUnpacked {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] ?? 128;
    if (length === 128) break;
    const part =
      length < 128 ? bytes.subarray(at + 1, at + 2 + length) : new Uint8Array(257 - length).fill(bytes[at + 1] ?? 0);
    at += length < 128 ? 2 + length : 2;
    total += part.length;
    if (total > room) return "too-large";
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Source: PDF 32000-1, 7.4.4; TIFF 6.0, section 13. */
function unpackLzw(bytes: Uint8Array, earlyChange: number, room: number): Uint8Array | NotUnpacked {
  const parts: Uint8Array[] = [];
  let [total, bits, held, width] = [0, 0, 0, 9];
  let table: Uint8Array[] = [];
  let previous: Uint8Array | undefined;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xffffff;
    bits += 8;
    if (bits < width) continue;
    const code = (held >> (bits - width)) & ((1 << width) - 1);
    bits -= width;
    if (code === 257) break;
    if (code === 256) {
      [table, previous, width] = [[], undefined, 9];
      continue;
    }
    const known = code < 256 ? Uint8Array.of(code) : table[code - 258];
    if (known === undefined && (previous === undefined || code - 258 !== table.length)) return "rubbish";
    const part: Uint8Array = known ?? appended(previous, previous?.[0] ?? 0);
    if (previous !== undefined && table.length < lzwTableMax) table.push(appended(previous, part[0] ?? 0));
    parts.push(part);
    total += part.length;
    if (total > room) return "too-large";
    previous = part;
    const next = 258 + table.length + earlyChange;
    width = next >= 2048 ? 12 : next >= 1024 ? 11 : next >= 512 ? 10 : 9;
  }
  return new Uint8Array(Buffer.concat(parts));
}

function appended(bytes: Uint8Array | undefined, byte: number): Uint8Array {
  const longer = new Uint8Array((bytes?.length ?? 0) + 1);
  longer.set(bytes ?? []);
  longer[longer.length - 1] = byte;
  return longer;
}

const lzwTableMax = 4096 - 258;
