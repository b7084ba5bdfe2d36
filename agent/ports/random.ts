/** Randomness as the agent needs it. The shipped agent takes it from the operating system and never from a seed. */
export interface Random {
  bytes(length: number): Uint8Array;
  /** 0 <= value < 1, for jitter only. */
  fraction(): number;
}
