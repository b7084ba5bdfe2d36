/** What the judgement of what needs a person is made from. */
import type { AttentionItem } from "../http/health-views.ts";
import type { StatusView } from "../http/views.ts";
import type { KeptCheck } from "../sticker-checks.ts";

export interface AttentionInput {
  readonly status: Omit<StatusView, "attention">;
  readonly panels: readonly PanelFacts[];
  /** Devices whose advertisement says that somebody opened their housing. Nobody signs it. */
  readonly tampered: ReadonlySet<string>;
  /** What other rooms of the agent want to be seen. */
  readonly further: readonly AttentionItem[];
}

export interface PanelFacts {
  readonly panel: string;
  readonly doorName: string;
  /** Null: none is valid. */
  readonly current: string | null;
  readonly rotatedAt: number;
  /** Null: nobody has shown that the current one hangs. */
  readonly seenAt: number | null;
  readonly check: KeptCheck | null;
}
