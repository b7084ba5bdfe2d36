/**
 * The radio and what is done over it, loaded when they are first used: BlueZ's library and the session's are 4 MB that a site of
 * networked locks never needs, and no start waits for them.
 */
import type { RunPairing } from "../ports/pairing.ts";
import { type Radio, RadioError } from "../ports/radio.ts";
import type { RunVisit } from "../ports/visit.ts";
import type { BleRadioOptions } from "./central.ts";

export function createRadioOnDemand(options: BleRadioOptions): Radio {
  let loaded: Promise<Radio> | undefined;
  let closed = false;
  const radio = (operation: string): Promise<Radio> => {
    if (closed) throw new RadioError("closed", operation);
    loaded ??= import("./central.ts").then(({ createBleRadio }) => createBleRadio(options));
    return loaded;
  };
  return {
    scan: async (scanned) => (await radio("scan")).scan(scanned),
    connect: async (...connected) => (await radio("connect")).connect(...connected),
    close: async () => {
      closed = true;
      await (await loaded)?.close();
    },
  };
}

export const runVisitOnDemand: RunVisit = async (options) => (await import("./visit.ts")).runVisit(options);

export const runPairingOnDemand: RunPairing = async (options) =>
  (await import("./pairing-visit.ts")).runPairing(options);
