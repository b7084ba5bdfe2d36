/** Photographs a mounted sticker and reads the photo, in a process of its own (`photo-process.ts`). */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { base64ToBytes, bytesToBase64 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";

export interface TakenPhoto {
  readonly jpeg: Uint8Array;
  /** What the phone read: the text, or why it read none. */
  readonly read: { readonly ok: true; readonly text: string } | { readonly ok: false; readonly code: string };
}

export type PhotoFault = { readonly code: "camera-failed"; readonly detail: string };

/** Fault: camera-failed (the process ended badly, said something else, or took over 20 s). Never throws. */
export async function takePhoto(sticker: Uint8Array, seed: number): Promise<Result<TakenPhoto, PhotoFault>> {
  const output = await runCamera(JSON.stringify({ sticker: bytesToBase64(sticker), seed }));
  if (!output.ok) return output;
  const parsed = answerSchema.safeParse(parseJson(output.value));
  const jpeg = parsed.success ? base64ToBytes(parsed.data.picture) : undefined;
  if (!parsed.success || jpeg === undefined) return failed({ code: "camera-failed", detail: "no picture came out" });
  return ok({ jpeg, read: parsed.data.read });
}

function runCamera(input: string): Promise<Result<string, PhotoFault>> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cameraPath], { stdio: ["pipe", "pipe", "pipe"], timeout: CAMERA_LIMIT_MS });
    let output = "";
    let complaint = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      complaint = (complaint + chunk).slice(-COMPLAINT_CHARACTERS);
    });
    child.once("error", (error) => resolve(failed({ code: "camera-failed", detail: error.message })));
    child.once("close", (exitCode) => {
      if (exitCode === 0) return resolve(ok(output));
      const detail = complaint.trim().split("\n").at(-1) ?? "";
      resolve(failed({ code: "camera-failed", detail: `exit ${exitCode}: ${detail}` }));
    });
    // A camera that died before it read its order says so by its exit.
    child.stdin.once("error", () => undefined);
    child.stdin.end(input);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const answerSchema = z.object({
  picture: z.string(),
  read: z.union([
    z.object({ ok: z.literal(true), text: z.string() }),
    z.object({ ok: z.literal(false), code: z.string() }),
  ]),
});

const cameraPath = fileURLToPath(new URL("./photo-process.ts", import.meta.url));
const CAMERA_LIMIT_MS = 20_000;
const COMPLAINT_CHARACTERS = 2_000;
