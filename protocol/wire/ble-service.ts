/**
 * The GATT service of a lock, and what both ends must agree on about it.
 * One service with two characteristics: a central that uses node-ble subscribes to every characteristic it sees,
 * at every connection, so each further one costs every visit (SPEC A5).
 *
 * - `frames-in`: the courier writes one frame in each write *without* response.
 * - `frames-out`: the lock sends one frame in each notification.
 *
 * Bonding is not used: who speaks is proven inside the session, and a gateway would need a bond for each lock.
 */

/** A random (version 4) UUID; the two characteristics differ from it in the first 32 bits only. */
export const LOCK_SERVICE_UUID = "18d80001-8257-429b-8403-3384e7a5a728";
export const FRAMES_IN_UUID = "18d80002-8257-429b-8403-3384e7a5a728";
export const FRAMES_OUT_UUID = "18d80003-8257-429b-8403-3384e7a5a728";

/**
 * Service data in a legacy advertisement of 31 bytes can only stand under a 16-bit UUID: flags take 3, the 128-bit
 * service UUID 18, and 10 remain. Every 16-bit UUID belongs to the Bluetooth SIG and none is set aside for
 * experiments; this one is assigned to nobody that we know of and is NOT ours. A product must obtain its own number
 * and change this one constant.
 */
export const ADVERTISEMENT_UUID_16 = 0xffeb;

/** The same number written out as BlueZ writes it: put on the Bluetooth base UUID, lower case. */
export const ADVERTISEMENT_UUID = `0000${ADVERTISEMENT_UUID_16.toString(16)}-0000-1000-8000-00805f9b34fb`;

/**
 * The longest frame. 244 bytes and 3 of ATT header fill one link-layer packet of 251 bytes with 4 of L2CAP; and BlueZ
 * 5.66 acknowledges a command above 510 bytes and then loses it.
 */
export const FRAME_LIMIT_BYTES = 244;

/** ATT_MTU that a link must have reached, so that the longest frame fits one write: the frame and 3 bytes of header. */
export const ATT_MTU_FLOOR_BYTES = FRAME_LIMIT_BYTES + 3;
