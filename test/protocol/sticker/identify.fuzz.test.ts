import fc from "fast-check";
import { expect, it } from "vitest";
import { makeTrialSite } from "../../../emulator/camera/identity-trials.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { judgeCondition } from "../../../protocol/sticker/condition/judge-condition.ts";
import { identifyModules } from "../../../protocol/sticker/identify.ts";
import { identifySymbol } from "../../../protocol/sticker/identity/in-picture.ts";
import { modulesOfVersion } from "../../../protocol/sticker/qr/layout.ts";
import { tryScanners } from "../../../protocol/sticker/scanner-profiles.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { fuzzRuns, fuzzTimeout } from "../fuzz.ts";

const site = makeTrialSite(5, 2, seededRandom(1, "test/identify-fuzz"));

it("[Q71] any modules give a verdict, and none that is ours", fuzzTimeout, () => {
  const modules = fc.uint8Array({ minLength: 33 * 33, maxLength: 33 * 33 });
  fc.assert(
    fc.property(modules, modules, (darkBytes, knownBytes) => {
      const seen = { version: 4, dark: darkBytes.map((byte) => byte & 1), known: knownBytes.map((byte) => byte & 1) };
      const identity = identifyModules(seen, site.book);
      expect(["foreign", "unreadable"]).toContain(identity.verdict);
      expect(identity.strength).toBeLessThan(identity.required);
    }),
    fuzzRuns(100),
  );
});

it("[Q77] any picture under any map gives a condition, an identity and outcomes, never a throw", fuzzTimeout, () => {
  const number = fc.double({ noNaN: false, min: -1e6, max: 1e6 });
  const order = fc.record({
    luma: fc.uint8Array({ minLength: 40 * 40, maxLength: 40 * 40 }),
    steps: fc.tuple(number, number, number, number, number, number),
    version: fc.integer({ min: 1, max: 6 }),
    inverted: fc.boolean(),
  });
  fc.assert(
    fc.property(order, ({ luma, steps: [a, b, c, d, e, f], version, inverted }) => {
      const picture = { width: 40, height: 40, luma };
      const modules = modulesOfVersion(version);
      const toPicture = (column: number, row: number) => ({ x: a + b * column + c * row, y: d + e * column + f * row });
      const map = { modules, toPicture };
      const dark = Uint8Array.from({ length: modules * modules }, (_, at) => (luma[at] ?? 0) & 1);
      const specification = defaultStickerSpecification;
      const condition = judgeCondition({ picture, symbol: { map, dark, inverted }, specification });
      expect(Array.isArray(condition.findings)).toBe(true);
      const known = { panels: site.panels, level: "Q" } as const;
      const identity = identifySymbol(picture, { map, version, inverted, certain: false }, known);
      expect(["foreign", "unreadable"]).toContain(identity.verdict);
      expect(tryScanners(picture, map, undefined)).toHaveLength(3);
    }),
    fuzzRuns(12),
  );
});
