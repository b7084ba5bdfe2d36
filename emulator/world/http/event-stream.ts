/**
 * Server-sent events: one for each change in the world. A listener that does not read is cut off instead of being waited for;
 * its browser connects again and gets everything anew.
 */
import type { FastifyReply, FastifyRequest } from "fastify";

export class EventStream {
  readonly #listeners = new Set<FastifyReply["raw"]>();

  /** Takes the connection over; false when there are too many. */
  open(request: FastifyRequest, reply: FastifyReply): boolean {
    if (this.#listeners.size >= LISTENERS_MAX) return false;
    reply.hijack();
    const response = reply.raw;
    response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      connection: "keep-alive",
    });
    response.write("retry: 1000\n\n");
    this.#listeners.add(response);
    request.raw.on("close", () => this.#listeners.delete(response));
    return true;
  }

  send(name: string, data: unknown): void {
    const text = `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const response of this.#listeners) {
      if (response.writableLength > BACKLOG_BYTES) {
        this.#listeners.delete(response);
        response.destroy();
      } else {
        response.write(text);
      }
    }
  }

  close(): void {
    for (const response of this.#listeners) response.end();
    this.#listeners.clear();
  }
}

const LISTENERS_MAX = 64;
const BACKLOG_BYTES = 1024 * 1024;
