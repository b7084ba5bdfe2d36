/** The version of this package. */
import { readFile } from "node:fs/promises";
import { assert } from "../protocol/base/result.ts";

/** The package's manifest stands above the rooms, in a checkout as in what is packed. */
export async function packageVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  assert(typeof manifest === "object" && manifest !== null && "version" in manifest, "the package has a version");
  return String(manifest.version);
}
