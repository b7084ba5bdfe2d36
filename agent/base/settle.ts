/**
 * What only the start needed, given back once: V8 keeps the code and the room it started with until something presses, and on an idle
 * gateway nothing ever does. One collection that may take its time, some seconds after the start; 13 MB of 110 when it was measured.
 */
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Of this thread alone. Stands still for some ten milliseconds. */
export function giveBackMemory(): void {
  // Node has no other way to ask for a collection than the function that this flag makes.
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  if (typeof collect === "function") collect({ type: "major", execution: "sync", flavor: "last-resort" });
}

/**
 * Of the main thread: first what the start compiled goes into the compile cache, where there is one. Node by itself writes it at the end, which
 * on a gateway is months away, and by then V8 has let go of it.
 */
export function settle(): void {
  flushCompileCache();
  giveBackMemory();
}

/** After this the start is over: the first link upstream was tried, and devices that were waiting are back. */
export const SETTLED_MS = 5_000;
