/**
 * `doorlink device add DEVICE --mqtt`: opens a claim and prints its string, which goes into the device by its own set-up page or its camera.
 * The string is a secret until it is used: it is on the terminal or in a file of its owner's, and nowhere else.
 */
import { open } from "node:fs/promises";
import { type ClaimAnswer, claimAnswer } from "../http/enrolment-routes.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { alignRows, timeText } from "./output.ts";

export interface DeviceClaimOptions {
  readonly device: string;
  readonly serial?: string | undefined;
  readonly minutes?: string | undefined;
  readonly qr: boolean;
  /** A PNG to write. */
  readonly out?: string | undefined;
}

/** 0: the claim is open; 1: the gateway says no; 2: bad input. */
export async function runDeviceClaim(options: DeviceClaimOptions, context: CommandContext): Promise<number> {
  const { device, serial, minutes, qr, out } = options;
  const wanted = minutes === undefined ? undefined : Number(minutes);
  if (wanted !== undefined && !(Number.isInteger(wanted) && wanted >= 1 && wanted <= MINUTES_MAX)) {
    context.warn(`doorlink: --minutes: expected a whole number from 1 to ${MINUTES_MAX}\n`);
    return exitCodes.usage;
  }
  const body = {
    device,
    ...(serial === undefined ? {} : { serial }),
    ...(wanted === undefined ? {} : { minutes: wanted }),
  };
  const answer = await context.client.post("/api/claims", body, claimAnswer, CLAIM_LIMIT_MS);
  if (!answer.ok) {
    const way = answer.fault.code === "refused" ? wayOut.get(answer.fault.fault) : undefined;
    const exitCode = complain(context, answer.fault);
    if (way !== undefined) context.warn(`doorlink: ${way}\n`);
    return exitCode;
  }
  if (out !== undefined && !(await writePicture(out, answer.value.claim))) {
    context.warn(`doorlink: cannot write ${out}; the claim is open, and its string is below\n`);
  }
  if (context.json) writeJson(context, answer.value);
  else context.write(claimText(answer.value) + (qr ? await terminalSymbol(answer.value.claim) : ""));
  return exitCodes.fine;
}

export function claimText({ device, serial, claim, expiresAt, names, port }: ClaimAnswer): string {
  return alignRows([
    ["device", `${device}, serial ${serial}`],
    ["claim", claim],
    ["until", `${timeText(expiresAt)} UTC, for one device, once`],
    ["broker", names.map((name) => (port === null ? name : `mqtts://${name}:${port}`)).join(", ")],
  ]);
}

async function terminalSymbol(text: string): Promise<string> {
  const { default: qrcode } = await import("qrcode");
  return `\n${await qrcode.toString(text, { type: "utf8", errorCorrectionLevel: "L" })}\n`;
}

async function writePicture(path: string, text: string): Promise<boolean> {
  const { default: qrcode } = await import("qrcode");
  const picture = await qrcode.toBuffer(text, { errorCorrectionLevel: "M", scale: 6 });
  try {
    // Never over a file that is there, which others may be able to read.
    const file = await open(path, "wx", OWNER_ONLY);
    await file.writeFile(picture);
    await file.close();
    return true;
  } catch {
    // The caller says so by the file's name.
    return false;
  }
}

/** What the operator can do about it. */
const wayOut: ReadonlyMap<string, string> = new Map([
  [
    "no-tls",
    "devices enrol over TLS: set broker.tls (with the names that devices call this gateway by) and broker.listen",
  ],
  ["no-serial", "say it with --serial, as it is on the device's label"],
  ["bad-serial", "a serial has letters, digits, point, slash and hyphen, 40 at most"],
  ["serial-taken", "another device of this site has a claim with this serial: revoke that one first"],
  ["clock-not-trusted", "nobody has told this gateway what time it is: connect it upstream or to a time server"],
  ["not-a-networked-device", "a lock without internet is added with --ble"],
]);

const MINUTES_MAX = 7 * 24 * 60;
const CLAIM_LIMIT_MS = 10_000;
const OWNER_ONLY = 0o600;
