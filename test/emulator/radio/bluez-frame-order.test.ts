import { describe, expect, it } from "vitest";
import { FrameOrder } from "../../../emulator/radio/bluez-frame-order.ts";
import { concatBytes } from "../../../protocol/base/bytes.ts";
import { handshakeFrame, transportHeader } from "../../../protocol/session/frames.ts";

function count(nonces: readonly (number | "handshake")[]) {
  const order = new FrameOrder();
  for (const nonce of nonces) {
    const frame = nonce === "handshake" ? handshakeFrame(new Uint8Array(96)) : transportHeader("data", nonce, 0);
    order.see(nonce === "handshake" ? frame : concatBytes(frame, new Uint8Array(16)));
  }
  return order.count;
}

describe("the order of frames", () => {
  it("counts frames that came after a younger one, and by how many places", () => {
    expect(count([])).toEqual({ frames: 0, late: 0, deepest: 0 });
    expect(count([0, 1, 2, 3])).toEqual({ frames: 4, late: 0, deepest: 0 });
    expect(count([0, 2, 1, 3])).toEqual({ frames: 4, late: 1, deepest: 1 });
    expect(count([3, 0, 1, 2, 4])).toEqual({ frames: 5, late: 3, deepest: 3 });
  });

  it("takes a gap for a loss and not for an inversion", () => {
    expect(count([0, 5, 6, 9])).toEqual({ frames: 4, late: 0, deepest: 0 });
  });

  it("begins anew with a session", () => {
    expect(count([0, 1, 2, "handshake", 0, 1])).toEqual({ frames: 5, late: 0, deepest: 0 });
  });

  it("does not count what is no frame", () => {
    const order = new FrameOrder();
    order.see(new Uint8Array(0));
    order.see(new Uint8Array(300));
    expect(order.count.frames).toBe(0);
  });
});
