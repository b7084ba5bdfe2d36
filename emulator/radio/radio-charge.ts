/**
 * What a lock's radio draws for what it says and hears. Charges are a model, not measured:
 *
 * - 12 uC for an advertisement on three channels (assumed by reference/ble.md part 4).
 * - The radio draws 5.4 mA while it sends or listens (an nRF52's data sheet, reference/ble.md part 4).
 * - A connection event begins with 1 ms of waking at 3.3 mA (assumed), then both say at least an empty packet: 80 us each way at 1M
 *   PHY and 150 us after each.
 * - A frame of n bytes is n + 7 bytes of ATT and L2CAP and 14 of the link layer at 8 us each, and 380 us for its answer: 2,500 us for 244.
 */

/** One advertisement, in microcoulombs. */
export const advertisementMicrocoulombs = 12;

/** So many connection events that carry nothing. */
export function eventsMicrocoulombs(events: number): number {
  return events * (wakeMs * wakeMilliamps + (emptyExchangeUs * radioMilliamps) / 1_000);
}

/** What a frame of so many bytes adds to the event that carries it. */
export function frameMicrocoulombs(bytes: number): number {
  const onAirUs = (bytes + attAndL2capBytes + linkLayerBytes) * usPerByte;
  return ((onAirUs + answerUs) * radioMilliamps) / 1_000;
}

/** A connection of `connectedMs`: its events, the packets by which services are read, and frames of these lengths either way. */
export function connectionMicrocoulombs(
  connectedMs: number,
  intervalMs: number,
  frameBytes: readonly number[],
): number {
  const services = servicesPackets * frameMicrocoulombs(servicesPacketBytes);
  const frames = frameBytes.reduce((sum, bytes) => sum + frameMicrocoulombs(bytes), 0);
  return eventsMicrocoulombs(Math.ceil(connectedMs / intervalMs)) + services + frames;
}

const radioMilliamps = 5.4;
const wakeMilliamps = 3.3;
const wakeMs = 1;
const emptyExchangeUs = 80 + 150 + 80 + 150;
const attAndL2capBytes = 7;
const linkLayerBytes = 14;
const usPerByte = 8;
const answerUs = 380;
/** Some two dozen small packets while services are read and notifications asked for. */
const servicesPackets = 24;
const servicesPacketBytes = 20;
