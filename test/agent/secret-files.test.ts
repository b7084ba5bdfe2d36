import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../agent/config.ts";
import { digestSecrets, findSecretFaults, secretFilesOf } from "../../agent/secret-files.ts";
import { formatMistake } from "../../protocol/site/document.ts";

let folder: string;
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-secrets-"));
  await chmod(folder, 0o755);
  await writeFile(file("open"), "secret", { mode: 0o644 });
  await chmod(file("open"), 0o644);
  await writeFile(file("group"), "secret", { mode: 0o640 });
  await mkdir(file("shut"), { mode: 0o700 });
  await writeFile(join(file("shut"), "open"), "secret");
  await chmod(join(file("shut"), "open"), 0o644);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("secrets from files", () => {
  it("finds every setting that names one, in lists and sections too", () => {
    const config = {
      upstream: { passwordFile: "/a", tls: { keyFile: "/b", caFile: "/c" } },
      links: [{ tokenFile: "/d" }],
      url: "/e",
    };
    expect(secretFilesOf(config)).toEqual([
      { path: ["upstream", "passwordFile"], file: "/a" },
      { path: ["upstream", "tls", "keyFile"], file: "/b" },
      { path: ["links", 0, "tokenFile"], file: "/d" },
    ]);
  });

  it("[G53] a secret that everybody on the machine can reach is a mistake; the owner's, the group's and one behind a shut folder is none", async () => {
    const names = ["open", "group", "shut/open", "none"];
    const faults = await findSecretFaults(names.map((name) => ({ path: [name], file: file(name) })));
    expect(faults.map(({ path, code }) => [path[0], code])).toEqual([
      ["open", "readable-by-all"],
      ["none", "missing"],
    ]);
  });

  it("[G53] it is said with its line like any mistake; one that is not there only to who asks", async () => {
    const config = async (passwordFile: string): Promise<string> => {
      const lines = ["site: abc", "gateway: gateway-a", "stateDir: s", "upstream:", "  url: mqtt://a"];
      await writeFile(file("gateway.yaml"), [...lines, `  passwordFile: ${passwordFile}`].join("\n"));
      return file("gateway.yaml");
    };
    const mistakes = async (path: string, needsSecrets: boolean): Promise<readonly string[]> => {
      const read = await loadConfig(path, { needsSecrets });
      return read.ok || read.fault.code !== "document-mistakes" ? [] : read.fault.mistakes.map(formatMistake);
    };
    expect(await mistakes(await config("open"), false)).toEqual([
      expect.stringMatching(/^6:17 upstream\.passwordFile: expected a file that not everybody .*chmod o-rwx/),
    ]);
    expect(await mistakes(await config("none"), false)).toEqual([]);
    expect(await mistakes(await config("none"), true)).toEqual([
      expect.stringMatching(/^6:17 upstream\.passwordFile: .*none, which is not there$/),
    ]);
    expect(await mistakes(await config("group"), true)).toEqual([]);
  });

  it("another content is another digest, and so is a content that moved to another file", async () => {
    const secrets = ["group", "shut/open"].map((name) => ({ path: [name], file: file(name) }));
    const before = await digestSecrets(secrets);
    expect(await digestSecrets(secrets)).toBe(before);
    await writeFile(file("group"), "secret2");
    expect(await digestSecrets(secrets)).not.toBe(before);
  });
});
