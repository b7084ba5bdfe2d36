/** Policies are ordered by (keyset epoch, version), never by time. */
export interface PolicyVersion {
  readonly epoch: number;
  readonly version: number;
}

/** Negative: `left` is older; zero: the same; positive: newer. */
export function compareVersions(left: PolicyVersion, right: PolicyVersion): number {
  return left.epoch === right.epoch ? left.version - right.version : left.epoch - right.epoch;
}
