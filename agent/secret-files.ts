/**
 * The files of secrets that a configuration names: there, and not for everybody on this machine to read. A setting names such a
 * file when its name ends in passwordFile, keyFile, secretFile or tokenFile. SPEC G53.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { DocumentPath } from "../protocol/site/document.ts";
import { valueAt } from "../protocol/site/document.ts";

export interface SecretFile {
  /** Of the setting. */
  readonly path: DocumentPath;
  readonly file: string;
}

export type SecretFileFault = SecretFile & { readonly code: "missing" | "unreadable" | "readable-by-all" };

/** Every file of a secret that `config` names; its paths are absolute by now. */
export function secretFilesOf(config: unknown): readonly SecretFile[] {
  return pathsBelow(config, []).flatMap((path) => {
    const file = valueAt(config, path);
    return typeof file === "string" && namesSecret.test(String(path.at(-1))) ? [{ path, file }] : [];
  });
}

/** What is wrong with them, in the order of the configuration. Faults: missing, unreadable, readable-by-all. */
export async function findSecretFaults(secrets: readonly SecretFile[]): Promise<readonly SecretFileFault[]> {
  const faults: SecretFileFault[] = [];
  for (const secret of secrets) {
    const code = await faultOf(secret.file);
    if (code !== undefined) faults.push({ ...secret, code });
  }
  return faults;
}

/** The same as long as each file holds the same; it says nothing else about what they hold, and is never shown. */
export async function digestSecrets(secrets: readonly SecretFile[]): Promise<string> {
  const hash = createHash("sha256");
  for (const { file } of secrets) {
    const content = await readFile(file).catch(() => Buffer.alloc(0));
    hash.update(`${file.length}:${file}${content.length}:`).update(content);
  }
  return hash.digest("base64");
}

async function faultOf(file: string): Promise<SecretFileFault["code"] | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & READ_BY_ALL) !== 0 && (await isReachableByAll(file))) return "readable-by-all";
    await readFile(file);
    return undefined;
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "ENOENT" ? "missing" : "unreadable";
  }
}

/** A folder that others may not enter keeps what is in it, whatever the file itself allows. */
async function isReachableByAll(file: string): Promise<boolean> {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & ENTER_BY_ALL) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

function pathsBelow(value: unknown, above: DocumentPath): readonly DocumentPath[] {
  if (typeof value !== "object" || value === null) return [above];
  return Object.entries(value).flatMap(([key, below]) =>
    pathsBelow(below, [...above, Array.isArray(value) ? Number(key) : key]),
  );
}

const namesSecret = /(?:password|key|secret|token)file$/i;
const READ_BY_ALL = 0o004;
const ENTER_BY_ALL = 0o001;
