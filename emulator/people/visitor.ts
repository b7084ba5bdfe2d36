/**
 * A visitor at the door: photographs a sticker, opens what it says, calls a resident and reads the code off the screen.
 *
 * What stands on the visitor's screen (the page's address, the code) lives here in memory only and is logged nowhere.
 */
import { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { seededRandom } from "../world/random.ts";
import { type CloudFault, callCloud, fetchText } from "./cloud-client.ts";
import { type PhotoFault, takePhoto } from "./take-photo.ts";

export type VisitorFault =
  | { readonly code: "no-such-panel" | "no-sticker" | "not-scanned" | "no-code" }
  | PhotoFault
  | { readonly code: "call-not-ended"; readonly state: string }
  | CloudFault;

export interface Resident {
  readonly id: string;
  readonly name: string;
  readonly unit: string;
}

export interface ScanReport {
  /** What the phone read; absent when it read nothing. */
  readonly text?: string;
  /** Why it read nothing, or why the page did not open. */
  readonly problem?: string;
  /** Of the page; absent when nothing was opened. */
  readonly status?: number;
  readonly doorName?: string;
  readonly residents?: readonly Resident[];
  /** Which of the stickers on this wall it was, and the picture that was taken. */
  readonly sticker: number;
  readonly photo: string;
}

export interface CallReport {
  readonly state: string;
  readonly reason?: string;
  readonly code?: string;
  readonly door?: string;
  readonly validOn?: string;
}

/** Stickers on one panel's wall; the last one hangs on top. */
export interface Wall {
  readonly panel: string;
  readonly stickers: readonly Uint8Array[];
}

export interface VisitorOptions {
  readonly seed: number;
  readonly pause: (ms: number) => Promise<void>;
}

export class Visitor {
  readonly #options: VisitorOptions;
  readonly #photos: { readonly name: string; readonly jpeg: Uint8Array }[] = [];
  readonly #pageByPanel = new Map<string, URL>();
  #shots = 0;
  #code: string | undefined;

  constructor(options: VisitorOptions) {
    this.#options = options;
  }

  get hasCode(): boolean {
    return this.#code !== undefined;
  }

  /** Takes a picture of the panel's sticker (an older one by its index) and opens what it says. */
  async scan({ panel, stickers }: Wall, which?: number): Promise<Result<ScanReport, VisitorFault>> {
    const sticker = which ?? stickers.length - 1;
    const face = stickers[sticker];
    if (face === undefined) return failed({ code: "no-sticker" });
    this.#shots += 1;
    const shotSeed = seededRandom(this.#options.seed, `visitor/shot/${panel}/${sticker}/${this.#shots}`).integer(
      2 ** 31,
    );
    const taken = await takePhoto(face, shotSeed);
    if (!taken.ok) return taken;
    const photo = this.#keepPhoto(taken.value.jpeg);
    const { read } = taken.value;
    if (!read.ok) return ok({ problem: read.code, sticker, photo });
    return ok({ text: read.text, ...(await this.#open(panel, read.text)), sticker, photo });
  }

  photo(name: string): Uint8Array | undefined {
    return this.#photos.find((photo) => photo.name === name)?.jpeg;
  }

  /** Rings a resident from the page that was opened last at this panel, and waits for the end of the call. */
  async call(panel: string, resident: string): Promise<Result<CallReport, VisitorFault>> {
    const page = this.#pageByPanel.get(panel);
    if (page === undefined) return failed({ code: "not-scanned" });
    const started = await callCloud(page.origin, {
      what: "call a resident",
      method: "POST",
      path: `${page.pathname}/call`,
      schema: z.object({ call: z.string() }),
      body: { resident },
    });
    return started.ok ? this.#waitForEnd(page, started.value.call) : started;
  }

  /** The digits on the screen, for typing. */
  readCode(): Result<string, VisitorFault> {
    return this.#code === undefined ? failed({ code: "no-code" }) : ok(this.#code);
  }

  async #open(panel: string, text: string): Promise<Omit<ScanReport, "sticker" | "photo">> {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    // A camera app offers web addresses only; anything else is shown as text.
    if (url === undefined || !["http:", "https:"].includes(url.protocol)) return { problem: "not-a-web-address" };
    const answered = await fetchText(url, { method: "GET" });
    if (!answered.ok) return { problem: "page-unreachable" };
    const { status, text: body } = answered.value;
    const page = status === 200 ? directorySchema.safeParse(parseJson(body)) : undefined;
    if (page === undefined) {
      this.#pageByPanel.delete(panel);
      return { status, problem: "page-refused" };
    }
    if (!page.success) return { status, problem: "not-a-directory" };
    this.#pageByPanel.set(panel, url);
    return { status, doorName: page.data.doorName, residents: page.data.residents };
  }

  async #waitForEnd(page: URL, call: string): Promise<Result<CallReport, VisitorFault>> {
    let state = "ringing";
    for (let polls = 0; polls < CALL_POLLS_MAX; polls++) {
      const seen = await callCloud(page.origin, {
        what: "look at a call",
        method: "GET",
        path: `/calls/${encodeURIComponent(call)}`,
        schema: callSchema,
      });
      if (!seen.ok) return seen;
      state = seen.value.state;
      if (ENDS.includes(state)) {
        if (seen.value.code !== undefined) this.#code = seen.value.code;
        return ok(withoutUndefined(seen.value));
      }
      await this.#options.pause(CALL_POLL_MS);
    }
    return failed({ code: "call-not-ended", state });
  }

  #keepPhoto(jpeg: Uint8Array): string {
    const name = `shot-${this.#shots}.jpg`;
    this.#photos.push({ name, jpeg });
    if (this.#photos.length > PHOTOS_KEPT) this.#photos.shift();
    return name;
  }
}

function withoutUndefined({ state, reason, code, door, validOn }: z.output<typeof callSchema>): CallReport {
  return {
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(code === undefined ? {} : { code }),
    ...(door === undefined ? {} : { door }),
    ...(validOn === undefined ? {} : { validOn }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema then says that this is no directory.
    return undefined;
  }
}

const directorySchema = z.object({
  doorName: z.string(),
  residents: z.array(z.object({ id: z.string(), name: z.string(), unit: z.string() })),
});
const callSchema = z.object({
  state: z.string(),
  reason: z.string().optional(),
  code: z.string().optional(),
  door: z.string().optional(),
  validOn: z.string().optional(),
});

const ENDS: readonly string[] = ["code", "refused", "failed"];
const CALL_POLL_MS = 100;
/** A little more than the minute that the cloud lets a phone ring. */
const CALL_POLLS_MAX = 660;
const PHOTOS_KEPT = 20;
