/**
 * The house rules a machine can hold. Each check first shows on a made-up file that it names the offender,
 * then that this tree has none. What biome and the compiler hold already is not here.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { doubleAssertionFaults, unrunTestFaults } from "./tidy/habits.ts";
import { machineTraceFaults, topLevelFaults } from "./tidy/house.ts";
import {
  circleFaults,
  computedImportFaults,
  directionFaults,
  isShipped,
  type Manifest,
  undeclaredPackageFaults,
} from "./tidy/imports.ts";
import { impurityFaults } from "./tidy/pure-protocol.ts";
import { parseSources, readHouse, source } from "./tidy/sources.ts";
import { specRuleFaults } from "./tidy/spec-rules.ts";

const top = fileURLToPath(new URL("..", import.meta.url));
const files = readHouse(top);
const sources = parseSources(files);
const manifest: Manifest = JSON.parse(readFileSync(join(top, "package.json"), "utf8"));

it("every source is TypeScript that parses", () => {
  const broken = source("agent/broken.ts", "const = 1;");
  expect(broken.parsed.errors.length).toBeGreaterThan(0);
  expect(sources.filter((file) => file.parsed.errors.length > 0).map((file) => file.path)).toEqual([]);
});

describe("import direction", () => {
  const cases: readonly (readonly [path: string, text: string, named: string | undefined])[] = [
    ["agent/a.ts", `import { x } from "../emulator/b.ts";`, "agent/a.ts:1: imports emulator/b.ts"],
    ["agent/a.ts", `\nimport type { X } from "../emulator/b.ts";`, "agent/a.ts:2: imports emulator/b.ts"],
    ["emulator/a.ts", `export * from "../agent/b.ts";`, "emulator/a.ts:1: imports agent/b.ts"],
    ["emulator/a.ts", `export type X = import("../agent/b.ts").X;`, "emulator/a.ts:1: imports agent/b.ts"],
    ["agent/a.ts", `const b = await import("../emulator/b.ts");`, "agent/a.ts:1: imports emulator/b.ts"],
    ["agent/a.ts", `new URL("../emulator/b.ts", import.meta.url)`, "agent/a.ts:1: imports emulator/b.ts"],
    ["protocol/wire/a.ts", `import "../../agent/b.ts";`, "protocol/wire/a.ts:1: imports agent/b.ts"],
    ["agent/a.ts", `import "../scripts/b.ts";`, "agent/a.ts:1: imports scripts/b.ts"],
    ["scripts/a.ts", `import "../test/b.ts";`, "scripts/a.ts:1: imports test/b.ts"],
    ["test/a.test.ts", `import "../scripts/b.ts";`, "test/a.test.ts:1: imports scripts/b.ts"],
    ["agent/a.ts", `import "../protocol/index.ts";`, "agent/a.ts:1: imports protocol/index.ts"],
    ["protocol/base/a.ts", `import "../crypto.ts";`, "protocol/base/a.ts:1: imports protocol/crypto.ts"],
    ["protocol/doorcode/a.ts", `import "../access/b.ts";`, "protocol/doorcode/a.ts:1: imports protocol/access/b.ts"],
    ["protocol/wire/a.ts", `import "../sticker/b.ts";`, "protocol/wire/a.ts:1: imports protocol/sticker/b.ts"],
    ["protocol/session/a.ts", `import "../sync/b.ts";`, "protocol/session/a.ts:1: imports protocol/sync/b.ts"],
    ["protocol/helpers/a.ts", `import "../base/b.ts";`, "protocol/helpers is not a room"],
    ["protocol/wire/a.ts", `import "../helpers/b.ts";`, "helpers is not below it"],
    ["protocol/crypto.ts", `import "./base/b.ts";`, undefined],
    ["protocol/sync/a.ts", `import "../session/b.ts"; import "../access/c.ts"; import "./d.ts";`, undefined],
    ["protocol/index.ts", `export * from "./diagnosis/a.ts";`, undefined],
    ["agent/a.ts", `import "../protocol/wire/b.ts"; import "./ble/c.ts"; import "node:fs";`, undefined],
    ["test/a.test.ts", `import "../agent/b.ts"; import "../emulator/c.ts"; import "./world/d.ts";`, undefined],
  ];
  it.each(cases)("%s with %s", (path, text, named) => {
    const faults = directionFaults([source(path, text)]);
    if (named === undefined) expect(faults).toEqual([]);
    else expect(faults).toEqual([expect.stringContaining(named)]);
  });

  it("row 127: holds in this tree: the agent knows no emulator, so it cannot treat an emulated device as another than a real one", () => {
    expect(directionFaults(sources)).toEqual([]);
  });
});

describe("imports that can be followed", () => {
  it("names a computed import", () => {
    expect(computedImportFaults([source("agent/a.ts", "await import(name);")])).toEqual([
      expect.stringContaining("agent/a.ts:1: computed import"),
    ]);
  });

  it("are the only ones in the shipped rooms", () => {
    expect(computedImportFaults(sources.filter(isShipped))).toEqual([]);
  });
});

describe("import circles", () => {
  it("names the way around a circle, type-only imports included, once", () => {
    const circle = [
      source("agent/a.ts", `import { b } from "./b.ts";`),
      source("agent/b.ts", `import type { C } from "./ble/c.ts";`),
      source("agent/ble/c.ts", `export { a } from "../a.ts";`),
      source("agent/d.ts", `import "./a.ts";`),
    ];
    expect(circleFaults(circle)).toEqual([
      "agent/a.ts -> agent/b.ts -> agent/ble/c.ts -> agent/a.ts: a circle of imports",
    ]);
  });

  it("takes two ways to one file for what they are", () => {
    const diamond = [
      source("agent/a.ts", `import "./b.ts"; import "./c.ts";`),
      source("agent/b.ts", `import "./d.ts";`),
      source("agent/c.ts", `import "./d.ts";`),
      source("agent/d.ts", ""),
    ];
    expect(circleFaults(diamond)).toEqual([]);
  });

  it("are nowhere in this tree", () => {
    expect(circleFaults(sources)).toEqual([]);
  });
});

describe("packages", () => {
  const declared: Manifest = { dependencies: { mqtt: "1" }, devDependencies: { "@scope/tool": "1" } };

  it("names a development package that shipped code needs, and one nobody declared", () => {
    expect(undeclaredPackageFaults([source("agent/a.ts", `import "mqtt"; import "@scope/tool/x";`)], declared)).toEqual(
      ["agent/a.ts:1: imports @scope/tool/x, and @scope/tool is not in dependencies of package.json"],
    );
    expect(undeclaredPackageFaults([source("test/a.ts", `import "@scope/tool"; import "other";`)], declared)).toEqual([
      "test/a.ts:1: imports other, and other is not in dependencies or devDependencies of package.json",
    ]);
  });

  it("are all declared in this tree", () => {
    expect(undeclaredPackageFaults(sources, manifest)).toEqual([]);
  });
});

describe("a pure protocol", () => {
  const banned: readonly (readonly [text: string, named: string])[] = [
    ["export const now = () => Date.now();", "Date is banned"],
    ["export const year = new Date(0).getFullYear();", "Date is banned"],
    ["export function f(at: Date) {}", "Date is banned"],
    ["performance.now();", "performance is banned"],
    ["Math.random();", "Math.random is banned"],
    ["Temporal.Now.instant();", "Temporal.Now is banned"],
    ["crypto.getRandomValues(bytes);", "crypto is banned"],
    ["setTimeout(wake, 5);", "setTimeout is banned"],
    ["const wait = { setInterval };", "setInterval is banned"],
    ["process.env;", "process is banned"],
    ["Buffer.from([1]);", "Buffer is banned"],
    [`fetch("x");`, "fetch is banned"],
    [`globalThis["Da" + "te"];`, "globalThis is banned"],
    [`import { readFileSync } from "node:fs";`, "imports node:fs"],
    [`import { hash } from "crypto";`, "imports crypto"],
    [`import { hash } from "node:crypto";`, "imports node:crypto"],
  ];
  it.each(banned)("names %s", (text, named) => {
    expect(impurityFaults([source("protocol/wire/a.ts", text)])).toEqual([
      expect.stringMatching(new RegExp(`^protocol/wire/a.ts:1: ${named}.*: .+`)),
    ]);
  });

  it("lets the one file touch node:crypto, own names be own, and agent do what it must", () => {
    const own = `import { crypto } from "../crypto.ts"; crypto.hash(x); entry.process; const f = { Date: 1, process: 2 };`;
    expect(impurityFaults([source("protocol/crypto.ts", `import { createHash } from "node:crypto";`)])).toEqual([]);
    expect(impurityFaults([source("protocol/wire/a.ts", own)])).toEqual([]);
    expect(impurityFaults([source("agent/clock.ts", "Date.now();")])).toEqual([]);
  });

  it("holds in this tree", () => {
    expect(impurityFaults(sources)).toEqual([]);
  });
});

describe("tests that run", () => {
  const passedOver = [
    `it.only("x", f);`,
    `describe.skip("x", f);`,
    `it.concurrent.skip("x", f);`,
    `it.todo("x");`,
    `it.skipIf(slow)("x", f);`,
    `it("x", (context) => context.skip());`,
    `xit("x", f);`,
  ];
  it.each(passedOver)("names %s", (text) => {
    expect(unrunTestFaults([source("test/a.test.ts", text)])).toEqual([
      expect.stringMatching(/^test\/a\.test\.ts:1: .*: a test runs always or is deleted$/),
    ]);
  });

  it("are all tests of this tree", () => {
    expect(unrunTestFaults([source("test/a.test.ts", `it("x", () => list.skip(2)); it.each(rows)("y", f);`)])).toEqual(
      [],
    );
    expect(unrunTestFaults(sources)).toEqual([]);
  });
});

describe("types that are not given up", () => {
  it("names a double assertion", () => {
    expect(doubleAssertionFaults([source("agent/a.ts", "const x = y as unknown as Key;")])).toEqual([
      expect.stringContaining("agent/a.ts:1: as unknown as"),
    ]);
  });

  it("are nowhere in this tree", () => {
    expect(doubleAssertionFaults(sources)).toEqual([]);
  });
});

describe("numbered rules", () => {
  const spec = { path: "protocol/SPEC.md", text: "# Rules\n\n**[A1]** One.\n\n**[A2]** Two.\n" };

  it("names a rule without a test, a title and a comment without a rule, and a rule that is there twice", () => {
    const tests = source(
      "test/a.test.ts",
      `it("[A1] one", f);\nit.each(rows)("[B7] $x", f);\ndescribe("[A2] two", f);`,
    );
    const citing = source("agent/a.ts", `// ${"SPEC"} Q4: reject.\nf();`);
    const doubled = { ...spec, text: `${spec.text}\n**[A1]** Again.\n` };
    expect(specRuleFaults(doubled, [tests, citing])).toEqual([
      "protocol/SPEC.md:7: rule A1 is there twice",
      "protocol/SPEC.md:5: rule A2 has no test whose title starts with [A2]",
      "test/a.test.ts:2: a title names rule B7, which is not in protocol/SPEC.md",
      "agent/a.ts:1: cites rule Q4, which is not in protocol/SPEC.md",
    ]);
  });

  it("finds the rules of plain, templated, tabled and shared titles", () => {
    const tests = source("test/a.test.ts", `it.each(rows)(\`[A1] [A2] of \${name}\`, f); it("no rule", f);`);
    expect(specRuleFaults(spec, [tests])).toEqual([]);
  });

  it("agree with the tests of this tree", () => {
    const own = files.find(({ path }) => path === "protocol/SPEC.md");
    expect(own === undefined ? [] : specRuleFaults(own, sources)).toEqual([]);
  });
});

describe("the top of the house and traces of one machine", () => {
  const path = (...parts: readonly string[]) => ["", ...parts].join("/");

  it("names a stranger at the top", () => {
    expect(
      topLevelFaults([
        { path: "src/a.ts", text: "" },
        { path: "agent/a.ts", text: "" },
      ]),
    ).toEqual(["src: no such name at the top of the house (DESIGN part 2)"]);
  });

  it("names a local path and a package host", () => {
    const text = `ok\nread("${path("home", "somebody", "key")}")\nfrom ${["registry", "npmjs", "org"].join(".")}\n`;
    expect(machineTraceFaults([{ path: "agent/a.ts", text }])).toEqual([
      expect.stringContaining("agent/a.ts:2: a path of one machine"),
      expect.stringContaining("agent/a.ts:3: names the package host"),
    ]);
    expect(
      machineTraceFaults([{ path: "a", text: `${path("home", "pi", "x")} http://host${path("work", "x")}` }]),
    ).toEqual([]);
  });

  it("are in order in this tree", () => {
    expect([...topLevelFaults(files), ...machineTraceFaults(files)]).toEqual([]);
  });
});
