/**
 * mqtt-packet, which the broker and the link upstream share, makes 65,536 buffers at its first packet, one for each number there
 * is: 7 MB for the rest of the process, and a start that stands still for it. A number is made when it is wanted instead.
 */
import { writeToStream } from "mqtt-packet";

export function keepPacketNumbersUnmade(): void {
  writeToStream.cacheNumbers = false;
}
