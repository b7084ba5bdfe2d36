/** What every operator's command is given and gives back. */
import { type AgentClient, type AgentFault, describeAgentFault } from "./agent-client.ts";
import { exitCodes } from "./exit-codes.ts";

export interface CommandContext {
  readonly client: AgentClient;
  readonly json: boolean;
  /** To stdout. */
  readonly write: (text: string) => void;
  /** To stderr. */
  readonly warn: (text: string) => void;
}

/** One clear line, and the exit code: nobody there is the environment; a device that does not exist is the caller's mistake. */
export function complain(context: CommandContext, fault: AgentFault): number {
  context.warn(`doorlink: ${describeAgentFault(fault)}\n`);
  if (fault.code !== "refused") return exitCodes.environment;
  return fault.status >= 400 && fault.status < 409 ? exitCodes.usage : exitCodes.finding;
}

export function describeVisitFault({ code, reason }: { readonly code: string; readonly reason?: string }): string {
  return reason === undefined ? code : `${code}: ${reason}`;
}

export function writeJson(context: CommandContext, value: unknown): void {
  context.write(`${JSON.stringify(value)}\n`);
}
