/** What the operator can do when a lock could not be visited, by the visit's own code and reason. Pure. */

/** One sentence; undefined: there is nothing that somebody at a gateway could do. */
export function syncWayOut(code: string, reason: string | undefined, device: string): string | undefined {
  return (wayOfReason(code, reason) ?? wayByFault.get(code))?.replaceAll("LOCK", device);
}

function wayOfReason(code: string, reason: string | undefined): string | undefined {
  if (reason === undefined) return undefined;
  if (code === "radio") return wayByRadioFault.get(reason);
  if (code === "refused") return wayByRefusal.get(reason) ?? wayByRefusal.get(reason.split(": ")[0] ?? "");
  return code === "protocol" && isAboutItself(reason) ? liar : undefined;
}

function isAboutItself(reason: string): boolean {
  return reason === "log-not-taken" || reason.startsWith("report-");
}

const again = "doorlink sync LOCK";
/** The order of `reference/domain.md` part 1: batteries, sync, jumpstart. */
const silent = `go near it, wake it by touch and ask again (${again}); if it stays silent give it fresh batteries or look at its supply, and where the model can be jumpstarted do that last`;
const brokenLink = `ask again from nearer (${again}): it goes on behind what has arrived`;
const listed = "doorlink status lists the locks of this gateway";

/** SPEC Y20: pairing it anew gives it a log and keys of its own again. */
const liar =
  "what it says of itself cannot be true: ask again (doorlink sync LOCK); if it stays so somebody has got into it: look at it, reset it and pair it anew (doorlink device add LOCK --ble --code FILE)";

/** By the whole reason, or by its step alone. */
const wayByRefusal: ReadonlyMap<string, string> = new Map([
  [
    "time: round-trip-too-long",
    `the answer on the time came later than 2 s; the rest went through. Ask again (${again}); if it stays so, the link upstream is slow: doorlink status`,
  ],
  ["time", "its clock stays as it is and the rest went through: doorlink status says whether the link upstream stands"],
  [
    "policy",
    `it keeps the policy it has: ask again (${again}); if it stays so, doorlink firmware says whether its firmware is too old for it`,
  ],
  [
    "release",
    "its log is not freed, because it is not as the authority has it: reset it and pair it anew if it stays so",
  ],
]);

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
  ["other-gateway", `another gateway of the site visits it: ask again in a minute (${again})`],
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
