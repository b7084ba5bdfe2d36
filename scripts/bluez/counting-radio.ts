/** The agent's radio with an ear on it: what crossed the link, in what order, and a call at a chosen frame. */
import type {
  ConnectDeadlines,
  LinkListener,
  Radio,
  RadioLink,
  ScanOptions,
  Sighting,
} from "../../agent/ports/radio.ts";
import { FrameOrder } from "../../emulator/radio/bluez-frame-order.ts";
import { frameOverhead, parseFrame } from "../../protocol/session/frames.ts";

export interface CountingOptions {
  /** Called when BlueZ has taken so many frames. A session hands over its whole first flight at once, long before. */
  readonly atFrame?: { readonly count: number; readonly act: () => void };
}

export class CountingRadio implements Radio {
  readonly #radio: Radio;
  readonly #options: CountingOptions;
  readonly #order = new FrameOrder();
  #framesIn = 0;
  #framesOut = 0;
  #framesTaken = 0;
  #streamBytes = 0;
  #readyAt: number | undefined;

  constructor(radio: Radio, options: CountingOptions = {}) {
    this.#radio = radio;
    this.#options = options;
  }

  /** `streamBytes`: how far the stream to the lock went (SPEC S7 shows it in clear); what goes out again counts once. */
  get counts(): { framesIn: number; framesOut: number; streamBytes: number; late: number; deepest: number } {
    const { late, deepest } = this.#order.count;
    return { framesIn: this.#framesIn, framesOut: this.#framesOut, streamBytes: this.#streamBytes, late, deepest };
  }

  /** When the link was ready for frames, by performance.now(). */
  get readyAt(): number | undefined {
    return this.#readyAt;
  }

  scan(options: ScanOptions): Promise<readonly Sighting[]> {
    return this.#radio.scan(options);
  }

  async connect(address: string, listener: LinkListener, deadlines?: ConnectDeadlines): Promise<RadioLink> {
    const link = await this.#radio.connect(
      address,
      {
        frame: (bytes) => {
          this.#framesIn++;
          this.#order.see(bytes);
          listener.frame(bytes);
        },
        closed: (end) => listener.closed(end),
      },
      deadlines,
    );
    this.#readyAt = performance.now();
    return {
      address: link.address,
      send: async (frame) => {
        this.#framesOut++;
        const read = parseFrame(frame);
        if (read.ok && read.value.kind === "data") {
          this.#streamBytes = Math.max(this.#streamBytes, read.value.offset + frame.length - frameOverhead);
        }
        await link.send(frame);
        this.#framesTaken++;
        const { atFrame } = this.#options;
        if (this.#framesTaken === atFrame?.count) atFrame.act();
      },
      close: (options) => link.close(options),
    };
  }

  close(): Promise<void> {
    return this.#radio.close();
  }
}
