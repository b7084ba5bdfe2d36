/** A stated number of events a second, and at most a second's worth at once. */
export class Rate {
  readonly #perSecond: () => number;
  #tokens = 0;
  #refilledAtMs: number | undefined;

  /** Asked each time, because the configuration may change; infinite: no limit. */
  constructor(perSecond: () => number) {
    this.#perSecond = perSecond;
  }

  /** How many events may go now: a whole message of `limit`, or what a slower rate makes of it; 0: none yet. */
  allowed(nowMs: number, limit: number): number {
    const perSecond = this.#perSecond();
    if (!Number.isFinite(perSecond)) return limit;
    const elapsedMs = nowMs - (this.#refilledAtMs ?? nowMs - MS_A_SECOND);
    this.#refilledAtMs = nowMs;
    this.#tokens = Math.min(Math.max(1, perSecond), this.#tokens + (elapsedMs * perSecond) / MS_A_SECOND);
    return this.waitMs(limit) > 0 ? 0 : Math.min(limit, Math.floor(this.#tokens));
  }

  take(events: number): void {
    if (Number.isFinite(this.#perSecond())) this.#tokens -= events;
  }

  /** How long until `events` may go, or as many as a slower rate makes in a second. */
  waitMs(events: number): number {
    const perSecond = this.#perSecond();
    if (!Number.isFinite(perSecond)) return 0;
    const wanted = Math.min(events, Math.max(1, Math.floor(perSecond)));
    return Math.ceil(Math.max(0, wanted - this.#tokens) * (MS_A_SECOND / perSecond));
  }
}

const MS_A_SECOND = 1000;
