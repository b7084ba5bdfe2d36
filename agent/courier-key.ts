/** The gateway's own key, by which locks know this courier: made once at the first start, and readable by its owner alone. */
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { base64ToBytes, bytesToBase64 } from "../protocol/base/bytes.ts";
import type { Random } from "./ports/random.ts";
import { StoreError } from "./ports/store.ts";

/**
 * Gives the X25519 private key (32 bytes) in `stateDir`, or makes it. Throws StoreError unavailable when it can be neither read nor
 * written, or what is there is no key: a key is never overwritten.
 */
export async function loadCourierKey(stateDir: string, random: Random): Promise<Uint8Array> {
  const path = join(stateDir, "courier.key");
  const stored = await readIfThere(path);
  if (stored === undefined) return makeKey(stateDir, path, random);
  const key = base64ToBytes(stored.trim());
  if (key?.length !== KEY_BYTES) {
    throw new StoreError("unavailable", "courier.key in the state directory is not a key; restore it or move it away");
  }
  return key;
}

async function makeKey(stateDir: string, path: string, random: Random): Promise<Uint8Array> {
  const key = random.bytes(KEY_BYTES);
  try {
    const fresh = `${path}.new`;
    const file = await open(fresh, "w", OWNER_ONLY);
    await file.writeFile(`${bytesToBase64(key)}\n`);
    // The authority will certify this key: it must not be another one after a power cut.
    await file.sync();
    await file.close();
    await rename(fresh, path);
    const folder = await open(stateDir, "r");
    await folder.sync();
    await folder.close();
  } catch (cause) {
    throw new StoreError("unavailable", "cannot write courier.key in the state directory", { cause });
  }
  return key;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new StoreError("unavailable", "cannot read courier.key in the state directory", { cause });
  }
}

const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;
