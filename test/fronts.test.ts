/** The fronts of the two commands, each beside a made-up program: what they pass on, what they answer, where they look. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const program = `export async function runCommandLine(argv) {
  console.log(import.meta.url.split("/").slice(-2).join("/"), JSON.stringify(argv));
  if (argv[0] === "break") throw new Error("broken inside");
  return Number(argv[0] ?? 0);
}`;

describe.each([
  { room: "agent", name: "doorlink" },
  { room: "emulator", name: "doorlink-emulator" },
])("the front of $name", ({ room, name }) => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "doorlink-front-"));
    mkdirSync(join(folder, room));
    mkdirSync(join(folder, "dist", room), { recursive: true });
    writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
    cpSync(fileURLToPath(new URL(`../${room}/front.js`, import.meta.url)), join(folder, room, "front.js"));
    writeFileSync(join(folder, "dist", room, "main.js"), program);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const front = (argv: readonly string[], node: readonly string[] = []) =>
    run([...node, join(folder, room, "front.js"), ...argv]);

  it("runs the TypeScript of a checkout with its arguments and ends with its answer", async () => {
    writeFileSync(join(folder, room, "main.ts"), program);
    expect(await front(["2", "--x=y z"])).toEqual({ code: 2, stdout: `${room}/main.ts ["2","--x=y z"]\n`, stderr: "" });
  });

  it("runs what was built when there is no TypeScript beside it", async () => {
    expect(await front([])).toEqual({ code: 0, stdout: `${room}/main.js []\n`, stderr: "" });
  });

  it("tells a broken program (3) from a finding (1)", async () => {
    expect(await front(["break"])).toMatchObject({ code: 3, stderr: expect.stringContaining("broken inside") });
  });

  it("says in one line what an old Node lacks", async () => {
    const asOldNode = `data:text/javascript,Object.defineProperty(process,"versions",{value:{node:"20.1.0"}})`;
    expect(await front([], ["--import", asOldNode])).toEqual({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(
        new RegExp(`^${name}: this is Node 20\\.1\\.0, but ${name} needs Node 24 or newer: .+\n$`),
      ),
    });
  });
});

function run(argv: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...argv], { timeout: 8_000 }, (fault, stdout, stderr) =>
      resolve({ code: fault === null ? 0 : fault.code, stdout, stderr }),
    );
  });
}
