/**
 * `npm run build`: the packed package's tree in dist/, which mirrors agent/, emulator/ and protocol/.
 * tsc writes JS and types; this adds what tsc does not know: files that are not TypeScript, the addresses of sibling
 * modules (`new URL("./worker.ts", import.meta.url)`), a package.json above the rooms, as in the checkout, and the agent as one file.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundleAgent } from "./lib/bundle.ts";

const checkout = fileURLToPath(new URL("..", import.meta.url));
const dist = join(checkout, "dist");
const rooms = ["agent", "emulator", "protocol"];
/** Run or read where they are: the fronts stand outside dist, the pages of prose are packed beside it. */
const staysOutside = (path: string) => basename(path) === "front.js" || extname(path) === ".md";

async function build(): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  execFileSync(join(checkout, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json"], {
    cwd: checkout,
    stdio: "inherit",
  });
  for (const room of rooms) copyAssets(room);
  writeFileSync(join(dist, "package.json"), builtPackageJson());
  const missing = filesBelow(dist)
    .filter((path) => path.endsWith(".js"))
    .flatMap(pointToBuiltFiles);
  if (missing.length > 0) throw new Error(`not in the built tree:\n${missing.join("\n")}`);
  const { bytes, packages } = await bundleAgent(dist);
  // Beside the bundle, where it looks for it; modes are kept.
  cpSync(join(checkout, "scripts/install-gateway"), join(dist, "install-gateway"));
  cpSync(join(checkout, "scripts/gateway"), join(dist, "gateway"), { recursive: true });
  process.stderr.write(`dist/doorlink.cjs: ${(bytes / 1e6).toFixed(2)} MB with ${packages.length} packages in it\n`);
}

function copyAssets(room: string): void {
  for (const path of filesBelow(join(checkout, room))) {
    if (path.endsWith(".ts") || staysOutside(path)) continue;
    const target = join(dist, path.slice(checkout.length));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(path, target);
  }
}

/**
 * Turns `new URL("./x.ts", import.meta.url)` of a built file into `./x.js`, which tsc leaves alone.
 * Returns a line for each relative address that leads to no file.
 */
function pointToBuiltFiles(path: string): readonly string[] {
  const missing: string[] = [];
  const source = readFileSync(path, "utf8");
  const built = source.replace(siblingAddress, (whole: string, address: string) => {
    const target = address.replace(/\.ts$/, ".js");
    if (!existsSync(new URL(target, pathToFileURL(path)))) missing.push(`${path.slice(checkout.length)}: ${address}`);
    return whole.replace(address, target);
  });
  if (built !== source) writeFileSync(path, built);
  return missing;
}

const siblingAddress = /new URL\(\s*["'](\.[^"']*)["'],\s*import\.meta\.url\s*\)/g;

function builtPackageJson(): string {
  const manifest: Record<string, unknown> = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8"));
  return `${JSON.stringify({ name: manifest["name"], version: manifest["version"], type: manifest["type"] })}\n`;
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

await build();
