/** What every campaign takes and ends with. */
export interface CampaignOptions {
  /** Smaller, for CI. */
  readonly quick: boolean;
  readonly cuts: number | undefined;
  readonly syncs: number | undefined;
  readonly kills: number | undefined;
  readonly seed: number | undefined;
  /** Says how far it is; nobody hears it but a terminal. */
  readonly show: (line: string) => void;
}

export interface CampaignResult {
  readonly holds: boolean;
  /** The JSON that the campaign ends with. */
  readonly counts: Readonly<Record<string, unknown>>;
  /** The same for people. */
  readonly text: string;
}

export type Campaign = (options: CampaignOptions) => Promise<CampaignResult>;
