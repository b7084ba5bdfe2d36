/**
 * How often this agent has started: kept in the gateway's own birth, and once more in a file of its own, because what a boot count orders must
 * not begin anew when the database had to (SPEC G67).
 */
import { open, readFile, rename } from "node:fs/promises";
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { birthSchema } from "../../protocol/wire/messages/birth.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { isStoreFull, type Store } from "../ports/store.ts";

/** Counts this start, and gives its number once that is on disk; the first is 1. `path`: the file beside the database; absent: none. */
export async function nextBootCount(store: Store, gateway: DeviceId, path?: string): Promise<number> {
  const stored = (await store.readDocuments("birth")).find(({ device }) => device === gateway);
  const read = stored === undefined ? undefined : parsePayload(birthSchema, utf8(stored.body));
  const before = read?.ok === true ? read.value.bootCount : 0;
  const bootCount = Math.max(before, path === undefined ? 0 : await readCount(path)) + 1;
  const birth = { v: 1 as const, device: gateway, model: "gateway", bootCount, firmware: null, hardware: null };
  try {
    const body = formatPayload(birthSchema, birth);
    // Side by side: each waits for the disk, and a start waits for both.
    await Promise.all([
      store.putDocuments([{ kind: "birth", device: gateway, body }]),
      path === undefined ? undefined : writeCount(path, bootCount),
    ]);
  } catch (error) {
    // A gateway whose disk is full still serves its locks: the next start counts this one again, and none goes back.
    const isFull = isStoreFull(error) || (error instanceof Error && "code" in error && error.code === "ENOSPC");
    if (!isFull) throw error;
  }
  return bootCount;
}

/** 0: no file, or nothing in it that is a count. */
async function readCount(path: string): Promise<number> {
  const text = await readFile(path, "utf8").catch(() => "");
  return /^\d{1,9}\n$/.test(text) ? Number(text) : 0;
}

async function writeCount(path: string, count: number): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(`${count}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
