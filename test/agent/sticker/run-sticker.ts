/** `doorlink sticker ...` in this process, against answers of a running agent that a test makes up. */
import { Command } from "commander";
import type { StickerCommandDeps } from "../../../agent/sticker/command-parts.ts";
import { registerStickerCommands } from "../../../agent/sticker/commands.ts";
import { panels } from "./sticker-files.ts";

export type AgentAnswers = Partial<Pick<StickerCommandDeps, "fetchPanels" | "changeSticker" | "noteCheck">>;

export const checkedAtMs = 1_790_000_000_000;

/** Runs the words after `sticker`. commander's own usage mistakes, which the front ends with 2, end with 2 here. */
export async function runSticker(words: readonly string[], answers: AgentAnswers = {}) {
  let [out, warned, exit] = ["", "", -1];
  const warn = (text: string): void => {
    warned += text;
  };
  const program = new Command().exitOverride().configureOutput({ writeErr: warn });
  registerStickerCommands(program, {
    fetchPanels: async () => panels,
    changeSticker: async () => ({ ok: false, fault: { code: "authority-silent", reason: "unreachable" } }),
    ...answers,
    nowMs: () => checkedAtMs,
    write: (text) => {
      out += text;
    },
    warn,
    finish: (exitCode) => {
      exit = exitCode;
    },
  });
  for (const command of program.commands[0]?.commands ?? []) {
    command.exitOverride().configureOutput({ writeErr: warn });
  }
  await program.parseAsync(["sticker", ...words], { from: "user" }).catch((error: { code?: string }) => {
    if (error.code?.startsWith("commander.") !== true) throw error;
    exit = 2;
  });
  return { out, warned, exit };
}
