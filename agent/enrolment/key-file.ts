/** A private key in a file of its own: made once, for its owner's eyes alone, never overwritten, and never in a log or an answer. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../ports/store.ts";

/** Gives the P-256 key in the file, or undefined where there is no such file. Throws StoreError unavailable for anything else in it. */
export async function readKeyFile(path: string, name: string): Promise<KeyObject | undefined> {
  const text = await readIfThere(path, name);
  if (text === undefined) return undefined;
  const key = parsePrivateKey(text);
  if (key === undefined) {
    throw new StoreError(
      "unavailable",
      `${name} in the state directory is not a P-256 key; restore it or move it away`,
    );
  }
  return key;
}

/** Makes a key and has it on the disk when this is fulfilled. */
export async function makeKeyFile(path: string, name: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  await writeWhole(path, privateKey.export({ format: "pem", type: "pkcs8" }).toString(), name);
  return privateKey;
}

/** Undefined for anything that is no P-256 private key in PEM. */
export function parsePrivateKey(pem: string): KeyObject | undefined {
  if (pem.length > KEY_LIMIT_CHARACTERS) return undefined;
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? key : undefined;
  } catch {
    // Not a key; what it is instead is nobody's business, for it may be a damaged one.
    return undefined;
  }
}

/** Undefined: there is no such file. */
export async function readIfThere(path: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new StoreError("unavailable", `cannot read ${name} in the state directory`, { cause });
  }
}

/** Old or new, never a part, also after a power cut. */
export async function writeWhole(path: string, text: string, name: string): Promise<void> {
  try {
    const file = await open(`${path}.new`, "w", OWNER_ONLY);
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(`${path}.new`, path);
    const folder = await open(dirname(path), "r");
    await folder.sync();
    await folder.close();
  } catch (cause) {
    throw new StoreError("unavailable", `cannot write ${name} in the state directory`, { cause });
  }
}

const OWNER_ONLY = 0o600;
const KEY_LIMIT_CHARACTERS = 4096;
