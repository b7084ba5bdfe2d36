/** The named limits of a secure session. Those that both ends must share are marked with their SPEC rule. */
export type SessionLimits = {
  /** The longest frame we send (SPEC S5): at most 244, less where the link's MTU asks for it, at least `frameBytesMin`. */
  readonly frameBytes: number;
  /** The longest message (SPEC S9). */
  readonly messageBytes: number;
  /** How far beyond the contiguous bytes a receiver takes bytes, and so how far ahead a sender goes (SPEC S10). */
  readonly windowBytes: number;
  /** Data frames on their way at once: until so many are acknowledged; after that at least; and at most, on a link that proves to hold them. */
  readonly windowFramesFirst: number;
  readonly windowFrames: number;
  readonly windowFramesMax: number;
  /** A link holds at least so many frames at once without a queue, and is sound as long as it loses less than one frame in `soundLinkFrames`. */
  readonly heldFramesMin: number;
  readonly soundLinkFrames: number;
  /** A frame is taken for lost when more than this many frames sent after it have arrived. */
  readonly reorderFrames: number;
  /** An acknowledgement goes out after this many data frames, or after this long when fewer have come. */
  readonly acknowledgeEvery: number;
  readonly acknowledgeDelayMs: number;
  /** A session without progress for this long is dropped (SPEC S13). */
  readonly progressTimeoutMs: number;
  /** First and longest pause before a handshake message goes out again. */
  readonly handshakeRetryMs: number;
  readonly handshakeRetryMaxMs: number;
  /** First guess, when no round trip has been seen, and longest pause before unacknowledged frames go out again. */
  readonly probeMs: number;
  readonly probeMaxMs: number;
  /** The last nonce of a direction (SPEC S6); the one after it marks handshake frames. */
  readonly lastNonce: number;
  /** The last offset of a direction's stream (SPEC S7): 31 bits. */
  readonly streamBytes: number;
  /** Bytes that wait to be sent for the first time; `send` refuses a message beyond them. */
  readonly queuedBytes: number;
};

export const sessionLimits: SessionLimits = {
  // 244 is what one link-layer packet of 251 bytes carries (ATT 3, L2CAP 4); BlueZ loses writes above 510 silently.
  frameBytes: 244,
  // What a two-byte length can say.
  messageBytes: 65_535,
  windowBytes: 65_536,
  // 32 keep a link busy that takes up to 12 frames in a connection event (a round trip is two events, and up to 8 frames
  // wait to be acknowledged), which is what phones and gateways really do. 128 are for 35 in an event of 50 ms at 2M PHY.
  // The first flight may fill a fast link at once: three events of 35 until answers come, and some to spare. On a slow link it
  // queues once, and a queue of the same bytes costs no time.
  windowFramesFirst: 112,
  windowFrames: 32,
  windowFramesMax: 128,
  // As many as phones carry in an event. It lets a request of a few frames go twice on a link that loses frames.
  heldFramesMin: 6,
  // Below one in 128, most transfers lose nothing in their last round trip, and copies would be waste.
  soundLinkFrames: 128,
  // Several ATT channels (EATT) delivered frames up to 8 places late (reference measurement on BlueZ 5.66).
  reorderFrames: 8,
  acknowledgeEvery: 8,
  acknowledgeDelayMs: 20,
  progressTimeoutMs: 10_000,
  handshakeRetryMs: 300,
  handshakeRetryMaxMs: 1_000,
  probeMs: 500,
  probeMaxMs: 1_000,
  lastNonce: 0xffff_fffe,
  streamBytes: 0x7fff_ffff,
  queuedBytes: 4 * 1024 * 1024,
};

/** The largest reorder distance that spurious retransmissions may teach a sender. */
export const reorderFramesMax = 40;
/** A gap needs a lost frame, so an honest sender makes no more pieces than frames it has lost; more are a breach. */
export const receivedPiecesMax = 512;
