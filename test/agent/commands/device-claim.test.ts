/** `doorlink device add --mqtt`, `list`, `show` and `revoke` as text: what the operator reads, and the exit codes. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentClient, AgentFault } from "../../../agent/commands/agent-client.ts";
import type { CommandContext } from "../../../agent/commands/command.ts";
import { runDeviceClaim } from "../../../agent/commands/device-claim.ts";
import { createProgram } from "../../../agent/main.ts";
import { formatClaim } from "../../../protocol/wire/claim-string.ts";

const claim = formatClaim({
  serial: "R29-5501",
  code: new Uint8Array(16).fill(5),
  authorityHash: new Uint8Array(32).fill(6),
});
const answer = { device: "gate-panel", serial: "R29-5501", claim, expiresAt: 1_800_000_000, names: ["gw"], port: 8883 };

let folder: string;
let out: string;
let err: string;
let asked: unknown[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "claim-"));
  out = "";
  err = "";
  asked = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

function context(fault?: AgentFault): CommandContext {
  const client: AgentClient = {
    get: async () => {
      throw new Error("nothing is read");
    },
    post: async (path, body, schema) => {
      asked.push([path, body]);
      return fault === undefined ? { ok: true, value: schema.parse(answer) } : { ok: false, fault };
    },
  };
  return {
    client,
    json: false,
    write: (text) => {
      out += text;
    },
    warn: (text) => {
      err += text;
    },
  };
}

describe("doorlink device add --mqtt", () => {
  it("[I1] prints the claim string, for how long and where to, and on demand as a symbol", async () => {
    expect(await runDeviceClaim({ device: "gate-panel", qr: true, serial: "R29-5501", minutes: "5" }, context())).toBe(
      0,
    );
    expect(asked).toEqual([["/api/claims", { device: "gate-panel", serial: "R29-5501", minutes: 5 }]]);
    expect(out).toContain(`claim   ${claim}\n`);
    expect(out).toContain("until   2027-01-15 08:00:00 UTC, for one device, once\n");
    expect(out).toContain("broker  mqtts://gw:8883\n");
    expect(out).toMatch(/[▀▄█]{10}/);
  });

  it("[I5] writes the symbol for its owner alone, and never over a file", async () => {
    const file = join(folder, "claim.png");
    expect(await runDeviceClaim({ device: "gate-panel", qr: false, out: file }, context())).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await runDeviceClaim({ device: "gate-panel", qr: false, out: file }, context())).toBe(0);
    expect(err).toContain("cannot write");
  });

  it.each([
    ["no-tls", /set broker\.tls/],
    ["no-serial", /--serial/],
    ["clock-not-trusted", /connect it upstream or to a time server/],
  ])("says what to do about %s", async (code, way) => {
    const fault: AgentFault = { code: "refused", status: 409, fault: code };
    expect(await runDeviceClaim({ device: "gate-panel", qr: false }, context(fault))).toBe(1);
    expect(err).toMatch(way);
  });

  it.each(["0", "x", "1.5", "99999"])("takes no --minutes of %s", async (minutes) => {
    expect(await runDeviceClaim({ device: "gate-panel", qr: false, minutes }, context())).toBe(2);
    expect(asked).toEqual([]);
  });

  it.each([
    [["gate-panel"], /say --ble .* or --mqtt/],
    [["gate-panel", "--ble"], /--code/],
    [["gate-panel", "--ble", "--code", "-", "--qr"], /go with --mqtt/],
    [["gate-panel", "--mqtt", "--code", "-"], /go with --ble/],
  ] as const)("%j is a usage mistake", async (args, what) => {
    const program = await createProgram(() => undefined);
    let said = "";
    program.configureOutput({
      writeErr: (text) => {
        said += text;
      },
    });
    await expect(program.parseAsync(["device", "add", ...args], { from: "user" })).rejects.toMatchObject({
      exitCode: 2,
    });
    expect(said).toMatch(what);
  });
});
