/**
 * What the outbox knows of one device on one connection: how far its log was published, and what of that has no receipt yet. A lane decides
 * what would be next; it publishes nothing itself.
 *
 * Theory: `cursor` walks the log in its order. What was on disk when the connection came (`backlogEnd`) is backlog; what comes after that
 * is live, and as long as backlog is before it, it goes ahead under a cursor of its own (`liveCursor`). Upstream orders by sequence and
 * drops doubles by name, so going ahead costs it nothing but a hole that closes later. SPEC U9, U10.
 */

export interface Sent {
  readonly last: number;
  readonly bytes: number;
}

/** What is to be read and published next: events above `after` up to `through`. */
export interface NextPiece {
  readonly after: number;
  readonly through: number;
  readonly kind: "backlog" | "live" | "ahead";
}

export class Lane {
  receipted: number;
  /** Whether `receipted` is what the store says, and not only what was there before the first event of this lane. */
  isReceiptKnown: boolean;
  /** Highest on disk. */
  last: number;
  backlogEnd: number;
  /** Everything up to here was published on this connection. */
  cursor: number;
  /** Everything from behind the backlog up to here was published ahead of it; undefined: nothing was. */
  liveCursor: number | undefined;
  /** Messages that went ahead and that the broker has not acknowledged. */
  aheadUnderway = 0;
  /** Published in order and not covered yet, oldest first. */
  readonly unreceipted: Sent[] = [];
  /** When the oldest of them is given up and sent again, on the monotonic clock. */
  resendAtMs = 0;
  resends = 0;
  /** A receipt on this connection took something: it may use more of the window. */
  isProven = false;

  constructor(at: {
    readonly receipted: number;
    readonly last: number;
    readonly cursor: number;
    readonly backlogEnd: number;
    readonly isReceiptKnown: boolean;
  }) {
    this.receipted = at.receipted;
    this.last = at.last;
    this.cursor = at.cursor;
    this.backlogEnd = at.backlogEnd;
    this.isReceiptKnown = at.isReceiptKnown;
  }

  get isDone(): boolean {
    return this.receipted >= this.last;
  }

  get hasBacklog(): boolean {
    return this.cursor < this.backlogEnd;
  }

  /** What must not wait for the backlog. */
  nextLive(): NextPiece | undefined {
    if (!this.hasBacklog) {
      return this.cursor < this.last ? { after: this.cursor, through: this.last, kind: "live" } : undefined;
    }
    const { liveCursor, last } = this;
    return liveCursor === undefined || liveCursor >= last
      ? undefined
      : { after: liveCursor, through: last, kind: "ahead" };
  }

  nextBacklog(): NextPiece | undefined {
    return this.hasBacklog ? { after: this.cursor, through: this.backlogEnd, kind: "backlog" } : undefined;
  }

  /** `through`: what the last event of the message is, or where nothing more was found. */
  published(kind: NextPiece["kind"], through: number, resendAtMs: number): void {
    if (kind === "ahead") {
      this.liveCursor = through;
      return;
    }
    this.cursor = through;
    if (this.hasBacklog || this.liveCursor === undefined) return;
    // The backlog has caught up: what went ahead is published in order now, and waits for its receipt like the rest.
    if (this.liveCursor > this.cursor) this.awaitReceipt({ last: this.liveCursor, bytes: 0 }, resendAtMs);
    this.cursor = Math.max(this.cursor, this.liveCursor);
    this.liveCursor = undefined;
  }

  awaitReceipt(sent: Sent, resendAtMs: number): void {
    if (this.unreceipted.push(sent) === 1) this.resendAtMs = resendAtMs;
  }

  /** Events came onto the disk. `mayGoAhead`: they need not wait for what is before them. */
  stored(first: number, last: number, mayGoAhead: boolean): void {
    const isBehindAll = first > this.last;
    this.last = Math.max(this.last, last);
    // A hole that was filled late: what follows is sent again, and upstream drops the doubles by name.
    if (first <= this.cursor) {
      const hadBacklog = this.hasBacklog;
      this.cursor = Math.max(this.receipted, first - 1);
      if (!hadBacklog) this.backlogEnd = this.cursor;
    }
    if (!mayGoAhead || !this.hasBacklog || !isBehindAll) return;
    this.liveCursor ??= first - 1;
  }

  /** The events from this sequence on are not on the disk any more. */
  dropped(from: number): void {
    this.last = from - 1;
    this.backlogEnd = Math.min(this.backlogEnd, this.last);
    if (this.liveCursor !== undefined && this.liveCursor >= from) this.liveCursor = undefined;
    while ((this.unreceipted.at(-1)?.last ?? -1) >= from) this.unreceipted.pop();
  }

  receipt(through: number): void {
    if (through > this.receipted) {
      this.receipted = through;
      this.cursor = Math.max(this.cursor, through);
      this.resends = 0;
      this.isProven = true;
    }
    while ((this.unreceipted[0]?.last ?? Number.POSITIVE_INFINITY) <= through) this.unreceipted.shift();
  }

  /**
   * Receipts that are overdue no longer hold the window. What follows is sent first, because a hole that nobody can fill must
   * not keep later events from upstream; then the lane starts again behind its last receipt, each time after a longer wait.
   */
  giveUpWaiting(): void {
    this.unreceipted.length = 0;
    this.isProven = false;
    if (this.cursor < this.last) return;
    this.cursor = this.receipted;
    this.backlogEnd = this.last;
    this.resends += 1;
  }
}
