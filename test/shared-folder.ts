import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * The folder `shared` that may stand beside the checkout (it holds vectors that nobody here wrote), found by walking up from
 * this file; undefined where there is none. Tests that need it stand aside visibly: `describe.runIf(sharedFolder() !== undefined)`.
 */
export function sharedFolder(): string | undefined {
  for (let folder = import.meta.dirname; ; folder = resolve(folder, "..")) {
    const candidate = join(folder, "shared");
    if (existsSync(join(candidate, "vectors"))) return candidate;
    if (folder === resolve(folder, "..")) return undefined;
  }
}
