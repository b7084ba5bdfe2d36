/** The published face `doorlink/agent`: the gateway's radio and its visits, for a program that runs them on a machine of its own. */
export * from "./ble/bus-address.ts";
export * from "./ble/central.ts";
export * from "./ble/visit.ts";
export * from "./ports/clock.ts";
export * from "./ports/radio.ts";
export * from "./ports/visit.ts";
