/**
 * A tar archive of a few text files: POSIX.1-1988 `ustar`, regular files only. Forty lines in place of a dependency, because the format is
 * older than any library for it and the test reads it with Debian's tar.
 */
import { assert } from "../../protocol/base/result.ts";

export interface TarFile {
  /** At most 100 bytes of ASCII. */
  readonly name: string;
  readonly text: string;
}

/** The archive's bytes; every file has the same owner (nobody) and the same time. */
export function packTar(files: readonly TarFile[], unixSeconds: number): Uint8Array {
  const blocks = files.flatMap(({ name, text }) => {
    const body = new TextEncoder().encode(text);
    const padding = new Uint8Array((BLOCK_BYTES - (body.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [header(name, body.length, unixSeconds), body, padding];
  });
  // Two empty blocks end an archive.
  return Buffer.concat([...blocks, new Uint8Array(2 * BLOCK_BYTES)]);
}

function header(name: string, size: number, unixSeconds: number): Uint8Array {
  assert(/^[\x21-\x7e]{1,100}$/.test(name), "a name in an archive is 1 to 100 printable characters");
  const block = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, text: string): void => block.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, digits: number): string => `${Math.floor(value).toString(8).padStart(digits, "0")}\0`;
  put(0, name);
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(Math.max(0, unixSeconds), 11));
  put(148, " ".repeat(8));
  put(156, "0");
  put(257, "ustar\u000000");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

const BLOCK_BYTES = 512;
