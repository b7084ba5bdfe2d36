/**
 * `doorlink device add LOCK --ble --code FILE`: pairs a lock that hangs at its door with the site's authority. FILE holds the setup code
 * from the card in its box: its text, or a photograph of the card. The code is a secret: it is never an argument, where every user of the
 * machine could read it, and it is in no output.
 */
import { createReadStream } from "node:fs";
import { concatBytes, utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { readSymbols } from "../../protocol/sticker/read-symbols.ts";
import { parseSetupCode, SETUP_CODE_LIMIT_CHARACTERS } from "../../protocol/wire/setup-code.ts";
import { type PairAnswerView, pairAnswerView } from "../http/views.ts";
import { readPicture } from "../sticker/picture-file.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows } from "./output.ts";

export interface DeviceAddOptions {
  readonly device: string;
  /** A file, or `-` for standard input. */
  readonly code: string;
  readonly address?: string;
}

/** 0: paired, and the authority knows; 1: not paired, or it is not known whether; 2: the card cannot be read. */
export async function runDeviceAdd(options: DeviceAddOptions, context: CommandContext): Promise<number> {
  const { device, address } = options;
  const read = await readCode(options.code);
  if (!read.ok) {
    context.warn(`doorlink: ${read.fault.what}\n`);
    return exitCodes.usage;
  }
  const body = { device, code: read.value, ...(address === undefined ? {} : { address }) };
  const answer = await context.client.post("/api/pair", body, pairAnswerView, PAIR_LIMIT_MS);
  if (!answer.ok) {
    const way = answer.fault.code === "refused" ? wayOut(answer.fault.fault, answer.fault.reason, device) : undefined;
    const code = complain(context, answer.fault);
    if (way !== undefined) context.warn(`doorlink: ${way}\n`);
    return code;
  }
  if (context.json) writeJson(context, answer.value);
  else context.write(pairText(answer.value));
  return answer.value.confirmed ? exitCodes.fine : exitCodes.finding;
}

export function pairText(answer: PairAnswerView): string {
  return alignRows([
    [
      "lock",
      `${answer.device}: ${answer.confirmed ? "paired" : "paired, not confirmed upstream yet: its next visit tells"}`,
    ],
    ["model", answer.model],
    ["firmware", `${answer.firmware} (hardware ${answer.hardware})`],
    ["address", answer.address],
    ["pairing", answer.pairingId],
  ]);
}

/** What the operator can do about it. */
export function wayOut(code: string, reason: string | undefined, device: string): string | undefined {
  if (code === "authority" && reason === "not-open") {
    return `ask who manages the site to open the pairing of ${device}; it stays open for an hour`;
  }
  switch (code) {
    case "handshake":
      return "either the card is of another lock, or this lock is paired already and needs a factory reset first";
    case "no-address":
      return "say where it is on the air with --address, as scanning apps show it";
    case "unconfirmed":
      return `the lock may hold the pairing: doorlink sync ${device} tells; if it does not, add it again`;
    case "not-found":
      return "go near it, wake it by touch, and try again";
    default:
      return undefined;
  }
}

/** The setup code in a file. Faults name the file, never its contents. */
async function readCode(path: string): Promise<Result<string, { readonly code: "no-code"; readonly what: string }>> {
  const bytes = await readBytes(path);
  const name = path === "-" ? "standard input" : path;
  if (bytes === undefined) return failed({ code: "no-code", what: `cannot read ${name}` });
  if (bytes === "too-large") {
    return failed({ code: "no-code", what: `${name} is larger than ${FILE_LIMIT_BYTES / 2 ** 20} MiB` });
  }
  const text = startsLikeCode(bytes)
    ? new TextDecoder().decode(bytes.subarray(0, TEXT_LIMIT_BYTES)).trim()
    : await codeInPicture(bytes);
  if (text === undefined) {
    return failed({
      code: "no-code",
      what: `${name} is neither the text of a setup code (DOORLINK:...) nor a picture of one`,
    });
  }
  const parsed = parseSetupCode(text);
  return parsed.ok
    ? ok(text)
    : failed({ code: "no-code", what: `${name} holds no good setup code: ${parsed.fault.code}` });
}

/** No more of it than a picture may have: a pipe need not end. */
async function readBytes(path: string): Promise<Uint8Array | "too-large" | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of path === "-" ? process.stdin : createReadStream(path)) {
      const bytes = new Uint8Array(chunk);
      length += bytes.length;
      if (length > FILE_LIMIT_BYTES) return "too-large";
      chunks.push(bytes);
    }
  } catch {
    // Whatever it was, the file could not be read, and the caller says so by its name.
    return undefined;
  }
  return concatBytes(...chunks);
}

function startsLikeCode(bytes: Uint8Array): boolean {
  return PREFIX.every((byte, index) => bytes[index] === byte);
}

/** Other codes may be in the picture; the one of our own form counts, or else whichever was read, so that it can be named. */
async function codeInPicture(bytes: Uint8Array): Promise<string | undefined> {
  const picture = await readPicture(bytes);
  if (!picture.ok) return undefined;
  const until = performance.now() + READ_LIMIT_MS;
  const readings = readSymbols(picture.value.picture, { isOutOfTime: () => performance.now() > until });
  const texts = readings.map((reading) => reading.text);
  return texts.find((text) => parseSetupCode(text).ok) ?? texts[0];
}

const PREFIX = utf8("DOORLINK:");
const TEXT_LIMIT_BYTES = SETUP_CODE_LIMIT_CHARACTERS + 16;
const READ_LIMIT_MS = 15_000;
/** A telephone's photograph has 3 to 12 MiB. */
const FILE_LIMIT_BYTES = 32 * 2 ** 20;
/** Longer than the agent itself takes for a pairing, and for what the radio does before it. */
const PAIR_LIMIT_MS = 180_000;
