/**
 * The library that stands between a process and its disk (`disk-shim.c`), compiled when it is wanted: nothing that is installed needs it,
 * and a machine without a C compiler goes without what it would show.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Gives the path of the library in `folder`; undefined: this machine has no C compiler. */
export function buildDiskShim(folder: string): string | undefined {
  const target = join(folder, "disk-shim.so");
  const source = fileURLToPath(new URL("./disk-shim.c", import.meta.url));
  try {
    execFileSync("cc", ["-O2", "-shared", "-fPIC", "-o", target, source], {
      stdio: "ignore",
    });
  } catch {
    return undefined;
  }
  return target;
}

/** What the environment of a process needs for its log. */
export function recordingEnvironment(library: string, log: string, folder: string, port: number): NodeJS.ProcessEnv {
  return {
    LD_PRELOAD: library,
    DOORLINK_SHIM_LOG: log,
    DOORLINK_SHIM_FOLDER: folder,
    DOORLINK_SHIM_PORT: String(port),
  };
}

/** The same for a disk that is slow to sync. */
export function slowDiskEnvironment(library: string, delayMs: number): NodeJS.ProcessEnv {
  return { LD_PRELOAD: library, DOORLINK_SHIM_DELAY_MS: String(delayMs) };
}

export type ShimRecord =
  | { readonly kind: "begun" }
  | {
      readonly kind: "opened" | "created";
      readonly descriptor: number;
      readonly path: string;
    }
  | {
      readonly kind: "written";
      readonly descriptor: number;
      readonly offset: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: "synced"; readonly descriptor: number }
  | {
      readonly kind: "truncated";
      readonly descriptor: number;
      readonly length: number;
    }
  | { readonly kind: "renamed"; readonly from: string; readonly to: string }
  | { readonly kind: "removed"; readonly path: string }
  | {
      readonly kind: "sent";
      readonly descriptor: number;
      readonly bytes: Buffer;
    };

/** Reads a log whole; the last record of a process that was killed may be torn, and is left out. */
export function readShimLog(log: Buffer): readonly ShimRecord[] {
  const records: ShimRecord[] = [];
  for (let at = 0; at + HEAD_BYTES <= log.length; ) {
    const kind = String.fromCharCode(log[at] ?? 0);
    const descriptor = log.readUInt32LE(at + 1);
    const offset = Number(log.readBigUInt64LE(at + 5));
    const length = log.readUInt32LE(at + 13);
    const bytes = log.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
    if (bytes.length < length) break;
    records.push(recordOf(kind, descriptor, offset, bytes));
    at += HEAD_BYTES + length;
  }
  return records;
}

function recordOf(kind: string, descriptor: number, offset: number, bytes: Buffer): ShimRecord {
  switch (kind) {
    case "b":
      return { kind: "begun" };
    case "o":
      return { kind: "opened", descriptor, path: bytes.toString() };
    case "c":
      return { kind: "created", descriptor, path: bytes.toString() };
    case "w":
      return { kind: "written", descriptor, offset, bytes };
    case "s":
      return { kind: "synced", descriptor };
    case "t":
      return { kind: "truncated", descriptor, length: offset };
    case "r": {
      const [from = "", to = ""] = bytes.toString().split("\n");
      return { kind: "renamed", from, to };
    }
    case "u":
      return { kind: "removed", path: bytes.toString() };
    case "n":
      return { kind: "sent", descriptor, bytes };
    default:
      throw new Error(`the log of the disk has a record of kind ${kind}`);
  }
}

const HEAD_BYTES = 17;
