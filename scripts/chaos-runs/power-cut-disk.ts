/**
 * What a disk may hold after the power was cut, worked out from the recorded writes and syncs of a process. Of each file everything up to
 * its last completed sync is there; of what came later each write may be there whole, in part or not at all, in any order, because that is
 * all that a disk with a cache promises. A part is a sector of 512 bytes. Names of files are a journal of their folder: after a cut some
 * beginning of what came after the folder's last sync is there.
 */
import type { ShimRecord } from "../lib/disk-shim.ts";

/** What a file or a folder of names was told and has not synced. */
type Change =
  | {
      readonly kind: "written";
      readonly offset: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: "truncated"; readonly length: number };

type NameChange =
  | { readonly kind: "created"; readonly name: string; readonly file: DiskFile }
  | { readonly kind: "renamed"; readonly from: string; readonly to: string }
  | { readonly kind: "removed"; readonly name: string };

interface DiskFile {
  durable: FileBytes;
  /** Synced, as the disk says; empty on a disk that tells the truth. */
  claimed: Change[];
  pending: Change[];
}

export class PowerCutDisk {
  readonly #folder: string;
  /** The last sync before the cut did nothing: a control that shows that the campaign can see a loss. */
  readonly #lies: boolean;
  #liedAbout: DiskFile | undefined;
  readonly #fileByDescriptor = new Map<number, DiskFile | "folder">();
  #names = new Map<string, DiskFile>();
  #durableNames = new Map<string, DiskFile>();
  #pendingNames: NameChange[] = [];

  constructor(folder: string, { lies }: { readonly lies: boolean }) {
    this.#folder = folder;
    this.#lies = lies;
  }

  apply(record: ShimRecord): void {
    switch (record.kind) {
      case "begun":
        return this.#fileByDescriptor.clear();
      case "opened":
      case "created":
        return this.#open(record.descriptor, record.path);
      case "written":
      case "truncated": {
        const file = this.#fileByDescriptor.get(record.descriptor);
        if (file !== undefined && file !== "folder") file.pending.push(record);
        return;
      }
      case "synced":
        return this.#sync(record.descriptor);
      case "renamed":
        return this.#rename(this.#nameOf(record.from), this.#nameOf(record.to));
      case "removed": {
        const name = this.#nameOf(record.path);
        this.#names.delete(name);
        this.#pendingNames.push({ kind: "removed", name });
        return;
      }
      case "sent":
        return;
    }
  }

  /** The files after a cut at this moment, by their names; `chance` gives 0 <= x < 1 for each thing that may or may not have happened. */
  image(way: CutWay, chance: () => number): ReadonlyMap<string, Buffer> {
    const kept = way === "nothing" ? 0 : way === "everything" ? this.#pendingNames.length : undefined;
    const count = kept ?? Math.floor(chance() * (this.#pendingNames.length + 1));
    const names = new Map(this.#durableNames);
    for (const change of this.#pendingNames.slice(0, count)) applyName(names, change);
    return new Map([...names].map(([name, file]) => [name, contentAfterCut(file, way, chance)]));
  }

  #open(descriptor: number, path: string): void {
    const name = this.#nameOf(path);
    if (name === "") {
      this.#fileByDescriptor.set(descriptor, "folder");
      return;
    }
    let file = this.#names.get(name);
    if (file === undefined) {
      file = { durable: new FileBytes(), claimed: [], pending: [] };
      this.#names.set(name, file);
      this.#pendingNames.push({ kind: "created", name, file });
    }
    this.#fileByDescriptor.set(descriptor, file);
  }

  #sync(descriptor: number): void {
    const file = this.#fileByDescriptor.get(descriptor);
    if (file === undefined) return;
    if (file === "folder") {
      for (const change of this.#pendingNames) applyName(this.#durableNames, change);
      this.#pendingNames = [];
      return;
    }
    if (this.#liedAbout !== undefined) settle(this.#liedAbout);
    file.claimed = file.pending;
    file.pending = [];
    if (this.#lies) this.#liedAbout = file;
    else settle(file);
  }

  #rename(from: string, to: string): void {
    const change = { kind: "renamed", from, to } as const;
    applyName(this.#names, change);
    this.#pendingNames.push(change);
  }

  #nameOf(path: string): string {
    return path.slice(this.#folder.length).replace(/^\/+/, "");
  }
}

/** Two that any disk may do, and one that only an unlucky one does. */
export type CutWay = "nothing" | "everything" | "anything";

/** Bytes of a file that grow in place, because a write-ahead log is written a page at a time. */
class FileBytes {
  #bytes = Buffer.alloc(0);
  #length = 0;

  write(offset: number, bytes: Buffer): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, offset);
    this.#length = Math.max(this.#length, end);
  }

  truncate(length: number): void {
    if (length < this.#length) this.#bytes.fill(0, length, this.#length);
    else this.write(length, Buffer.alloc(0));
    this.#length = length;
  }

  copy(): FileBytes {
    const copied = new FileBytes();
    copied.write(0, this.content());
    return copied;
  }

  content(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

function settle(file: DiskFile): void {
  for (const change of file.claimed) applyChange(file.durable, change);
  file.claimed = [];
}

function applyChange(bytes: FileBytes, change: Change): void {
  if (change.kind === "written") bytes.write(change.offset, change.bytes);
  else bytes.truncate(change.length);
}

function applyName(names: Map<string, DiskFile>, change: NameChange): void {
  if (change.kind === "created") names.set(change.name, change.file);
  else if (change.kind === "removed") names.delete(change.name);
  else {
    const file = names.get(change.from);
    names.delete(change.from);
    if (file !== undefined) names.set(change.to, file);
  }
}

function contentAfterCut({ durable, claimed, pending }: DiskFile, way: CutWay, chance: () => number): Buffer {
  const unsynced = [...claimed, ...pending];
  if (way === "nothing" || unsynced.length === 0) return durable.content();
  const bytes = durable.copy();
  if (way === "everything") {
    for (const change of unsynced) applyChange(bytes, change);
    return bytes.content();
  }
  const inAnyOrder = unsynced.map((change) => ({ change, at: chance() })).sort((left, right) => left.at - right.at);
  // How much of it: now and then nearly all, now and then nearly none.
  const share = chance();
  for (const { change } of inAnyOrder) {
    if (chance() > share) continue;
    for (const part of tear(change, chance)) applyChange(bytes, part);
  }
  return bytes.content();
}

/** One write in four reaches the disk in parts. */
function tear(change: Change, chance: () => number): readonly Change[] {
  if (change.kind === "truncated" || chance() > 0.25) return [change];
  const parts: Change[] = [];
  for (let from = 0; from < change.bytes.length; ) {
    const offset = change.offset + from;
    const to = Math.min(change.bytes.length, from + SECTOR_BYTES - (offset % SECTOR_BYTES));
    if (chance() < 0.5)
      parts.push({
        kind: "written",
        offset,
        bytes: change.bytes.subarray(from, to),
      });
    from = to;
  }
  return parts;
}

const SECTOR_BYTES = 512;
