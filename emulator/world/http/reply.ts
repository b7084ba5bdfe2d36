/** How the world's API answers: faults with a status, bodies read by schemas. */
import type { FastifyReply } from "fastify";
import type { z } from "zod";

/** Reads a body or query; what does not fit answers 422 with every mistake, and gives undefined. */
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

/** 404 for what is not there, 502 for a peer that is away or odd, 409 for what cannot be done now. */
export function sendFault(reply: FastifyReply, fault: { readonly code: string }): FastifyReply {
  const status = fault.code.startsWith("no-such") ? 404 : fault.code.startsWith("cloud-") ? 502 : 409;
  return reply.code(status).send(fault);
}
