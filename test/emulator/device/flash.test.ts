/** The chip under a lock's firmware: pages that are programmed and erased whole, wear, rot, and power that goes in the middle of either. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ERASE_CYCLES_LIMIT,
  FileFlash,
  FLASH_PAGES,
  MemoryFlash,
  PowerLost,
  REGION_LIMIT_BYTES,
} from "../../../emulator/device/flash.ts";
import { FLASH_PAGE_BYTES, PAGE_DATA_BYTES } from "../../../emulator/device/flash-page.ts";

/** Bytes that tell where they were taken from and which write they are of. */
function bytesOf(length: number, write: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + write * 31) & 0xff);
}

/** Does something to a chip that loses its power; whether it did. */
function isCut(act: () => void): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (!(error instanceof PowerLost)) throw error;
    return true;
  }
}

/** Every share of a page at which something else begins or ends: nothing, a part of the first header, of the data, of the last header, all. */
const shares = [0, 1, 63, 64, 65, 200, 2_048, 4_031, 4_032, 4_036, 4_040, 4_095, 4_096].map(
  (bytes) => bytes / FLASH_PAGE_BYTES,
);
const sizes = [0, 1, PAGE_DATA_BYTES, PAGE_DATA_BYTES + 1, 3 * PAGE_DATA_BYTES - 5];

/** A chip with a neighbour beside the region that a test is about. */
function chipWith(region: string, bytes: Uint8Array | undefined, copies: 1 | 2): MemoryFlash {
  const flash = new MemoryFlash();
  flash.write("neighbour", bytesOf(5_000, 9));
  if (bytes !== undefined) flash.write(region, bytes, copies);
  return flash;
}

describe.each([1, 2] as const)("power that goes, with %i copies of a record", (copies) => {
  it.each(sizes)(
    "[L20] at any program or erasure of a write over %i bytes, after any share of its page: old or new",
    (size) => {
      const [former, next] = [bytesOf(size, 1), bytesOf(3 * PAGE_DATA_BYTES - size, 2)];
      for (const before of [undefined, former]) {
        const image = chipWith("record", before, copies).image();
        const seen = new Set<string>();
        for (const share of shares) {
          for (let nth = 1; ; nth++) {
            const flash = new MemoryFlash(image);
            flash.cutPowerAtWrite(nth, share);
            const cut = isCut(() => flash.write("record", next, copies));
            const after = new MemoryFlash(flash.image());
            const place = `operation ${nth}, share ${share}`;
            const read = after.read("record");
            expect([before, next], place).toContainEqual(read);
            expect(after.read("neighbour"), place).toEqual(bytesOf(5_000, 9));
            expect(after.unnamedPages, place).toBe(0);
            seen.add(Buffer.from(read === "rotten" ? [] : (read ?? [])).toString("hex"));
            // What the cut left is gone with the first write, and the region can be written again.
            after.write("other", bytesOf(1, 3));
            after.write("record", former, copies);
            expect(after.read("record"), place).toEqual(former);
            expect(after.image().size, place).toBe(pagesFor(size) * copies + pagesFor(5_000) + 1);
            if (!cut) break;
          }
        }
        expect(seen.size).toBe(2);
      }
    },
  );

  it("[L20] at any erasure of a region: it is there or it is gone", () => {
    for (const size of sizes.slice(1)) {
      const image = chipWith("record", bytesOf(size, 1), copies).image();
      const seen = new Set<unknown>();
      for (const share of shares) {
        for (let nth = 1; ; nth++) {
          const flash = new MemoryFlash(image);
          flash.cutPowerAtWrite(nth, share);
          const cut = isCut(() => flash.erase("record"));
          const read = new MemoryFlash(flash.image()).read("record");
          if (read !== undefined) expect(read).toEqual(bytesOf(size, 1));
          seen.add(read === undefined);
          if (!cut) break;
        }
      }
      expect([...seen].sort()).toEqual([false, true]);
    }
  });
});

describe("a chip that lost its power", () => {
  it("[L20] is cut again while it clears up: old or new all the same", () => {
    const image = chipWith("record", bytesOf(9_000, 1), 2).image();
    let pairs = 0;
    for (let first = 1; ; first++) {
      const flash = new MemoryFlash(image);
      flash.cutPowerAtWrite(first, (first * 0.37) % 1);
      const cut = isCut(() => flash.write("record", bytesOf(10_000, 2), 2));
      for (let second = 1; ; second++) {
        const again = new MemoryFlash(flash.image());
        const before = again.read("record");
        again.cutPowerAtWrite(second, (second * 0.61) % 1);
        const cutAgain = isCut(() => again.write("other", bytesOf(1, 3)));
        const after = new MemoryFlash(again.image());
        expect(after.read("record")).toEqual(before);
        expect([undefined, bytesOf(1, 3)]).toContainEqual(after.read("other"));
        if (!cutAgain) break;
        pairs += 1;
      }
      if (!cut) break;
    }
    expect(pairs).toBeGreaterThan(40);
  });

  it("does nothing more until it is booted again", () => {
    const flash = new MemoryFlash();
    flash.cutPowerAtWrite(1);
    expect(() => flash.write("record", bytesOf(5, 1))).toThrow(PowerLost);
    expect(() => flash.write("record", bytesOf(5, 1))).toThrow(PowerLost);
    expect(new MemoryFlash(flash.image()).regions()).toEqual([]);
  });
});

describe("a bit that flips", () => {
  const content = bytesOf(120, 1);

  it("[L11] in any place of a page: the record reads as it was, or as rotten, and never as anything else", () => {
    const flash = new MemoryFlash();
    flash.write("record", content);
    const [page = -1] = flash.pagesOf("record");
    const image = flash.image();
    const rottenBits: number[] = [];
    for (let bit = 0; bit < FLASH_PAGE_BYTES * 8; bit++) {
      // Of the blank part one bit in a hundred is enough.
      if (bit > 1_500 && bit < 32_200 && bit % 101 !== 0) continue;
      const chip = new MemoryFlash(image);
      chip.rot(page, bit);
      for (const booted of [chip, new MemoryFlash(chip.image())]) {
        const read = booted.read("record");
        if (read === "rotten") rottenBits.push(bit);
        else expect(read, `bit ${bit}`).toEqual(content);
        expect(booted.unnamedPages).toBe(0);
      }
    }
    // Seen running and seen after a boot: the bits of the data, from behind the first header on.
    expect(rottenBits).toEqual(Array.from({ length: 2 * 120 * 8 }, (_, index) => 512 + (index >> 1)));
  });

  it("[L11] in what was written last: no older write comes back in its place", () => {
    const flash = new MemoryFlash();
    flash.write("record", content);
    // Power goes when the new page is whole and before the old one is erased.
    flash.cutPowerAtWrite(2, 0);
    expect(isCut(() => flash.write("record", bytesOf(120, 2)))).toBe(true);
    const both = new MemoryFlash(flash.image());
    expect(both.image().size).toBe(2);
    expect(both.read("record")).toEqual(bytesOf(120, 2));
    both.rot(both.pagesOf("record")[0] ?? -1, 600);
    expect(both.read("record")).toBe("rotten");
    expect(new MemoryFlash(both.image()).read("record")).toBe("rotten");
  });

  it("[L11] in one of two copies costs nothing, and the copy is made anew", () => {
    const flash = new MemoryFlash();
    flash.write("record", bytesOf(6_000, 1), 2);
    const [first = -1, , third = -1] = flash.pagesOf("record");
    flash.rot(first, 700);
    const booted = new MemoryFlash(flash.image());
    expect(booted.read("record")).toEqual(bytesOf(6_000, 1));
    expect(booted.halfRotten()).toEqual(["record"]);
    booted.rot(third, 700);
    expect(booted.read("record")).toBe("rotten");
    const healed = new MemoryFlash(flash.image());
    healed.heal();
    expect(healed.halfRotten()).toEqual([]);
    healed.rot(healed.pagesOf("record")[0] ?? -1, 700);
    expect(healed.read("record")).toEqual(bytesOf(6_000, 1));
  });

  it("[L20] a copy that a loss of power left out is made anew, and is no rot", () => {
    const flash = new MemoryFlash();
    flash.cutPowerAtWrite(2, 0.4);
    expect(isCut(() => flash.write("record", content, 2))).toBe(true);
    const booted = new MemoryFlash(flash.image());
    expect(booted.read("record")).toEqual(content);
    expect(booted.halfRotten()).toEqual([]);
    booted.heal();
    expect(booted.pagesOf("record")).toHaveLength(2);
  });

  it("[L11] in both headers of a page: it is nobody's any more, stays until it is told, and its region is not there", () => {
    const flash = new MemoryFlash();
    flash.write("record", content);
    const [page = -1] = flash.pagesOf("record");
    flash.rot(page, 70);
    flash.rot(page, 4_032 * 8 + 70);
    const booted = new MemoryFlash(flash.image());
    expect([booted.read("record"), booted.unnamedPages]).toEqual([undefined, 1]);
    booted.write("other", content);
    expect(new MemoryFlash(booted.image()).unnamedPages).toBe(1);
    booted.eraseUnnamed();
    expect(new MemoryFlash(booted.image()).unnamedPages).toBe(0);
  });
});

describe("wear", () => {
  it("[L19] is spread over all free pages, and its count goes on over boots", () => {
    const flash = new MemoryFlash();
    flash.write("static", bytesOf(40_000, 1));
    for (let write = 0; write < 3 * FLASH_PAGES; write++) flash.write("record", bytesOf(20, write));
    const pages = flash.pagesOf("static");
    const others = flash.eraseCycles.filter((_, page) => !pages.includes(page));
    expect(Math.max(...others) - Math.min(...others)).toBeLessThanOrEqual(1);
    expect(flash.mostErased).toBeGreaterThanOrEqual(3);
    const booted = new MemoryFlash(flash.image());
    expect(booted.mostErased).toBeGreaterThanOrEqual(2);
    for (let write = 0; write < FLASH_PAGES; write++) booted.write("record", bytesOf(20, write));
    expect(booted.mostErased).toBeGreaterThanOrEqual(3);
  });

  it("[L19] of a year: counts each ten minutes, marks each hour, an entry each quarter of an hour, a visit each night", () => {
    const flash = new MemoryFlash();
    const day = (night: number): void => {
      for (let hour = 0; hour < 24; hour++) {
        for (let sixth = 0; sixth < 6; sixth++) flash.write("powered-time", bytesOf(12, night));
        flash.write("clock", bytesOf(30, hour), 2);
        for (let quarter = 0; quarter < 4; quarter++) flash.write("audit-page-1", bytesOf(3_000, quarter));
      }
      for (let keypad = 0; keypad < 20; keypad++) flash.write("throttle", bytesOf(120, keypad));
      for (let page = 0; page < 4; page++) flash.write(`staged-page-${page}`, bytesOf(1_000, page));
      flash.write(night % 2 === 0 ? "bank-a" : "bank-b", bytesOf(152_000, night));
      for (let page = 0; page < 4; page++) flash.erase(`staged-page-${page}`);
    };
    // A twelfth of a year: the rest is the same again.
    for (let night = 0; night < 30; night++) day(night);
    expect(flash.mostErased * 12).toBeLessThan(ERASE_CYCLES_LIMIT / 100);
  });

  it("holds what a lock can have at its limits, and an assertion stops what it cannot", () => {
    const flash = new MemoryFlash();
    for (const region of ["bank-a", "bank-b", "staged"]) flash.write(region, bytesOf(REGION_LIMIT_BYTES, 1));
    for (let page = 0; page < 33; page++) flash.write(`audit-page-${page}`, bytesOf(32 * 515, page));
    flash.write("bank-a", bytesOf(REGION_LIMIT_BYTES, 2));
    expect(flash.image().size).toBeLessThan(FLASH_PAGES / 2);
    expect(() => {
      for (let region = 0; region < 20; region++) flash.write(`region-${region}`, bytesOf(REGION_LIMIT_BYTES, 1));
    }).toThrow("the chip holds what its device writes");
  });
});

describe("a chip in a folder", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "doorlink-flash-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is the same after a restart of its process", () => {
    const flash = new FileFlash(folder);
    flash.write("record", bytesOf(10_000, 1));
    flash.write("gone", bytesOf(10, 1));
    flash.erase("gone");
    flash.write("pair", bytesOf(10, 2), 2);
    const again = new FileFlash(folder);
    expect(again.regions()).toEqual(["pair", "record"]);
    expect(again.read("record")).toEqual(bytesOf(10_000, 1));
    expect(again.image()).toEqual(flash.image());
    expect(readdirSync(folder)).toHaveLength(5);
  });

  it("[L20] a page that a kill -9 left short or empty was not finished: the older write counts", () => {
    const flash = new FileFlash(folder);
    flash.write("record", bytesOf(100, 1));
    const old = new Set(readdirSync(folder));
    const former = readFileSync(join(folder, [...old][0] ?? ""));
    flash.write("record", bytesOf(100, 2));
    const [file = ""] = readdirSync(folder);
    const whole = readFileSync(join(folder, file));
    for (const length of [0, 40, 100, 4_000, 4_090]) {
      writeFileSync(join(folder, [...old][0] ?? ""), former);
      writeFileSync(join(folder, file), whole.subarray(0, length));
      const found = new FileFlash(folder).read("record");
      expect([bytesOf(100, 1), bytesOf(100, 2)]).toContainEqual(found);
      if (length < 4_032) expect(found).toEqual(bytesOf(100, 1));
    }
  });
});

function pagesFor(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PAGE_DATA_BYTES));
}
