/**
 * Several ways to the same authority. Each try takes one: the one that last worked as long as it does, else the next in turn; the pauses
 * between tries are the link's own (full jitter, up to the cap), so a dead way costs one try and no more. SPEC U8.
 */
import type { UpstreamConnection, UpstreamListener, UpstreamTransport } from "../ports/upstream.ts";

export interface UpstreamWay {
  readonly url: string;
  readonly transport: UpstreamTransport;
}

/** `ways` is asked at each try, because the configuration may change meanwhile. */
export function createSeveralUrls(ways: () => readonly UpstreamWay[]): UpstreamTransport {
  let current: string | undefined;
  return {
    connect: async (listener: UpstreamListener): Promise<UpstreamConnection> => {
      const all = ways();
      const found = all.findIndex(({ url }) => url === current);
      const way = all[Math.max(0, found)];
      if (way === undefined) throw new Error("the configuration names at least one URL");
      // Moved on before it is known how this ends: a try that nobody waits for any more has failed as well.
      current = all[(Math.max(0, found) + 1) % all.length]?.url;
      const connection = await way.transport.connect(listener);
      current = way.url;
      return { ...connection, url: way.url };
    },
  };
}
