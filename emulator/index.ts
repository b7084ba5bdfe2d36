/** The published face `doorlink/emulator`: locks, the air they are on and the world around them, for a test bench. */
export * from "./device/lock.ts";
export * from "./device/lock-host.ts";
export * from "./radio/air.ts";
export * from "./radio/air-profile.ts";
export * from "./radio/fake-bluez.ts";
export * from "./radio/private-bus.ts";
export * from "./world/clock.ts";
export * from "./world/random.ts";
export * from "./world/site-file.ts";
