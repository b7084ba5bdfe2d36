/**
 * A person taken out of everything that this gateway keeps.
 *
 * Theory. Their entries in the door log keep name, time and kind and lose who it was; what the authority has not receipted yet goes up
 * whole first, because the record is the authority's, and loses it then. Out of the authority's documents the person goes at once:
 * out of the list of people, and out of the revocations, where an exposure without a name stays. What comes later must not bring the
 * name back, so a keyed hash of it is kept: of whom it is can be tried, not read. What the authority signed cannot be changed here: a
 * networked device's policy names whom it lets in, until the authority signs one that does not, and sealed entries nobody here can
 * read. Both are counted. SPEC M30-M32.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { base64ToBytes, bytesToBase64, bytesToHex, utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { hmacSha256 } from "../../protocol/crypto.ts";
import { desiredSchema } from "../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../protocol/wire/payload.ts";
import type { Store } from "../ports/store.ts";
import { readDocumentBody } from "../store/document-body.ts";
import { bodyToWire } from "../store/event-body.ts";

export interface ErasuresOptions {
  readonly gateway: DeviceId;
  readonly store: Pick<Store, "readLog" | "erasePerson" | "putDocuments" | "readDocuments">;
  readonly nowMs: () => UnixMs;
  readonly after: (delayMs: number, action: () => void) => unknown;
  readonly onStoreError: (error: unknown) => void;
  /** Takes a document of the authority again, changed; what it says is in force and on disk then. */
  readonly retake: (device: DeviceId, payload: Uint8Array) => Promise<void>;
}

export interface ErasureDone {
  /** Entries that lost who it was, now. */
  readonly events: number;
  /** Entries that are looked at when the authority has receipted them, of this person or not. */
  readonly waiting: number;
  /** Policies that the authority signed for networked devices and that name the person or a credential of theirs. */
  readonly signed: number;
}

/** What anybody may be told of it. */
export interface ErasureStatus {
  readonly people: number;
  readonly lastAtMs: UnixMs | null;
}

const keptSchema = z.object({
  key: z.string().refine((text) => base64ToBytes(text)?.length === KEY_BYTES),
  people: z.array(z.string()),
  lastAtMs: z.number().nullable(),
  late: z.array(z.object({ person: z.string(), credentials: z.array(z.string()) })).default([]),
});

interface NamingEvent {
  readonly person?: string | undefined;
  readonly credential?: string | undefined;
}

export class Erasures {
  readonly #options: ErasuresOptions;
  #key: Uint8Array | undefined;
  #tags = new Set<string>();
  #lastAtMs: UnixMs | null = null;
  /** Named by entries that came after the erasure, with the credentials beside them. */
  readonly #lateByPerson = new Map<string, Set<string>>();
  #rests = false;

  constructor(options: ErasuresOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const { store, gateway } = this.#options;
    const document = (await store.readDocuments("erasure")).find(({ device }) => device === gateway);
    const kept = document === undefined ? undefined : readDocumentBody(keptSchema, document);
    if (kept === undefined) return;
    this.#key = base64ToBytes(kept.key);
    this.#tags = new Set(kept.people);
    this.#lastAtMs = kept.lastAtMs as UnixMs | null;
    for (const { person, credentials } of kept.late) this.#lateByPerson.set(person, new Set(credentials));
    await this.#eraseLate();
  }

  status(): ErasureStatus {
    return { people: this.#tags.size, lastAtMs: this.#lastAtMs };
  }

  isErased(person: string): boolean {
    return this.#key !== undefined && this.#tags.size > 0 && this.#tags.has(tagOf(this.#key, person));
  }

  /** Fulfilled when nothing here names the person any more, but for what waits and what is signed. Again: what is left is done. */
  async erase(person: string, known: readonly string[] = []): Promise<ErasureDone> {
    const { store, retake } = this.#options;
    await this.#remember(person);
    const credentials = [...new Set([...known, ...(await this.#credentialsOf(person))])];
    let signed = 0;
    for (const { device, body } of await store.readDocuments("desired")) {
      const before = utf8(body);
      const redacted = this.redact(before);
      if (redacted !== before) await retake(device, redacted);
      if (namesInPolicy(redacted, [person, ...credentials])) signed += 1;
    }
    const { erased, waiting } = await store.erasePerson(person, credentials);
    return { events: erased, waiting, signed };
  }

  /**
   * Events came: what they say of an erased person goes the same way. An order walks through a whole log, so one is given a minute at the
   * most, whatever a device says.
   */
  async noteEvents(events: readonly NamingEvent[]): Promise<void> {
    let isNew = false;
    for (const { person, credential } of events) {
      if (person === undefined || !this.isErased(person)) continue;
      const credentials = this.#lateByPerson.get(person) ?? new Set();
      this.#lateByPerson.set(person, credentials);
      if (credential !== undefined && credentials.size < CREDENTIALS_LIMIT) credentials.add(credential);
      isNew = true;
    }
    if (!isNew) return;
    if (this.#rests) await this.#keep();
    else await this.#eraseLate();
  }

  async #eraseLate(): Promise<void> {
    const late = [...this.#lateByPerson];
    this.#lateByPerson.clear();
    if (late.length === 0) return;
    this.#rests = true;
    this.#options.after(REST_MS, () => {
      this.#rests = false;
      this.#eraseLate().catch(this.#options.onStoreError);
    });
    for (const [person, credentials] of late) await this.#options.store.erasePerson(person, [...credentials]);
    await this.#keep();
  }

  /** A document of the authority without the people who were erased; the same bytes when it names none. */
  redact(payload: Uint8Array): Uint8Array {
    if (this.#tags.size === 0) return payload;
    const read = parsePayload(desiredSchema, payload);
    // What is at fault is refused as it is.
    if (!read.ok) return payload;
    const text = new TextDecoder().decode(payload);
    const document: unknown = JSON.parse(text);
    return this.#withoutPeople(document) ? utf8(JSON.stringify(document)) : payload;
  }

  /** Changes the document; true: it named somebody. */
  #withoutPeople(document: unknown): boolean {
    if (typeof document !== "object" || document === null) return false;
    const { people, revocations } = document as { people?: { id: string }[]; revocations?: { person: string }[] };
    let named = false;
    if (people !== undefined) {
      const left = people.filter(({ id }) => !this.isErased(id));
      named = left.length < people.length;
      Object.assign(document, { people: left });
    }
    for (const revocation of revocations ?? []) {
      if (!this.isErased(revocation.person)) continue;
      revocation.person = NOBODY;
      named = true;
    }
    return named;
  }

  /** On disk before anything is taken out, so that nothing brings the name back meanwhile. */
  async #remember(person: string): Promise<void> {
    this.#key ??= new Uint8Array(randomBytes(KEY_BYTES));
    this.#tags.add(tagOf(this.#key, person));
    this.#lastAtMs = this.#options.nowMs();
    await this.#keep();
  }

  async #keep(): Promise<void> {
    const { store, gateway } = this.#options;
    if (this.#key === undefined) return;
    const kept: z.input<typeof keptSchema> = {
      key: bytesToBase64(this.#key),
      people: [...this.#tags],
      lastAtMs: this.#lastAtMs,
      // Whom an entry names that waits for its order; the order given, nobody.
      late: [...this.#lateByPerson].map(([person, credentials]) => ({ person, credentials: [...credentials] })),
    };
    await store.putDocuments([{ kind: "erasure", device: gateway, body: JSON.stringify(kept) }]);
  }

  /** The gateway is not told whose a credential is: what the log says of it has to do. */
  async #credentialsOf(person: string): Promise<readonly string[]> {
    const credentials = new Set<string>();
    let after: string | undefined;
    do {
      const page = await this.#options.store.readLog({ limit: PAGE, person, after });
      for (const { body } of page.events) {
        const { credential } = bodyToWire(body);
        if (credential !== undefined) credentials.add(credential);
      }
      after = page.next ?? undefined;
    } while (after !== undefined && credentials.size < CREDENTIALS_LIMIT);
    return [...credentials];
  }
}

function tagOf(key: Uint8Array, person: string): string {
  return bytesToHex(hmacSha256(key, utf8(person)));
}

/** A policy is CBOR, and an id stands in it as its own bytes. */
function namesInPolicy(payload: Uint8Array, ids: readonly string[]): boolean {
  const read = parsePayload(desiredSchema, payload);
  if (!read.ok || read.value.kind !== "device") return false;
  const bundle = Buffer.from(read.value.bundle);
  return ids.some((id) => bundle.includes(idInCbor(id)));
}

/** RFC 8949: a text of less than 24 bytes has its length in the first byte, of less than 256 in the second. */
function idInCbor(id: string): Buffer {
  const text = Buffer.from(id);
  const head = text.length < 24 ? [0x60 + text.length] : [0x78, text.length];
  return Buffer.concat([Buffer.from(head), text]);
}

/** In the place of an erased person, where there must be somebody. */
export const NOBODY = "erased";
const KEY_BYTES = 32;
const PAGE = 500;
const CREDENTIALS_LIMIT = 1_000;
const REST_MS = 60_000;
