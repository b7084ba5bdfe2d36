/**
 * How full the store is, by its own limit and by the disk's word. A file of nothing beside the database holds room back: when the disk says
 * that it is full, the file goes, and what the gateway itself must note (documents, receipts, removals) goes into its place. SPEC G62.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { StoreFilling, StoreSpace } from "../ports/store.ts";

export interface SpaceLimits {
  /** Pages in use, without the write-ahead log; null: as much as the disk has. */
  readonly limitBytes: number | null;
  readonly reserveBytes: number;
}

export class Space {
  readonly #limits: SpaceLimits;
  readonly #reservePath: string;
  readonly #folder: string;
  readonly #pages: StatementSync;
  readonly #freePages: StatementSync;
  readonly #pageBytes: number;
  #diskFull = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #usedBytes = 0;
  droppedEvents = 0;

  constructor(database: DatabaseSync, path: string, limits: SpaceLimits) {
    this.#limits = limits;
    this.#reservePath = `${path}-reserve`;
    this.#folder = dirname(path);
    this.#pages = database.prepare("PRAGMA page_count");
    this.#freePages = database.prepare("PRAGMA freelist_count");
    this.#pageBytes = Number(database.prepare("PRAGMA page_size").get()?.["page_size"] ?? 4096);
    this.measure();
  }

  /** Looks again at how much is used; cheap enough for each commit. */
  measure(): StoreFilling {
    const pages = Number(this.#pages.get()?.["page_count"] ?? 0);
    const free = Number(this.#freePages.get()?.["freelist_count"] ?? 0);
    this.#usedBytes = (pages - free) * this.#pageBytes;
    if (this.#diskFull) this.#lookForRoom();
    return this.filling();
  }

  filling(): StoreFilling {
    const { limitBytes, reserveBytes } = this.#limits;
    if (this.#diskFull) return "full";
    if (limitBytes === null) return "room";
    const forEvents = Math.max(0, limitBytes - reserveBytes);
    if (this.#usedBytes >= forEvents) return "full";
    if (this.#usedBytes >= forEvents * DROPPING_FROM) return "dropping";
    return this.#usedBytes >= forEvents * THINNING_FROM ? "thinning" : "room";
  }

  /** Whether removing something helps: of a disk that somebody else filled nothing comes free by what goes from our file. */
  get isCrowded(): boolean {
    const filling = this.filling();
    return !this.#diskFull && (filling === "dropping" || filling === "full");
  }

  state(): StoreSpace {
    return {
      filling: this.filling(),
      usedBytes: this.#usedBytes,
      limitBytes: this.#limits.limitBytes,
      diskFull: this.#diskFull,
      droppedEvents: this.droppedEvents,
    };
  }

  /** A write found no room on the disk: what was held back is given to it. */
  diskIsFull(): void {
    this.#diskFull = true;
    this.#lookedAtMs = performance.now();
    rmSync(this.#reservePath, { force: true });
  }

  /**
   * Holds room back, a piece at a time: on a slow card the whole of it at once would keep commits waiting. True: there is more to hold back.
   */
  growReserve(): boolean {
    const { reserveBytes } = this.#limits;
    if (this.#diskFull || reserveBytes === 0) return false;
    const has = existsSync(this.#reservePath) ? statSync(this.#reservePath).size : 0;
    if (has >= reserveBytes || this.#freeBytes() < ROOM_AGAIN_BYTES) return false;
    const file = openSync(this.#reservePath, "a", 0o600);
    try {
      // Nothing that a file system could leave out or press together, as it can a row of zeros.
      writeSync(file, randomBytes(RESERVE_PIECE_BYTES));
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOSPC") throw error;
      // No room to hold back is a state like any other: the next write that finds none says so.
      ftruncateSync(file, has);
      return false;
    } finally {
      closeSync(file);
    }
    return has + RESERVE_PIECE_BYTES < reserveBytes;
  }

  #lookForRoom(): void {
    const now = performance.now();
    if (now - this.#lookedAtMs < LOOK_AGAIN_MS) return;
    this.#lookedAtMs = now;
    if (this.#freeBytes() >= this.#limits.reserveBytes + ROOM_AGAIN_BYTES) this.#diskFull = false;
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#folder);
    return bavail * bsize;
  }
}

/** Of what events may take. */
const THINNING_FROM = 0.85;
const DROPPING_FROM = 0.95;
const LOOK_AGAIN_MS = 1_000;
/** Beside the reserve, so that the first events that come do not fill the disk again at once. */
const ROOM_AGAIN_BYTES = 2 * 1024 * 1024;
const RESERVE_PIECE_BYTES = 1024 * 1024;
