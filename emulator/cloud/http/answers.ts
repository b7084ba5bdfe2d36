/** How routes read what they are given and answer what cannot be done. */
import type { FastifyReply } from "fastify";
import type { z } from "zod";

/** Reads a body, a query or parameters by a schema; what does not fit answers 422 with every mistake, values not repeated. */
export function readInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  reply: FastifyReply,
): z.output<Schema> | undefined {
  const read = schema.safeParse(input ?? {});
  if (read.success) return read.data;
  const mistakes = read.error.issues.map(({ path, message }) => ({ path: path.join("."), expected: message }));
  reply.code(422).send({ code: "bad-input", mistakes });
  return undefined;
}

/** Answers a fault of the authority: 404 for what is not there, 409 for what cannot be now. */
export function sendFault(reply: FastifyReply, fault: { readonly code: string }): FastifyReply {
  return reply.code(fault.code.startsWith("no-such") ? 404 : 409).send(fault);
}
