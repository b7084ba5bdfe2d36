import { PDFDocument } from "pdf-lib";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { checkPhoto, checkPhotoFile, type PhotoCheck } from "../../../agent/sticker/check-photo.ts";
import { ColourCanvas } from "../../../agent/sticker/colour-canvas.ts";
import { photoText } from "../../../agent/sticker/photo-text.ts";
import { makeTrialSite } from "../../../emulator/camera/identity-trials.ts";
import { photographMishap } from "../../../emulator/camera/sticker-photos.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { assert } from "../../../protocol/base/result.ts";
import type { GreyPicture } from "../../../protocol/sticker/grey-picture.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";

const site = makeTrialSite(20, 3, seededRandom(1, "test/check-photo"));
const [record] = site.panels;
assert(record !== undefined && record.current !== null, "the site has panels");
const current = record.current;
const options = {
  specification: defaultStickerSpecification,
  known: { panels: site.panels, expectedPanel: record.panel },
  fileName: "lobby.jpg",
};

function jpegOf({ width, height, luma }: GreyPicture): Promise<Uint8Array> {
  return sharp(luma, { raw: { width, height, channels: 1 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

describe("a photo of a scratched sticker", () => {
  let checked: PhotoCheck;
  beforeAll(async () => {
    const bytes = await jpegOf(photographMishap(current, "scratch", 41, 0.7).picture);
    const result = await checkPhotoFile(bytes, { ...options, withPicture: true, withReport: true });
    assert(result.ok, "the picture can be read");
    checked = result.value;
  }, 60_000);

  it("[Q78] row 4: names the line, whose sticker it is, and what to do", () => {
    expect(checked.report).toMatchObject({
      ...{ format: "jpeg", verdict: "fail", payload: current },
      identity: { verdict: "current", panel: record.panel },
      triage: { part: "sticker", route: "rotate-and-reprint" },
    });
    expect(checked.report.findings.map(({ code }) => code)).toEqual(["scratch", "size-not-measurable"]);
    const text = photoText("lobby.jpg", checked.report);
    expect(text).toContain("verdict  FAIL");
    expect(text).toContain("scratch:");
    expect(text).toContain("by a list 0 s old");
    expect(JSON.parse(JSON.stringify(checked.report)).grade.modules).toBeUndefined();
  });

  it("[Q77] draws the symbol upright with the bad modules marked and a legend", async () => {
    assert(checked.picturePng !== undefined, "a picture was asked for");
    const { data, info } = await sharp(checked.picturePng).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 41 * 15, height: 41 * 15 + 112, channels: 3 });
    let orange = 0;
    for (let at = 0; at < 41 * 15 * 41 * 15 * 3; at += 3) {
      if ((data[at] ?? 0) > (data[at + 2] ?? 0) + 60 && (data[at] ?? 0) > 150) orange++;
    }
    // A line of a dozen dark modules and more, 225 px each.
    expect(orange).toBeGreaterThan(8 * 225);
    expect(orange).toBeLessThan(80 * 225);
    // The finder in the upper left corner is dark, the quiet zone light.
    const lumaAt = (column: number, row: number) =>
      data[3 * ((row + 4.5) * 15 * info.width + (column + 4.5) * 15)] ?? 0;
    expect(lumaAt(0, 0)).toBeLessThan(110);
    expect(lumaAt(1, 1)).toBeGreaterThan(150);
    expect(lumaAt(-2, -2)).toBeGreaterThan(150);
  });

  it("[Q77] makes one page of PDF, the same bytes each time", async () => {
    assert(checked.reportPdf !== undefined, "a report was asked for");
    const pdf = await PDFDocument.load(checked.reportPdf);
    expect(pdf.getPageCount()).toBe(1);
    expect(pdf.getTitle()).toBe("Sticker check by photograph");
  });
});

describe("pictures without a sticker", () => {
  it("[Q75] end in a report all the same, and in a page without the marked symbol", async () => {
    const picture = { width: 200, height: 150, luma: new Uint8Array(200 * 150).fill(180) };
    const checked = await checkPhoto({ picture, format: "png" }, { ...options, withPicture: true, withReport: true });
    expect(checked.report).toMatchObject({ verdict: "fail", identity: { verdict: "unreadable" }, grade: undefined });
    expect(checked.picturePng).toBeUndefined();
    assert(checked.reportPdf !== undefined, "a report was asked for");
    expect((await PDFDocument.load(checked.reportPdf)).getPageCount()).toBe(1);
    expect(photoText("x.png", checked.report)).toContain("it could be neither read nor recognised");
  });

  it("[Q24] a file that is no picture is the fault of readPicture", async () => {
    expect(await checkPhotoFile(new Uint8Array(64), options)).toMatchObject({ fault: { code: "not-a-picture" } });
  });
});

describe("the canvas", () => {
  it("[Q77] writes PNG that other programs read", async () => {
    const canvas = new ColourCanvas(20, 10);
    canvas.fill(2, 3, 4, 5, [200, 10, 20]);
    canvas.line(-5, 50, 40, -50, 3, [0, 0, 0]);
    const { data, info } = await sharp(canvas.toPng()).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 20, height: 10, channels: 3 });
    expect([...data.subarray(3 * (4 * 20 + 3), 3 * (4 * 20 + 3) + 3)]).toEqual([200, 10, 20]);
    expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
  });
});
