/** The diagnostic archive: its form, what is in it, and who is not. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Pseudonyms } from "../../../agent/bundle/pseudonyms.ts";
import { packTar } from "../../../agent/bundle/tar.ts";
import { createAgentClient } from "../../../agent/commands/agent-client.ts";
import { runBundle } from "../../../agent/commands/bundle.ts";
import { openHttpServer } from "../../../agent/http/listen.ts";
import { RecentLog, redactedFacts } from "../../../agent/machine/recent-log.ts";
import { lockDesired, lockId, site, startGateway, tellSite } from "../../world/gateway-builder.ts";
import { measured } from "../machine/measured.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-bundle-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const people = [
  { id: "ana", name: "Ana Reyes" },
  { id: "ana-lund", name: "Ana Reyes-Lund" },
  { id: "bo", name: "Bo (2A) *" },
];
const key = new Uint8Array(32).fill(7);

describe("an archive", () => {
  it("[G37] is one that Debian's tar reads, byte for byte", async () => {
    const files = [
      { name: "a/empty.txt", text: "" },
      { name: "a/word.json", text: `{"word": "Türe", "long": "${"x".repeat(511)}"}\n` },
      { name: `a/${"n".repeat(98)}`, text: "y".repeat(1024) },
    ];
    await writeFile(join(folder, "a.tar"), packTar(files, 1_795_000_000));
    execFileSync("tar", ["-xf", "a.tar"], { cwd: folder });
    for (const { name, text } of files) expect(await readFile(join(folder, name), "utf8")).toBe(text);
    expect((await stat(join(folder, "a/empty.txt"))).mtimeMs).toBe(1_795_000_000_000);
    expect(execFileSync("tar", ["-tvf", "a.tar"], { cwd: folder, encoding: "utf8" })).toContain("-rw-------");
  });
});

describe("pseudonyms", () => {
  const pseudonyms = new Pseudonyms(people, key);

  it("[G37] take the place of names and ids, whole ones only, the longest first, the same for one person", () => {
    const ana = pseudonyms.of("ana");
    const lund = pseudonyms.of("ana-lund");
    expect(ana).toMatch(/^person-[0-9a-f]{8}$/);
    expect(pseudonyms.scrub('Ana Reyes-Lund met Ana Reyes (ana) at "banana", and Bo (2A) *.')).toBe(
      `${lund} met ${ana} (${ana}) at "banana", and ${pseudonyms.of("bo")}.`,
    );
    expect(pseudonyms.scrub("ana-lund, ana-panel, ana")).toBe(`${lund}, ana-panel, ${ana}`);
    expect(new Pseudonyms(people, new Uint8Array(32)).of("ana")).not.toBe(ana);
  });

  it("[G37] e-mail addresses, and users and passwords in addresses, go too", () => {
    expect(pseudonyms.scrub("mail kira.lund+door@mail.example now, mqtts://user:pass@host:8883 failed")).toBe(
      "mail (e-mail) now, mqtts://(removed)@host:8883 failed",
    );
    expect(new Pseudonyms([], key).scrub("nobody is known")).toBe("nobody is known");
  });

  it("[G37] whatever a name is made of, it is gone and nothing throws", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ id: fc.stringMatching(/^[a-z0-9-]{2,8}$/), name: fc.string({ minLength: 2, maxLength: 12 }) }),
        ),
        (known) => {
          const each = new Pseudonyms(known, key);
          for (const { name } of known) expect(each.scrub(`<${name}>`)).toBeTypeOf("string");
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("the log's last lines", () => {
  it("[G37] go on to where they went, and at most a thousand lines or 200,000 characters are kept", () => {
    const written: string[] = [];
    const log = new RecentLog({ write: (line) => written.push(line) });
    for (let number = 0; number < 1_500; number++) log.write(`${number}\n`);
    expect([written.length, log.lines().length, log.lines()[0]]).toEqual([1_500, 1_000, "500\n"]);
    for (let number = 0; number < 100; number++) log.write("x".repeat(10_000));
    expect(log.lines()).toHaveLength(20);
    log.write("y".repeat(300_000));
    expect(log.lines()).toEqual([]);
  });
});

describe("the log", () => {
  it("[G36] prints no fact under the name of a secret, and each line is JSON; `code` names faults and is printed", () => {
    const lines: string[] = [];
    const log = pino({ level: "info", redact: redactedFacts }, new RecentLog({ write: (line) => lines.push(line) }));
    const facts = Object.fromEntries(redactedFacts.paths.map((name) => [name, `hunter2 as ${name}`]));
    log.info({ ...facts, code: "wrong-password", device: "gate-panel" }, "refused");
    expect(lines).toHaveLength(1);
    const said: unknown = JSON.parse(lines[0] ?? "");
    expect(said).toMatchObject({ password: "(removed)", code: "wrong-password", device: "gate-panel", msg: "refused" });
    expect(lines[0]).not.toContain("hunter2");
  });
});

describe("doorlink bundle", () => {
  async function bundle(url: string, options: { readonly config?: string } = {}) {
    let said = "";
    const write = (text: string): void => {
      said += text;
    };
    const context = { client: createAgentClient(url), json: false, write, warn: write };
    const out = join(folder, "bundle.tar.gz");
    const code = await runBundle(
      { out, nowMs: Date.UTC(2026, 10, 20, 8), progress: () => undefined, ...options },
      context,
    );
    execFileSync("tar", ["-xzf", out, "--strip-components=1"], { cwd: folder });
    return { code, said, out, text: (name: string) => readFile(join(folder, name), "utf8") };
  }

  it("[G37] row 127: holds the state, the visits, the log, metrics and versions; people only as pseudonyms; for its owner alone", async () => {
    const facts = measured();
    const world = await startGateway({ automatic: false, selfSource: { measure: async () => facts } });
    await tellSite(world);
    const revocations = [{ person: "bob", since: world.clock.nowMs() / 1000 - 600, version: 2 }];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    await world.clock.advance(0);
    const recentLog = (): readonly string[] => ['{"msg":"Bob Boone came as bob, bob@mail.example"}\n'];
    const server = await openHttpServer(0, { ...world, recentLog });
    await writeFile(join(folder, "password"), "hunter2", { mode: 0o600 });
    const config = join(folder, "gateway.yaml");
    const upstream = '{url: "mqtts://host:8883", passwordFile: password}';
    await writeFile(
      config,
      `# the password is hunter2\nsite: maple-court\ngateway: gateway-main\nstateDir: state\nupstream: ${upstream}\n`,
    );
    const { code, said, out, text } = await bundle(`http://127.0.0.1:${server.port}`, { config });
    await server.close();
    expect(code).toBe(0);
    expect(said).toMatch(/bundle\.tar\.gz: \d+ kB, 8 files; look through it/);
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    const status = JSON.parse(await text("status.json"));
    expect(status.attention.alerts[0].what).toMatch(/^still lets person-[0-9a-f]{8} in \(revoked\)$/);
    expect(status.self.temperatureCelsius).toBe(48.5);
    expect(await text("metrics.txt")).toContain("doorlink_temperature_celsius 48.5\n");
    expect(JSON.parse(await text("config.json"))).toMatchObject({ upstream: { url: "mqtts://host:8883" } });
    expect(JSON.parse(await text("system.json"))).toMatchObject({ node: process.version });
    expect(JSON.parse(await text("readiness.json"))).toMatchObject({ ready: true });
    const all = execFileSync("tar", ["-xzOf", out], { encoding: "utf8" });
    for (const secret of ["hunter2", "Bob", '"bob"', "Alice", "mail.example"]) expect(all).not.toContain(secret);
    expect(await text("log.ndjson")).toMatch(/^\{"msg":"(person-[0-9a-f]{8}) came as \1, \(e-mail\)"\}\n$/);
  });

  it("[G37] each of its files is cut at 4 MiB, and says so", async () => {
    const world = await startGateway({ automatic: false });
    const recentLog = (): readonly string[] => ["x".repeat(4 * 1024 * 1024 + 1)];
    const server = await openHttpServer(0, { ...world, recentLog });
    const { code, text } = await bundle(`http://127.0.0.1:${server.port}`);
    await server.close();
    expect(code).toBe(0);
    expect((await text("log.ndjson")).slice(4 * 1024 * 1024 - 1)).toBe("x\n(cut off here)\n");
  });

  it("[G37] without an agent it holds what is left, says so, and is a finding", async () => {
    const config = join(folder, "gateway.yaml");
    await writeFile(config, "site: maple-court\nupstream: {password: hunter2}\n");
    const { code, said, out, text } = await bundle("http://127.0.0.1:9", { config });
    expect(code).toBe(1);
    expect(said).toContain("no agent answers");
    expect(await text("no-agent.txt")).toContain("doorlink run --config FILE");
    expect(await text("config-mistakes.txt")).toContain("mistakes");
    expect(execFileSync("tar", ["-xzOf", out], { encoding: "utf8" })).not.toContain("hunter2");
  });

  it("[G37] a file that is there is not written over, and a place that is not there is said", async () => {
    let said = "";
    const write = (text: string): void => {
      said += text;
    };
    const context = { client: createAgentClient("http://127.0.0.1:9"), json: false, write, warn: write };
    const options = { nowMs: 0, progress: () => undefined };
    await writeFile(join(folder, "there"), "kept");
    expect(await runBundle({ ...options, out: join(folder, "there") }, context)).toBe(3);
    expect(await readFile(join(folder, "there"), "utf8")).toBe("kept");
    expect(await runBundle({ ...options, out: join(folder, "no", "such") }, context)).toBe(3);
    expect(said).toMatch(/EEXIST.*\n.*ENOENT/);
  });
});
