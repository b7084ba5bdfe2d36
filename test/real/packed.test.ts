/**
 * The package as a stranger gets it: packed, then installed into an empty folder by npm alone, with no `overrides`,
 * no lockfile and no checkout near. What only works in a checkout (type stripping, a file that is not packed,
 * a development package) fails here.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InstalledHouse } from "./installed-house.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const manifest: { version: string } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8"));

/** The empty folder of the stranger; the installed package is in its node_modules/doorlink. */
let home: string;
let installed: string;

beforeAll(async () => {
  const shelf = mkdtempSync(join(tmpdir(), "doorlink-packed-"));
  home = join(shelf, "home");
  installed = join(home, "node_modules", "doorlink");
  mkdirSync(home);
  // `prepack` builds first, so what is packed is what the sources say now.
  await mustRun("npm", ["pack", "--silent", "--pack-destination", shelf], checkout);
  const tarball = readdirSync(shelf).find((name) => name.endsWith(".tgz")) ?? "";
  writeFileSync(join(home, "package.json"), `{"name":"stranger","private":true}`);
  const options = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"];
  await mustRun("npm", ["install", ...options, join(shelf, tarball)], home);
});

afterAll(() => rmSync(join(home, ".."), { recursive: true, force: true }));

describe("the packed package", () => {
  it("the bundle is the same bytes from the same sources, and names whose code is in it", async () => {
    const again = join(home, "again");
    mkdirSync(again);
    const program = `await (await import(process.argv[1])).bundleAgent(process.argv[2])`;
    const library = join(checkout, "scripts/lib/bundle.ts");
    await mustRun(process.execPath, ["--input-type=module", "-e", program, library, again], checkout);
    for (const name of ["doorlink.cjs", "doorlink.THIRD-PARTY.txt"]) {
      expect(readFileSync(join(again, name)).equals(readFileSync(join(installed, "dist", name))), name).toBe(true);
    }
    const notes = readFileSync(join(again, "doorlink.THIRD-PARTY.txt"), "utf8");
    for (const name of ["aedes", "@jellybrick/dbus-next", "zod"]) expect(notes).toContain(`\n${name} `);
    expect(notes).not.toContain("Licence: not stated");
    expect(readFileSync(join(again, "doorlink.cjs"), "latin1")).not.toMatch(/[^\0-\x7f]/);
  });

  it("holds what runs and what is read, and neither tests nor sources", () => {
    const packed = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter(
      (path) => !path.startsWith("node_modules"),
    );
    for (const path of ["LICENSE", "README.md", "protocol/SPEC.md", "dist/agent/main.js", "dist/emulator/main.js"]) {
      expect(packed).toContain(path);
    }
    for (const path of ["doorlink.cjs", "doorlink.THIRD-PARTY.txt", "install-gateway", "gateway/doorlink.service"]) {
      expect(packed).toContain(`dist/${path}`);
    }
    for (const room of ["agent", "emulator", "protocol"]) expect(packed).toContain(`dist/${room}/index.d.ts`);
    expect(packed.filter((path) => /(^|\/)(test|scripts)\//.test(path))).toEqual([]);
    expect(packed.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))).toEqual([]);
  });

  it("brings every file of the rooms that is not TypeScript", () => {
    for (const room of ["agent", "emulator", "protocol"]) {
      const assets = readdirSync(join(checkout, room), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !/\.(ts|md)$|^front\.js$/.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name).slice(checkout.length));
      expect(assets.filter((path) => !existsSync(join(installed, "dist", path)))).toEqual([]);
    }
  });

  it.each(["doorlink", "doorlink-emulator"])("%s answers --version and --help", async (command) => {
    const bin = join(home, "node_modules", ".bin", command);
    expect(await run(bin, ["--version"], home)).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
    const help = await run(bin, ["--help"], home);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain(`Usage: ${command} `);
  });

  it.each(["protocol", "agent", "emulator"])("doorlink/%s can be imported and gives something", async (room) => {
    const program = `console.log(Object.keys(await import("doorlink/${room}")).length)`;
    const imported = await run(process.execPath, ["--input-type=module", "-e", program], home);
    expect(imported).toMatchObject({ code: 0, stderr: "" });
    expect(Number(imported.stdout)).toBeGreaterThan(0);
  });

  it("has types that say what they mean: the right use compiles, the wrong one does not", async () => {
    writeFileSync(
      join(home, "consumer.mts"),
      `import { type DeviceId, parseDeviceId } from "doorlink/protocol";
import type {} from "doorlink/agent";
import type {} from "doorlink/emulator";
export const right: DeviceId | undefined = parseDeviceId("c1");
// @ts-expect-error An id is not a number; if the types had not been found, this would be no error.
export const wrong: number | undefined = parseDeviceId("c1");
`,
    );
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck", "--types", "", "consumer.mts"];
    expect(await run(join(checkout, "node_modules/.bin/tsc"), options, home)).toMatchObject({ code: 0, stdout: "" });
  });
});

describe("the demo site from a packed install in an empty folder", () => {
  let house: InstalledHouse;
  beforeAll(async () => {
    house = new InstalledHouse(home, 28_700);
    await house.start();
  });
  afterAll(() => house.stop());

  /** In one process, without a restart in between. */
  async function syncs(count: number): Promise<readonly unknown[]> {
    const pid = house.agentPid;
    const outcomes: unknown[] = [];
    for (let done = 0; done < count; done++) outcomes.push((await house.sync("lobby-lock")).body["outcome"]);
    expect(house.agentPid).toBe(pid);
    return [...new Set(outcomes)];
  }

  // The leak of an unfixed dbus-next kills a process that keeps one bus connection at its 37th visit.
  it("makes 100 syncs in one process with whatever dbus-next npm resolved", async () => {
    await expect.poll(async () => (await house.sync("lobby-lock")).status, { timeout: 20_000 }).toBe(200);
    expect(await syncs(100)).toEqual(["in-sync"]);
  }, 120_000);

  it("row 125: the bundle alone, as install-gateway puts it, takes the gateway over: its devices, its locks, its screen", async () => {
    // Outside the stranger's folder, so that no package of theirs is found from there.
    const machine = join(home, "..", "machine");
    const bin = join(home, "node_modules/.bin/doorlink");
    const installing = await run(bin, ["install-gateway", "--root", machine, "--node", process.execPath], home);
    expect(installing).toMatchObject({ code: 0, stderr: "" });
    const bundle = join(machine, "opt/doorlink/current/doorlink.cjs");
    // Nothing that it could borrow from is near: no package, no manifest.
    const beside = readdirSync(join(machine, "opt/doorlink", manifest.version)).sort();
    expect(beside).toEqual(["doorlink.THIRD-PARTY.txt", "doorlink.cjs", "gateway", "install-gateway"]);
    await house.changeAgent(bundle);
    const bundled = (...argv: string[]) => run(process.execPath, [bundle, ...argv, "--agent", house.agentUrl], home);
    const connected = async (): Promise<readonly string[]> =>
      JSON.parse((await bundled("status", "--json")).stdout).broker.connected;
    await expect.poll(connected, { timeout: 20_000 }).not.toEqual([]);
    expect(await syncs(40)).toEqual(["in-sync"]);
    expect(await bundled("sync", "--all")).toMatchObject({ code: 0 });
    const screen = (await bundled("status")).stdout;
    expect(screen).toMatch(/^upstream +linked for/m);
    expect(screen).toMatch(/^lobby-lock .*in-sync/m);
    expect(await run(process.execPath, [bundle, "--version"], home)).toMatchObject({ stdout: `${manifest.version}\n` });
    const picture = join(checkout, "emulator/page/picture.png");
    const blind = await run(process.execPath, [bundle, "sticker", "read", picture], home);
    expect(blind).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/pictures need the package sharp.*npm install/),
    });
  }, 120_000);
});

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** What an outer `npm run` and vitest tell their children, and a stranger's shell does not. */
const notAStrangers =
  /^(npm_lifecycle_|npm_package_|npm_config_local_prefix|npm_command|npm_execpath|npm_node_execpath|INIT_CWD|NODE_ENV|NODE_OPTIONS|NODE_PATH|VITEST|FORCE_COLOR|NO_COLOR)/;

function run(command: string, argv: readonly string[], cwd: string): Promise<Ended> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !notAStrangers.test(name)));
  return new Promise((resolve) => {
    execFile(command, [...argv], { cwd, env, timeout: 150_000 }, (fault, stdout, stderr) =>
      resolve({ code: fault === null ? 0 : (fault.code ?? fault.signal), stdout, stderr }),
    );
  });
}

async function mustRun(command: string, argv: readonly string[], cwd: string): Promise<void> {
  const ended = await run(command, argv, cwd);
  if (ended.code !== 0) throw new Error(`${command} ${argv.join(" ")} ended with ${ended.code}:\n${ended.stderr}`);
}
