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

export interface CountingOptions {
  /** Called when so many frames have been handed to the radio. */
  readonly atFrame?: { readonly count: number; readonly act: () => void };
}

export class CountingRadio implements Radio {
  readonly #radio: Radio;
  readonly #options: CountingOptions;
  readonly #order = new FrameOrder();
  #framesIn = 0;
  #framesOut = 0;
  #readyAt: number | undefined;

  constructor(radio: Radio, options: CountingOptions = {}) {
    this.#radio = radio;
    this.#options = options;
  }

  get counts(): { framesIn: number; framesOut: number; late: number; deepest: number } {
    const { late, deepest } = this.#order.count;
    return { framesIn: this.#framesIn, framesOut: this.#framesOut, late, deepest };
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
      send: (frame) => {
        this.#framesOut++;
        const { atFrame } = this.#options;
        if (this.#framesOut === atFrame?.count) atFrame.act();
        return link.send(frame);
      },
      close: (options) => link.close(options),
    };
  }

  close(): Promise<void> {
    return this.#radio.close();
  }
}
