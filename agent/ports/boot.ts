/** This run of the agent's program, as commands to it are reckoned by. SPEC M24. */
export interface Boot {
  /** 16 random bytes of this run, in hex. */
  readonly id: string;
  /** Milliseconds since it began; never goes back, is not set by anybody, and counts while the machine sleeps. */
  uptimeMs(): number;
}
