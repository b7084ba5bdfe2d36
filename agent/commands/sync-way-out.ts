/** What the operator can do when a lock could not be visited, by the visit's own code and reason. Pure. */

/** One sentence; undefined: there is nothing that somebody at a gateway could do. */
export function syncWayOut(code: string, reason: string | undefined, device: string): string | undefined {
  const ofReason = code === "radio" && reason !== undefined ? wayByRadioFault.get(reason) : undefined;
  return (ofReason ?? wayByFault.get(code))?.replaceAll("LOCK", device);
}

const again = "doorlink sync LOCK";
/** The order of `reference/domain.md` part 1: batteries, sync, jumpstart. */
const silent = `go near it, wake it by touch and ask again (${again}); if it stays silent give it fresh batteries or look at its supply, and where the model can be jumpstarted do that last`;
const brokenLink = `ask again from nearer (${again}): it goes on behind what has arrived`;
const listed = "doorlink status lists the locks of this gateway";

const wayByFault: ReadonlyMap<string, string> = new Map([
  ["not-found", silent],
  ["timeout", brokenLink],
  ["radio", brokenLink],
  [
    "handshake",
    "another lock is at its address, or it was reset: if so, pair it again (doorlink device add LOCK --ble --code FILE)",
  ],
  ["refused", "doorlink status says whether the link upstream stands: what the lock wants is had from there"],
  ["protocol", "doorlink firmware says what it runs: it does not speak as this gateway does"],
  ["not-paired", "pair it first: doorlink device add LOCK --ble --code FILE"],
  ["no-certificate", "doorlink status says whether the link upstream stands: the certificate comes from there"],
  ["unknown-device", listed],
  ["not-a-ble-lock", `${listed}; a device with its own network needs no visit`],
  ["stopping", "ask again when the agent runs"],
]);

const wayByRadioFault: ReadonlyMap<string, string> = new Map([
  ["not-found", silent],
  ["no-bus", "start the system bus (apt-get install dbus), or mend bluetooth.busAddress in the configuration"],
  ["no-bluetooth", "start bluetoothd: systemctl start bluetooth"],
  ["no-adapter", "plug in a Bluetooth adapter; bluetoothctl list shows those that are there"],
  ["adapter-off", "turn the adapter on: bluetoothctl power on"],
  ["access-denied", "let the agent's user into the group bluetooth"],
  ["busy", `another program is at the adapter: end it, or ask again (${again})`],
]);
