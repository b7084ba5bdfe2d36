/** The walls beside the panels: which stickers hang there. They stay in the state folder, so that a restart finds them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { Wall } from "../people/visitor.ts";

export type MountFault =
  | { readonly code: "no-such-panel" }
  | { readonly code: "not-a-png" }
  | { readonly code: "wall-full"; readonly limit: number };

export class Walls {
  readonly #folder: string;
  readonly #stickersByPanel: Map<string, Uint8Array[]>;

  constructor(stateFolder: string, panels: readonly string[]) {
    this.#folder = join(stateFolder, "walls");
    mkdirSync(this.#folder, { recursive: true });
    this.#stickersByPanel = new Map(panels.map((panel) => [panel, readStickers(this.#folder, panel)]));
  }

  wall(panel: string): Wall | undefined {
    const stickers = this.#stickersByPanel.get(panel);
    return stickers === undefined ? undefined : { panel, stickers };
  }

  /** Sticks a printed sticker over what hangs there. Gives its index. Faults: no-such-panel, not-a-png, wall-full. */
  mount(panel: string, png: Uint8Array): Result<number, MountFault> {
    const stickers = this.#stickersByPanel.get(panel);
    if (stickers === undefined) return failed({ code: "no-such-panel" });
    if (!PNG_SIGNATURE.every((byte, index) => png[index] === byte)) return failed({ code: "not-a-png" });
    if (stickers.length >= STICKERS_MAX) return failed({ code: "wall-full", limit: STICKERS_MAX });
    const index = stickers.length;
    writeFileSync(join(this.#folder, fileName(panel, index)), png);
    stickers.push(png);
    return ok(index);
  }
}

function readStickers(folder: string, panel: string): Uint8Array[] {
  const names = new Set(readdirSync(folder));
  const stickers: Uint8Array[] = [];
  for (let index = 0; names.has(fileName(panel, index)); index++) {
    stickers.push(new Uint8Array(readFileSync(join(folder, fileName(panel, index)))));
  }
  return stickers;
}

function fileName(panel: string, index: number): string {
  return `${panel}-${index}.png`;
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** More rotations than a demo ever makes; a wall of more would fill the disk. */
const STICKERS_MAX = 100;
