/** Records in a device's flash, read as what they are: there, not there, or rotten. */
import type { CborLimits } from "../../protocol/base/cbor.ts";
import type { CborMessage } from "../../protocol/base/cbor-record.ts";
import { type Flash, REGION_LIMIT_BYTES } from "./flash.ts";

/**
 * Reads a region by its codec. What fits its checksum and not its codec was not written by this firmware, and is as rotten as what
 * fits neither.
 */
export function readRecord<Value>(
  flash: Flash,
  region: string,
  codec: CborMessage<Value>,
): Value | "rotten" | undefined {
  const bytes = flash.read(region);
  if (bytes === undefined || bytes === "rotten") return bytes;
  const read = codec.decode(bytes, flashLimits);
  return read.ok ? read.value : "rotten";
}

/** Flash holds more than a message may: a bank is as large as a bundle. */
const flashLimits: CborLimits = { bytesMax: REGION_LIMIT_BYTES, depthMax: 8 };
