/** Policies are ordered by (keyset epoch, version), never by time: `comparePolicyOrder`. */
export interface PolicyVersion {
  readonly epoch: number;
  readonly version: number;
}
