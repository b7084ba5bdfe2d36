/** `doorlink device add`: the card as text, as a picture and on standard input, and what the operator hears of each outcome. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import QRCode from "qrcode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AgentClient, AgentFault } from "../../../agent/commands/agent-client.ts";
import { pairText, runDeviceAdd, wayOut } from "../../../agent/commands/device-add.ts";
import type { PairAnswerView } from "../../../agent/http/views.ts";
import { failed } from "../../../protocol/base/result.ts";
import { formatSetupCode } from "../../../protocol/wire/setup-code.ts";
import { seededBytes } from "../../world/lossy-link.ts";

const code = formatSetupCode({
  lockPublicKey: seededBytes(1, 32),
  secret: seededBytes(2, 16),
  rootFingerprint: seededBytes(3, 16),
});
const answer: PairAnswerView = {
  device: "lobby-lock",
  pairingId: "06".repeat(16),
  address: "C0:FF:EE:00:00:02",
  model: "C2",
  firmware: "2.3.1",
  hardware: "rev-c",
  confirmed: true,
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-device-add-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}

/** The command with an agent that answers so; what it sent, said and gave back. */
async function run(
  path: string,
  options: {
    readonly answer?: object;
    readonly fault?: AgentFault;
    readonly json?: boolean;
    readonly address?: string;
  } = {},
) {
  const sent: { readonly path: string; readonly body: object }[] = [];
  const client: AgentClient = {
    get: () => Promise.reject(new Error("nothing is read")),
    post: async (to, body, schema) => {
      sent.push({ path: to, body });
      if (options.fault !== undefined) return failed(options.fault);
      return { ok: true, value: schema.parse(options.answer ?? answer) };
    },
  };
  let out = "";
  let warned = "";
  const { address } = options;
  const exitCode = await runDeviceAdd(
    { device: "lobby-lock", code: path, ...(address === undefined ? {} : { address }) },
    {
      client,
      json: options.json ?? false,
      write: (text) => {
        out += text;
      },
      warn: (text) => {
        warned += text;
      },
    },
  );
  // Whatever came of it, the card's secret is on no screen.
  expect(`${out}${warned}`).not.toContain(code.slice(20, 40));
  return { exitCode, out, warned, sent };
}

const asked = [{ path: "/api/pair", body: { device: "lobby-lock", code } }];

describe("the card", () => {
  it.each([
    ["as it is", code],
    ["with the end of its line", `${code}\n`],
    ["from a machine that ends lines otherwise", `${code}\r\n`],
    ["with blanks behind it", `${code}   \n\n`],
  ])("[Z6] as text, %s", async (_what, text) => {
    expect(await run(file("card.txt", text))).toMatchObject({ exitCode: 0, warned: "", sent: asked });
  });

  it.each(["png", "photo.bin"])("[Z6] as a picture of its symbol, whatever the file is called (%s)", async (name) => {
    const picture = await QRCode.toBuffer(code, { margin: 4, scale: 4 });
    expect(await run(file(name, picture))).toMatchObject({ exitCode: 0, warned: "", sent: asked });
  });

  it("goes with the address that the operator says", async () => {
    const address = "C0:FF:EE:00:00:09";
    const { sent } = await run(file("card.txt", code), { address });
    expect(sent).toEqual([{ path: "/api/pair", body: { device: "lobby-lock", code, address } }]);
  });

  it.each<[string, () => string | Promise<string>, RegExp]>([
    ["is not there", () => join(folder, "nowhere"), /^doorlink: cannot read .*nowhere\n$/],
    ["is a folder", () => folder, /^doorlink: cannot read /],
    ["is empty", () => file("empty", ""), /neither the text of a setup code .* nor a picture of one/],
    ["is some other text", () => file("letter", "Dear tenant"), /neither the text/],
    ["is a picture of nothing", async () => file("blank.png", await blankPicture()), /neither the text/],
    [
      "is a picture of another symbol",
      async () => file("other.png", await QRCode.toBuffer("https://door.example/p/1", { margin: 4, scale: 4 })),
      /holds no good setup code: not-a-setup-code\n$/,
    ],
    [
      "is a picture that was cut off",
      async () => file("cut.png", (await QRCode.toBuffer(code)).subarray(0, 200)),
      /neither/,
    ],
    [
      "has one letter wrong",
      () => file("wrong", `${code.slice(0, 30)}${code[30] === "0" ? "1" : "0"}${code.slice(31)}`),
      /: setup-code-check\n$/,
    ],
    ["is cut short", () => file("short", code.slice(0, 9 + 64)), /: setup-code-length\n$/],
    ["goes on and on", () => file("long", `${code}${code}`), /: setup-code-too-long\n$/],
    ["has two cards in it", () => file("two", `${code}\n${code}\n`), /holds no good setup code/],
    ["is larger than any picture of a card", () => file("huge", new Uint8Array(33 * 1024 * 1024)), /is larger than/],
  ])("a file that %s is the caller's mistake, and nothing is asked of the agent", async (_what, path, said) => {
    const { exitCode, out, warned, sent } = await run(await path());
    expect([exitCode, out, sent]).toEqual([2, "", []]);
    expect(warned).toMatch(said);
  });
});

async function blankPicture(): Promise<Uint8Array> {
  const white = { dark: "#ffffffff", light: "#ffffffff" };
  return QRCode.toBuffer("nothing", { margin: 4, scale: 4, color: white });
}

describe("what came of it", () => {
  it("paired: 0, and which lock it is now", async () => {
    const { exitCode, out } = await run(file("card.txt", code));
    expect(exitCode).toBe(0);
    expect(out).toBe(pairText(answer));
    expect(out).toMatch(/^lock +lobby-lock: paired$/m);
    expect(out).toMatch(/^firmware +2\.3\.1 \(hardware rev-c\)$/m);
  });

  it("paired and not confirmed: 1, and that the next visit tells", async () => {
    const { exitCode, out } = await run(file("card.txt", code), { answer: { ...answer, confirmed: false } });
    expect(exitCode).toBe(1);
    expect(out).toMatch(/paired, not confirmed upstream yet: its next visit tells/);
  });

  it("for a machine: the answer as it is, and nothing else on that stream", async () => {
    const { exitCode, out, warned } = await run(file("card.txt", code), { json: true });
    expect([exitCode, warned]).toEqual([0, ""]);
    expect(JSON.parse(out)).toEqual(answer);
    const refused = await run(file("card.txt", code), { json: true, fault: refusal(502, "handshake") });
    expect([refused.exitCode, refused.out]).toEqual([1, ""]);
  });

  const refusal = (status: number, fault: string, reason?: string): AgentFault => ({
    code: "refused",
    status,
    fault,
    ...(reason === undefined ? {} : { reason }),
  });

  it.each<[AgentFault, number, RegExp]>([
    [
      refusal(502, "authority", "not-open"),
      1,
      /ask who manages the site to open the pairing of lobby-lock; .* an hour/,
    ],
    [refusal(502, "handshake", "no-progress"), 1, /the card is of another lock, or .* needs a factory reset first/],
    [refusal(409, "no-address"), 1, /--address/],
    [refusal(502, "unconfirmed", "link-lost"), 1, /doorlink sync lobby-lock tells; if it does not, add it again/],
    [refusal(504, "not-found"), 1, /go near it, wake it by touch/],
    [refusal(502, "authority", "wrong-model"), 1, /^doorlink: authority: wrong-model\n$/],
    [refusal(502, "refused", "root-mismatch"), 1, /^doorlink: refused: root-mismatch\n$/],
    [refusal(404, "unknown-device"), 2, /^doorlink: unknown-device\n$/],
    [refusal(400, "bad-request"), 2, /^doorlink: bad-request\n$/],
    [{ code: "not-running", url: "http://127.0.0.1:1" }, 3, /no agent answers at/],
    [{ code: "not-understood", url: "http://127.0.0.1:1" }, 3, /not this version's agent/],
  ])("%o", async (fault, exitCode, said) => {
    const ran = await run(file("card.txt", code), { fault });
    expect([ran.exitCode, ran.out]).toEqual([exitCode, ""]);
    expect(ran.warned).toMatch(said);
  });

  it("a way out is said where there is one that the operator can go", () => {
    expect(wayOut("authority", "no-answer", "a")).toBeUndefined();
    expect(wayOut("protocol", undefined, "a")).toBeUndefined();
    expect(wayOut("unconfirmed", undefined, "lock-a")).toContain("doorlink sync lock-a");
  });
});

describe("the command itself", () => {
  const front = fileURLToPath(new URL("../../../agent/front.js", import.meta.url));

  /** `doorlink ARGS` as a process, with this on its standard input. */
  async function doorlink(args: readonly string[], input: string) {
    const child = spawn(process.execPath, [front, ...args]);
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += chunk;
    });
    child.stderr.on("data", (chunk) => {
      said += chunk;
    });
    child.stdin.end(input);
    const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { exitCode, said };
  }

  it("[Z6] reads the card from standard input, where no other user of the machine sees it", {
    timeout: 20_000,
  }, async () => {
    const args = ["--agent", "http://127.0.0.1:9", "device", "add", "lobby-lock", "--ble", "--code", "-"];
    const good = await doorlink(args, `${code}\n`);
    expect(good).toMatchObject({ exitCode: 3, said: expect.stringContaining("no agent answers") });
    const bad = await doorlink(args, "rubbish");
    expect(bad).toMatchObject({ exitCode: 2, said: expect.stringContaining("standard input is neither") });
    expect(`${good.said}${bad.said}`).not.toContain(code.slice(20, 40));
  });
});
