import { describe, expect, it } from "vitest";
import { aimShot, renderGrey } from "../../../emulator/camera/camera.ts";
import { makeTrialSite } from "../../../emulator/camera/identity-trials.ts";
import { buildScene, orderScene } from "../../../emulator/camera/scene.ts";
import { mountCode } from "../../../emulator/camera/sticker-face.ts";
import { type Mishap, photographMishap } from "../../../emulator/camera/sticker-photos.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { assert } from "../../../protocol/base/result.ts";
import { identifySymbol } from "../../../protocol/sticker/identity/in-picture.ts";
import { judgePhoto } from "../../../protocol/sticker/photo-check.ts";
import {
  judgeScanners,
  type ScanOutcome,
  scannerFrame,
  scannerProfiles,
  tryScanners,
} from "../../../protocol/sticker/scanner-profiles.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { payloadToSymbol } from "../../../protocol/sticker/symbol.ts";

const site = makeTrialSite(20, 3, seededRandom(1, "test/photo-check"));
const [record, other] = site.panels;
assert(record !== undefined && other !== undefined && record.current !== null, "the site has panels");
const current = record.current;

function printedSymbol(payload: string) {
  const made = payloadToSymbol(payload, defaultStickerSpecification);
  assert(made.ok, "the payload fits");
  return { ...made.value, text: payload };
}

function check(payload: string, mishap: Mishap, seed: number, severity: number, expectedPanel = record?.panel) {
  const { picture } = photographMishap(payload, mishap, seed, severity);
  const known = { panels: site.panels, expectedPanel };
  return judgePhoto({ picture, specification: defaultStickerSpecification, known }).report;
}

describe("a photo of a sticker", () => {
  it("[Q76] that is sound has nothing wrong, and no size without a reference", () => {
    const report = check(current, "sound", 31, 0.5);
    expect(report).toMatchObject({
      verdict: "not-measurable",
      payload: current,
      identity: { verdict: "current", panel: record.panel, epoch: 3, proof: { by: "both" } },
      size: { measurable: false, reason: "no-reference" },
      triage: { route: "nothing" },
      scanFault: { fault: "none" },
    });
    expect(report.identity.proof.destroyed).toBeLessThan(0.01);
    expect(report.findings.map(({ code }) => code)).toEqual(["size-not-measurable"]);
    expect(report.grade?.headline).toContain("ISO-style, uncalibrated");
  });

  it("[Q76] row 8: retired, misplaced and foreign stickers are named, with the age of the list", () => {
    expect(check(record.retired[1] ?? "", "sound", 32, 0.5)).toMatchObject({
      verdict: "fail",
      identity: { verdict: "retired", epoch: 2, listAgeMs: 0 },
    });
    expect(check(current, "sound", 33, 0.5, other.panel).identity).toMatchObject({
      verdict: "misplaced",
      panel: record.panel,
    });
    const foreign = check("HTTPS://PARKING.EXAMPLE/PAY/HERE/NOW", "sound", 34, 0.5);
    expect(foreign).toMatchObject({ verdict: "fail", identity: { verdict: "foreign" }, triage: { part: "sticker" } });
  });

  it("[Q74] with another code on top is an overlay, named and shown, whether or not ours can still be read", () => {
    for (const severity of [0.2, 1]) {
      const report = check(current, "overlay", 35, severity);
      expect(report).toMatchObject({
        verdict: "fail",
        payload: current,
        identity: { verdict: "overlay", panel: record.panel, proof: { region: expect.anything() } },
        triage: { route: "remove-what-covers" },
      });
      expect(report.findings[0]).toMatchObject({ code: "sticker-overlay" });
    }
  });

  it("[Q76] whose code cannot be read is recognised by comparison", () => {
    const report = check(current, "cover", 4, 0.9);
    expect(report.identity).toMatchObject({ verdict: "current", proof: { by: "comparison" } });
    expect(report.findings.map(({ code }) => code)).toContain("covered");
  });

  it("[Q79] row 6: what the halo of a reflection looks like condemns no sticker (seed 3 showed a peeling corner)", () => {
    const seen = check(current, "glare", 3, 0.7);
    expect(seen.findings.map(({ code }) => code)).toEqual(expect.arrayContaining(["glare", "peeling"]));
    expect(seen).toMatchObject({ verdict: "not-measurable", triage: { part: "photo", route: "photograph-again" } });
  });

  it("[Q79] with glare and nothing else is no failure: photograph again at an angle before condemning the sticker", () => {
    expect(check(current, "glare", 37, 0.4)).toMatchObject({
      verdict: "not-measurable",
      triage: { part: "photo", route: "photograph-again" },
    });
  });

  it("[Q79] row 10: with the bezel in view a sound sticker passes, and a print fitted to the page fails by its size alone", () => {
    const bezel = { widthMm: 90, heightMm: 110, proudMm: 3, lipMm: 6 };
    const verdicts = [1, 0.955].map((scale) => {
      const code = mountCode({ symbol: printedSymbol(current), scaleX: scale, scaleY: scale });
      const look = { xMm: 0, yMm: 0, turnDegrees: 0, cornerMm: 3, lipShade: 0.08, plateShade: 0.5 };
      const scene = buildScene(orderScene({ seed: 5, codes: [code], bezel: { ...bezel, ...look } }));
      const pose = { distanceMm: 210, yaw: 8, pitch: -6, roll: 4, aimXMm: 0, aimYMm: 0 };
      const { picture } = renderGrey(scene, aimShot({ seed: 5, width: 1200, height: 900, pose }));
      const specification = { ...defaultStickerSpecification, bezel };
      const { report } = judgePhoto({ picture, specification, known: { panels: site.panels } });
      return [
        report.verdict,
        report.size.measurable && report.size.reference,
        ...report.findings.map(({ code: one }) => one),
      ];
    });
    expect(verdicts).toEqual([
      ["pass", "bezel"],
      ["fail", "bezel", "fit-to-page"],
    ]);
  });

  it("[Q75] without a symbol is unreadable, never foreign", () => {
    const luma = Uint8Array.from({ length: 320 * 240 }, (_, at) => 120 + (((at * 7919) >> 3) % 64));
    const known = { panels: site.panels, expectedPanel: record.panel };
    const { report } = judgePhoto({
      picture: { width: 320, height: 240, luma },
      specification: defaultStickerSpecification,
      known,
    });
    expect(report).toMatchObject({
      verdict: "fail",
      identity: { verdict: "unreadable" },
      payload: undefined,
      profiles: [],
    });
  });
});

describe("which way up", () => {
  it("[Q70] a map that was located on its side or mirrored is set right by the fixed patterns", () => {
    const { picture, truth } = photographMishap(current, "dirt", 38, 0.4);
    const [code] = truth.codes;
    assert(code !== undefined, "the photo shows a code");
    const { toPicture } = code.map;
    const ways = [
      (column: number, row: number) => toPicture(33 - row, column),
      (column: number, row: number) => toPicture(33 - column, 33 - row),
      (column: number, row: number) => toPicture(row, column),
      (column: number, row: number) => toPicture(33 - column, row),
    ];
    for (const way of ways) {
      const placed = { map: { modules: 33, toPicture: way }, version: 4, inverted: false, certain: false };
      const identity = identifySymbol(picture, placed, { panels: site.panels, level: "Q" });
      expect(identity).toMatchObject({ verdict: "current", candidate: { panel: record.panel } });
      const [corner, same] = [identity.map.toPicture(0, 0), toPicture(0, 0)];
      expect(Math.hypot(corner.x - same.x, corner.y - same.y)).toBeLessThan(1e-6);
    }
  });
});

describe("scanners", () => {
  const outcome = (name: ScanOutcome["name"], what: ScanOutcome["outcome"]): ScanOutcome => {
    return { name, about: "", outcome: what, pixelsPerModule: undefined };
  };
  const sound = { doorlink: true, glare: false, damaged: false };

  it("[Q82] row 11: a sticker's fault and a phone's fault are told apart", () => {
    const judge = (phone: ScanOutcome["outcome"], old: ScanOutcome["outcome"], seen: Partial<typeof sound>) =>
      judgeScanners([outcome("phone", phone), outcome("old-phone", old)], { ...sound, ...seen }).fault;
    expect(judge("reads", "reads", {})).toBe("none");
    expect(judge("reads", "does-not-read", {})).toBe("phone");
    expect(judge("reads", "does-not-read", { damaged: true })).toBe("sticker");
    expect(judge("does-not-read", "does-not-read", { damaged: true })).toBe("sticker");
    expect(judge("does-not-read", "does-not-read", { glare: true })).toBe("photo");
    expect(judge("cannot-tell", "reads", {})).toBe("photo");
  });

  it("[Q82] row 12: an older camera app reads nothing whatever the sticker; the others read a sound one, each at its own resolution", () => {
    const { picture, truth } = photographMishap(current, "sound", 39, 0.5);
    const [code] = truth.codes;
    assert(code !== undefined, "the photo shows a code");
    expect(tryScanners(picture, code.map, current).map(({ name, outcome: what }) => [name, what])).toEqual([
      ["phone", "reads"],
      ["old-phone", "reads"],
      ["no-native-qr", "never-reads"],
    ]);
    expect(tryScanners(picture, code.map, "something else")[0]?.outcome).toBe("other-text");
    const [phone] = scannerProfiles;
    assert(phone !== undefined, "there is a profile");
    expect(scannerFrame(picture, code.map, phone)?.frame).toMatchObject({ width: 640, height: 480 });
    const small = { modules: 33, toPicture: (column: number, row: number) => ({ x: 100 + column, y: 100 + row }) };
    expect(scannerFrame(picture, small, phone)).toBeUndefined();
  });
});
