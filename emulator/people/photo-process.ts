/**
 * The visitor's camera and scanner as a process of its own, so that the picture library's memory goes with it.
 * One JSON line in: {sticker: base64 PNG, seed}. One JSON line out: {picture: base64 JPEG, read: {ok, text | code}}.
 */
import { z } from "zod";
import { base64ToBytes, bytesToBase64 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { photographSticker } from "../camera/photograph.ts";
import { readPhoto } from "../camera/read-photo.ts";

const order = z.object({ sticker: z.string(), seed: z.number().int() });

let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
const { sticker, seed } = order.parse(JSON.parse(input));
const bytes = base64ToBytes(sticker);
assert(bytes !== undefined, "the sticker comes as base64");
const { picture } = await photographSticker({ sticker: bytes, seed });
const read = await readPhoto(picture);
const answer = read.ok ? { ok: true, text: read.value.text } : { ok: false, code: read.fault.code };
process.stdout.write(JSON.stringify({ picture: bytesToBase64(picture), read: answer }));
