/**
 * People out of what leaves the house in a diagnostic archive: each person of this site becomes `person-` and eight hex digits that mean
 * nothing outside of this one archive, whoever asks for another gets others. SPEC G37.
 */
import { bytesToHex, utf8 } from "../../protocol/base/bytes.ts";
import { hmacSha256 } from "../../protocol/crypto.ts";

export interface KnownPerson {
  readonly id: string;
  readonly name: string;
}

export class Pseudonyms {
  readonly #key: Uint8Array;
  readonly #pattern: RegExp | undefined;
  readonly #idByWord = new Map<string, string>();

  /** `key`: fresh random bytes for each archive. */
  constructor(people: readonly KnownPerson[], key: Uint8Array) {
    this.#key = key;
    for (const { id, name } of people) {
      this.#idByWord.set(id, id);
      // A name of one letter stands in too many words to be told from them.
      if (name.length > 1) this.#idByWord.set(name, id);
    }
    // Longest first, so that "Ana Reyes-Lund" is not left as a pseudonym and "-Lund".
    const words = [...this.#idByWord.keys()].sort((left, right) => right.length - left.length).map(escapePattern);
    if (words.length > 0)
      this.#pattern = new RegExp(`(?<![\\p{L}\\p{N}-])(?:${words.join("|")})(?![\\p{L}\\p{N}-])`, "gu");
  }

  of(person: string): string {
    return `person-${bytesToHex(hmacSha256(this.#key, utf8(person))).slice(0, 8)}`;
  }

  /** Free text without the people of this site, e-mail addresses, and users and passwords in addresses. */
  scrub(text: string): string {
    const named =
      this.#pattern === undefined
        ? text
        : text.replace(this.#pattern, (word) => this.of(this.#idByWord.get(word) ?? word));
    return named.replace(userInfo, "://(removed)@").replace(email, "(e-mail)");
  }
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

const userInfo = /:\/\/[^\s/@"]{1,200}@/g;
const email = /[^\s@"<>(),:;]{1,64}@[^\s@"<>(),:;/]{1,190}\.[A-Za-z]{2,}/g;
