import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { registerLockCommand } from "../../emulator/lock-command.ts";

let complaints = "";

beforeEach(() => {
  complaints = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    complaints += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function run(...argv: readonly string[]): Promise<number | undefined> {
  let code: number | undefined;
  const program = new Command().exitOverride();
  registerLockCommand(program, (given) => {
    code = given;
  });
  await program.parseAsync(["lock", ...argv], { from: "user" });
  return code;
}

describe("doorlink-emulator lock", () => {
  it("says every mistake of its command line at once", async () => {
    const wrong = ["--adapter", "usb1", "--model", "R29", "--device", "X", "--door", "barn", "--seed", "one"];
    expect(await run(...wrong, "--cloud", "ftp://x", "--bus", "tcp:host=x")).toBe(2);
    const named = ["--adapter", "--model", "--device", "--door", "--seed", "--cloud", "--bus"];
    expect(complaints.trim().split("\n")).toEqual(
      named.map((option) => expect.stringMatching(`^doorlink-emulator lock: ${option}: expected .+, came ".+"$`)),
    );
    expect(complaints).toContain("C1, C2, M2, Interconnect");
  });

  it("takes no model that is not reached by Bluetooth", async () => {
    expect(await run("--model", "R2")).toBe(2);
    expect(complaints).toContain("--model");
  });

  it("tells an environment without Bluetooth from a mistake, with the way out", async () => {
    expect(await run("--bus", "unix:path=/nowhere/bus.sock")).toBe(3);
    expect(complaints).toMatch(/bus-unreachable.*ENOENT: start the system bus/);
  });
});
