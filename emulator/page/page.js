/**
 * The demo page. The world (doors, keypads, people) comes from the site process and is followed by its event stream; sync and
 * exposure come from the agent, the record from the cloud, both asked again every two seconds through the site process.
 * Cards are made once and filled again and again, so that a keypad keeps its focus while the world goes on.
 */

const state = { world: null, agent: null, agentFault: null, linkUp: null, record: new Map(), revoked: new Set() };
const cardByDevice = new Map();
const cardByPanel = new Map();
const personCards = new Map();
const lineByNumber = new Map();

start();

async function start() {
  await loadWorld();
  byId("link-switch").addEventListener("click", switchLink);
  follow();
  poll();
  setInterval(poll, 2_000);
  setInterval(showClock, 1_000);
}

async function loadWorld() {
  const world = await call("GET", "/api/world");
  if (!world.ok) return notice("The site process does not answer. This page tries again.");
  state.world = world.body;
  document.title = `${state.world.site.name}: doorlink`;
  setText(byId("site-name"), state.world.site.name);
  for (const device of state.world.devices) showDevice(device);
  for (const panel of state.world.panels) showPanel(panel);
  for (const person of state.world.people) showPerson(person);
  for (const line of state.world.log) showLine(line);
  fillTryForm();
  showClock();
  notice(state.world.broughtUp ? "" : "The site is waiting for the cloud to pair its locks.");
}

function follow() {
  const stream = new EventSource("/api/world/stream");
  stream.addEventListener("device", (event) => showDevice(JSON.parse(event.data)));
  stream.addEventListener("line", (event) => {
    const line = JSON.parse(event.data);
    showLine(line);
    if (line.kind === "sticker") loadWorld();
    if (line.reason === "ENTRY_TIMEOUT")
      cardByDevice.get(line.device)?.keypad?.show("timeout", "Too slow: start again");
  });
  stream.addEventListener("people", loadWorld);
  stream.addEventListener("open", loadWorld);
}

async function poll() {
  const [status, link, summary, people] = await Promise.all([
    call("GET", "/agent/api/status"),
    call("GET", "/cloud/world/link"),
    call("GET", "/cloud/bench/record/summary"),
    call("GET", "/cloud/api/people"),
  ]);
  state.agent = status.ok ? status.body : null;
  state.linkUp = link.ok ? link.body.up : null;
  if (summary.ok) state.record = new Map(summary.body.devices.map((device) => [device.device, device.last]));
  if (people.ok)
    state.revoked = new Set(people.body.filter((person) => person.revokedAt !== null).map((person) => person.id));
  showPeers(link.ok);
  showAttention();
  for (const device of state.world?.devices ?? []) showAgentPart(device);
  for (const person of state.world?.people ?? []) showRevoked(person);
  for (const line of lineByNumber.values()) showRecorded(line);
}

function showPeers(cloudAnswers) {
  const upstream = state.agent?.upstream;
  const waiting = upstream?.outboxDepth ?? 0;
  const rows = [
    ["Agent", state.agent === null ? "not there" : "running", state.agent === null ? "bad" : "good"],
    ["Cloud", cloudAnswers ? "running" : "not there", cloudAnswers ? "good" : "bad"],
    ["Link", upstream?.connected ? "up" : "down", upstream?.connected ? "good" : "bad"],
    ["Waiting", upstream === undefined ? "unknown" : counted(waiting, "event", "events"), waiting > 0 ? "warn" : ""],
  ];
  byId("peers").replaceChildren(
    ...rows.map(([name, value, tone]) => el("div", {}, el("dt", {}, name), el("dd", { class: tone }, value))),
  );
  const button = byId("link-switch");
  button.disabled = state.linkUp === null;
  button.setAttribute("aria-pressed", String(state.linkUp === false));
  setText(button, state.linkUp === false ? "Restore the link upstream" : "Cut the link upstream");
}

/** The groups in the order of `doorlink status`; what each item wants done stands in its title. */
function showAttention() {
  const attention = state.agent?.attention;
  const groups = [
    ["Sync", attention?.sync],
    ["Upgrade", attention?.upgrade],
    ["Low battery", attention?.lowBattery],
    ["Stickers", attention?.stickers],
    ["Alerts", attention?.alerts],
  ];
  const rows = groups.map(([name, items]) => {
    const texts = (items ?? []).map(({ who, what, remedy }) => el("li", { title: remedy }, `${who}: ${what}`));
    const said = items === undefined ? "unknown" : texts.length === 0 ? "nothing" : el("ul", {}, ...texts);
    return el("div", {}, el("dt", {}, name), el("dd", { class: texts.length === 0 ? "quiet" : "" }, said));
  });
  const shown = byId("attention");
  const fresh = el("dl", {}, ...rows);
  // Left alone while nothing changes, so that a reader keeps their place.
  if (shown.innerHTML !== fresh.innerHTML) shown.replaceChildren(...rows);
}

async function switchLink() {
  const set = await call("POST", "/cloud/world/link", { up: state.linkUp === false });
  if (!set.ok) notice(`The link could not be switched: ${faultText(set.body)}`);
  await poll();
}

function showClock() {
  if (state.world === null) return;
  const text = new Intl.DateTimeFormat("en-US", {
    timeZone: state.world.site.timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  }).format(new Date());
  setText(byId("site-time"), text);
}

// Devices.

function showDevice(device) {
  if (device === null || device === undefined) return;
  const world = state.world;
  if (world !== null) world.devices = world.devices.map((other) => (other.id === device.id ? device : other));
  const card = cardByDevice.get(device.id) ?? makeDeviceCard(device);
  card.bolt.dataset.state = device.bolt;
  setText(card.bolt, device.bolt === "unlocked" ? "Unlocked" : "Locked");
  card.keypad?.setAsleep(device.keypadAsleep);
  showAgentPart(device);
}

function makeDeviceCard(device) {
  const offline = device.network === "ble";
  const bolt = el("span", { class: "bolt" });
  const facts = el("dl", { class: "facts" });
  const exposure = el("div", { class: "exposure", role: "status" });
  const says = el("p", { class: "says", role: "status", "aria-live": "polite" });
  const head = el(
    "div",
    { class: "card-head" },
    el("div", {}, el("h3", {}, device.doorName), el("p", { class: "quiet" }, `${device.name}, ${device.model}`)),
    bolt,
  );
  const root = el(
    "article",
    { class: "card", "data-device": device.id, "aria-label": `${device.doorName}: ${device.name}` },
    head,
    facts,
    exposure,
  );
  const card = { root, bolt, facts, exposure, says, keypad: null, sync: null };
  if (offline) {
    card.sync = el("button", { type: "button" }, "Sync now");
    card.sync.addEventListener("click", () => syncLock(device.id));
    card.keypad = makeKeypad(device);
    root.append(el("div", { class: "row" }, card.sync), says, card.keypad.root);
  }
  byId(offline ? "doors" : "networked").append(root);
  cardByDevice.set(device.id, card);
  return card;
}

function showAgentPart(device) {
  const card = cardByDevice.get(device.id);
  if (card === undefined) return;
  const seen = state.agent?.devices?.find((other) => other.device === device.id);
  const facts = device.network === "ble" ? lockFacts(device, seen) : networkedFacts(device, seen);
  card.facts.replaceChildren(
    ...facts.flatMap(([name, value, tone]) => [
      el("dt", {}, name),
      el("dd", tone === undefined ? {} : { class: tone }, value),
    ]),
  );
  const exposed = (seen?.exposure ?? []).map(({ person, since, what }) =>
    what === "signed-out"
      ? `${nameOf(person)} was signed out ${ago(since)}; a phone signed in before that still gets in here.`
      : `${nameOf(person)} was revoked ${ago(since)} and still gets in here.`,
  );
  setText(card.exposure, exposed.join(" "));
}

function lockFacts(device, seen) {
  const holds = device.holds === null ? "no policy yet" : `version ${device.holds.version}`;
  const desired = seen?.desired ? ` of ${seen.desired.version}` : "";
  const battery = device.battery === null ? "wired" : `${Math.round(device.battery.percent)} %`;
  return [
    ["Last sync", seen === undefined ? "unknown" : seen.lastSyncAt === null ? "never" : ago(seen.lastSyncAt)],
    ["Sync", ...syncText(seen)],
    ["Own report", reportText(seen?.lock)],
    ["Heard", seen?.lock?.heardAt == null ? "never" : ago(seen.lock.heardAt)],
    ["Holds", holds + desired],
    ["Clock", clockText(device.clock)],
    ["Battery", battery],
    ["Firmware", firmwareText(device, seen)],
    ["Log", device.logNext === null ? "none" : counted(device.logNext - device.logBegan, "entry", "entries")],
  ];
}

function networkedFacts(device, seen) {
  const holds = device.holds === null ? "the installed policy" : `version ${device.holds.version}`;
  const desired = seen?.desired ? ` of ${seen.desired.version}` : "";
  return [
    ["Network", device.connected ? "connected" : "not connected", device.connected ? "good" : "bad"],
    ["Sync", ...syncText(seen)],
    ["Holds", holds + desired],
    ["Firmware", firmwareText(device, seen)],
    [
      "Reasons",
      device.reportsReasons ? "reported" : "not reported by this firmware",
      device.reportsReasons ? undefined : "warn",
    ],
    [
      "Log",
      `${counted(device.logNext - device.logBegan, "entry", "entries")}, ${Math.max(0, device.logNext - device.logFirst)} not receipted`,
    ],
  ];
}

function syncText(seen) {
  if (seen === undefined || seen.syncState === null) return ["unknown"];
  if (seen.syncState === "in-sync") return ["in sync", "good"];
  const lock = seen.lock;
  if (lock?.progress) return [`syncing: ${progressText(lock.progress)}`, "warn"];
  const since = lock?.since ?? seen.pendingSince;
  const why = lock?.why ? ` (${lock.why.replaceAll("-", " ")})` : "";
  const tone = seen.syncState === "refused" || seen.syncState === "stale" ? "bad" : "warn";
  return [`${seen.syncState.replaceAll("-", " ")}${why}${since === null ? "" : ` since ${ago(since)}`}`, tone];
}

function progressText({ step, done, of }) {
  if (done === null) return step;
  return `${step} ${done}${of === null ? "" : ` of ${of}`} ${step === "log" ? "entries" : "bytes"}`;
}

function reportText(lock) {
  if (lock?.reported == null) return "never";
  return `version ${lock.reported.version}, ${ago(lock.reported.at)}`;
}

function clockText(clock) {
  if (clock.quality === "unset") return "not set";
  const seconds = Math.round((clock.errorMs ?? 0) / 1000);
  const error = seconds === 0 ? "right" : `${Math.abs(seconds)} s ${seconds > 0 ? "fast" : "slow"}`;
  return clock.quality === "set" ? error : `lost power: not before ${new Date(clock.unixMs).toLocaleTimeString()}`;
}

function firmwareText(device, seen) {
  const version = seen?.firmware.version ?? device.firmware ?? "not reported";
  return seen === undefined ? version : `${version} (${seen.firmware.verdict})`;
}

async function syncLock(device) {
  const card = cardByDevice.get(device);
  card.sync.disabled = true;
  setText(card.says, "The gateway visits the lock…");
  const done = await call("POST", "/agent/api/sync", { device });
  card.sync.disabled = false;
  setText(card.says, done.ok ? visitText(done.body) : `The visit failed: ${faultText(done.body)}`);
  await poll();
}

function visitText({ from, to, clock, logEntries, durationMs }) {
  const policy =
    from?.version === to.version ? `policy ${to.version} as before` : `policy ${from?.version ?? 0} to ${to.version}`;
  const time = clock?.written
    ? `, clock set by ${Math.round((clock.newMs - (clock.oldMs ?? clock.newMs)) / 1000)} s`
    : "";
  return `Synced in ${(durationMs / 1000).toFixed(1)} s: ${policy}${time}, ${counted(logEntries, "log entry", "log entries")}.`;
}

// Keypads.

function makeKeypad(device) {
  const dots = el("span", { class: "dots", "aria-hidden": "true" });
  const says = el("p", { class: "keypad-says", role: "status", "aria-live": "polite" });
  const order = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", device.checkMarkKey ? "check" : ""];
  const keys = order.map((key, place) => {
    if (key === "") return el("span", {});
    const label = key === "check" ? "Check mark: end the code" : key;
    const button = el("button", { type: "button", class: "key", "aria-label": label }, key === "check" ? "✓" : key);
    button.style.setProperty("--place", String(place));
    button.addEventListener("click", () => press(key));
    return button;
  });
  const waking = device.keypadWakesByKey ? "While it is dark, any key wakes it and does nothing else. " : "";
  const ending = device.checkMarkKey ? ", then the check mark" : "";
  const hint = `${waking}Type a ${device.digits}-digit code${ending}. Number keys work too.`;
  const root = el(
    "div",
    { class: "keypad", role: "group", "aria-label": `Keypad of ${device.name}` },
    dots,
    el("div", { class: "keys" }, ...keys),
    says,
    el("p", { class: "visually-hidden" }, hint),
  );
  let typed = 0;
  /** Keys pressed since the last outcome, also those that the lock has not answered yet. */
  let pressedKeys = 0;
  let queue = Promise.resolve();
  let clearShow;
  const setTyped = (count) => {
    typed = count;
    setText(dots, "●".repeat(Math.min(typed, 10)));
  };
  const show = (indicator, text) => {
    pressedKeys = 0;
    setTyped(0);
    setText(says, text);
    root.dataset.shows = indicator;
    clearTimeout(clearShow);
    clearShow = setTimeout(() => delete root.dataset.shows, 2_000);
  };
  const setAsleep = (isAsleep) => {
    if (isAsleep) setTyped(0);
    root.toggleAttribute("data-asleep", isAsleep);
  };
  const press = (key) => {
    delete root.dataset.shows;
    pressedKeys += 1;
    // One after the other: the lock must get the digits in their order.
    queue = queue.then(async () => {
      const pressed = await call("POST", `/api/locks/${device.id}/keypad`, { key });
      if (!pressed.ok) return show("blink", faultText(pressed.body));
      const outcome = pressed.body.outcomes.at(-1);
      if (outcome !== undefined) return show(outcome.indicator, outcomeText(outcome));
      setText(says, pressed.body.woke ? "Awake: type the code" : "");
      if (!pressed.body.woke && key !== "check") setTyped(typed + 1);
    });
  };
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key)) {
      event.preventDefault();
      press(event.key);
    } else if (event.key === "Enter" && device.checkMarkKey && pressedKeys > 0) {
      event.preventDefault();
      press("check");
    }
  });
  return { root, show, setAsleep };
}

function outcomeText({ granted, reason, indicator }) {
  if (granted) return "Opened";
  if (indicator === "timeout") return "Too slow: start again";
  return reason === undefined ? "Denied" : `Denied: ${reasonText(reason)}`;
}

// Panels and the visitor.

function showPanel(panel) {
  const card = cardByPanel.get(panel.id) ?? makePanelCard(panel);
  if (card.mounted === panel.mounted) return;
  card.mounted = panel.mounted;
  card.picture.replaceChildren(
    panel.mounted === null
      ? el("p", { class: "quiet" }, "No sticker hangs here yet: rotate the code and mount the print.")
      : el("img", {
          src: `/api/panels/${panel.id}/sticker.png?sticker=${panel.mounted}`,
          alt: `QR sticker of the ${panel.doorName}`,
        }),
  );
  card.scan.disabled = panel.mounted === null;
}

function makePanelCard(panel) {
  const picture = el("div", {});
  const photo = el("div", { class: "photo" });
  const scan = el("button", { type: "button", class: "main" }, "Photograph and open");
  const says = el("p", { class: "says", role: "status", "aria-live": "polite" });
  const residents = el("ul", { class: "residents" });
  const screen = el("div", { class: "screen", role: "status", "aria-live": "polite" });
  const root = el(
    "article",
    { class: "card", "data-panel": panel.id, "aria-label": `${panel.doorName}: ${panel.name}` },
    el("h3", {}, panel.doorName),
    el("p", { class: "quiet" }, `${panel.name}, a passive plate`),
    el(
      "div",
      { class: "sticker" },
      picture,
      el("div", { class: "visit" }, el("div", {}, scan, says, residents, screen), photo),
    ),
  );
  const card = { mounted: undefined, picture, photo, scan, says, residents, screen };
  scan.addEventListener("click", () => scanSticker(panel, card));
  byId("panels").append(root);
  cardByPanel.set(panel.id, card);
  return card;
}

async function scanSticker(panel, card) {
  card.scan.disabled = true;
  setText(card.says, "The visitor takes a picture…");
  card.screen.replaceChildren();
  const scanned = await call("POST", "/api/visitors/scan", { panel: panel.id });
  card.scan.disabled = false;
  if (!scanned.ok) return setText(card.says, `That did not work: ${faultText(scanned.body)}`);
  const { residents, problem, status, photo } = scanned.body;
  card.photo.replaceChildren(el("img", { src: photo, alt: "What the visitor's phone saw" }));
  const opened = residents === undefined ? `The page did not open: ${problem ?? status}` : "The directory opened:";
  setText(card.says, opened);
  card.residents.replaceChildren(...(residents ?? []).map((resident) => residentRow(panel, card, resident)));
}

function residentRow(panel, card, resident) {
  const button = el("button", { type: "button", "aria-label": `Call ${resident.name}` }, "Call");
  button.addEventListener("click", async () => {
    for (const other of card.residents.querySelectorAll("button")) other.disabled = true;
    card.screen.replaceChildren(el("p", {}, `Ringing ${resident.name}…`));
    const called = await call("POST", "/api/visitors/call", { panel: panel.id, resident: resident.id });
    for (const other of card.residents.querySelectorAll("button")) other.disabled = false;
    card.screen.replaceChildren(...(called.ok ? screenOf(called.body, panel) : [el("p", {}, faultText(called.body))]));
  });
  return el("li", {}, el("span", {}, `${resident.name}, ${resident.unit}`), button);
}

function screenOf({ state: callState, code, validOn, reason }, panel) {
  if (callState !== "code" || code === undefined) {
    const why =
      reason === undefined ? "" : `: ${String(reason).toLowerCase().replaceAll("_", " ").replaceAll("-", " ")}`;
    return [el("p", {}, `The call ended without a code (${callState}${why}).`)];
  }
  const locks = (state.world?.devices ?? []).filter((device) => device.door === panel.door && device.hasKeypad);
  const buttons = locks.map((lock) => {
    const button = el("button", { type: "button" }, `Type it at ${lock.name}`);
    button.addEventListener("click", async () => {
      const typed = await call("POST", "/api/visitors/type", { lock: lock.id });
      if (typed.ok) cardByDevice.get(lock.id)?.keypad?.show(typed.body.indicator, outcomeText(typed.body));
      else notice(faultText(typed.body));
    });
    return button;
  });
  return [
    el("p", {}, "Your code for today"),
    el("p", { class: "code" }, code),
    el("p", { class: "quiet" }, `Single use, valid on ${validOn} only.`),
    el("div", { class: "row" }, ...buttons),
  ];
}

// People.

function showPerson(person) {
  const card = personCards.get(person.id) ?? makePersonRow(person);
  const phone = person.phone === null ? "no phone" : `${person.phone.model}: ${phoneStateText(person.phone)}`;
  const unit = person.unit === null ? "no unit" : `unit ${person.unit}`;
  setText(card.about, `${person.role.toLowerCase().replaceAll("_", " ")}, ${unit}. ${phone}`);
}

function phoneStateText(phone) {
  if (phone.app === null || !phone.appInstalled) return "app not installed";
  if (!phone.notifications) return "notifications off";
  return phone.doNotDisturb ? "do not disturb" : "ready for calls";
}

function makePersonRow(person) {
  const about = el("span", { class: "quiet" });
  const says = el("p", { class: "says warn", role: "status", "aria-live": "polite" });
  const revoke = el("button", { type: "button", class: "danger", "aria-label": `Revoke ${person.name}` }, "Revoke");
  revoke.addEventListener("click", async () => {
    revoke.disabled = true;
    const done = await call("POST", `/cloud/api/people/${person.id}/revoke`, {});
    setText(says, done.ok ? "Revoked in the cloud. Offline locks learn it at their next sync." : faultText(done.body));
    await poll();
  });
  byId("people").append(
    el("li", { "data-person": person.id }, el("div", {}, el("h3", {}, person.name), about), revoke, says),
  );
  const card = { about, revoke };
  personCards.set(person.id, card);
  return card;
}

/** The form that sends somebody to a door; filled once, when the people are known. */
function fillTryForm() {
  const who = byId("try-person");
  if (who.options.length > 0) return;
  for (const { id, name } of state.world.people) who.append(el("option", { value: id }, name));
  for (const { id, doorName, model } of state.world.devices) {
    byId("try-device").append(el("option", { value: id }, `${doorName} (${model})`));
  }
  who.addEventListener("change", fillCredentials);
  byId("try").addEventListener("submit", tryDoor);
  fillCredentials();
}

function fillCredentials() {
  const person = state.world.people.find(({ id }) => id === byId("try-person").value);
  const carried = person?.credentials ?? [];
  byId("try-credential").replaceChildren(
    el("option", { value: "" }, "whatever fits"),
    ...carried.map(({ id, kind, own }) =>
      el("option", { value: id }, `${kind.replaceAll("-", " ")}${own ? "" : " (not theirs)"}`),
    ),
  );
}

async function tryDoor(event) {
  event.preventDefault();
  const device = byId("try-device").value;
  const credential = byId("try-credential").value;
  const body = { device, ...(credential === "" ? {} : { credential }) };
  const tried = await call("POST", `/api/people/${byId("try-person").value}/try`, body);
  const says = byId("try-says");
  says.className = `says ${tried.ok && tried.body.granted ? "good" : "bad"}`;
  setText(says, tried.ok ? outcomeText(tried.body) : faultText(tried.body));
  // A mechanical key leaves the keypad dark.
  const lit = tried.ok && tried.body.indicator !== "none";
  if (lit) cardByDevice.get(device)?.keypad?.show(tried.body.indicator, outcomeText(tried.body));
}

function showRevoked(person) {
  const card = personCards.get(person.id);
  if (card === undefined) return;
  const revoked = state.revoked.has(person.id);
  card.revoke.disabled = revoked;
  setText(card.revoke, revoked ? "Revoked" : "Revoke");
}

// The log.

function showLine(line) {
  if (lineByNumber.has(line.number)) return;
  const recorded = el("span", { class: "good" });
  const tone = { granted: "good", denied: "bad", "visit-failed": "bad", offline: "warn" }[line.kind] ?? "";
  const time = new Date(line.at).toLocaleTimeString("en-GB", { timeZone: state.world?.site.timeZone });
  const item = el("li", {}, el("time", {}, time), el("span", { class: tone }, lineText(line)), recorded);
  byId("log").prepend(item);
  lineByNumber.set(line.number, { line, recorded, item });
  byId("log-empty").hidden = true;
  if (lineByNumber.size > 200) {
    const [oldest] = lineByNumber.keys();
    lineByNumber.get(oldest).item.remove();
    lineByNumber.delete(oldest);
  }
}

function lineText(line) {
  const place = placeOf(line.device);
  const who = line.who === undefined ? "Somebody" : line.who === "visitor" ? "A visitor" : nameOf(line.who);
  const using = line.with === undefined ? "" : ` (${line.with.replaceAll("-", " ")})`;
  switch (line.kind) {
    case "granted":
      return `${who}${using} opened ${place}`;
    case "denied":
      return `${who}${using} was denied at ${place}${line.reason === undefined ? "" : `: ${reasonText(line.reason)}`}`;
    case "synced":
      return `${place} was synced${line.note === undefined ? "" : ` ${line.note}`}`;
    case "paired":
      return `${place} was paired by its card`;
    case "visit-failed":
      return `A visit to ${place} failed${line.reason === undefined ? "" : `: ${line.reason}`}`;
    case "online":
      return `${place} is on the network`;
    case "offline":
      return `${place} lost the network`;
    case "call":
      return `A visitor called ${nameOf(line.who)}: ${line.note === "code" ? "they got a code" : line.note}`;
    default:
      return `${place}: ${line.note ?? line.kind}`;
  }
}

function showRecorded({ line, recorded }) {
  const last = state.record.get(line.device);
  const has = line.sequence !== undefined && last !== undefined && last >= line.sequence;
  setText(recorded, has ? "✓" : "");
  if (has) recorded.title = "On record in the cloud";
}

// Small things.

function reasonText(reason) {
  return reason.toLowerCase().replaceAll("_", " ");
}

function nameOf(person) {
  return state.world?.people.find((other) => other.id === person)?.name ?? person;
}

function placeOf(device) {
  const found =
    state.world?.devices.find((other) => other.id === device) ??
    state.world?.panels.find((other) => other.id === device);
  return found === undefined ? device : found.name;
}

function counted(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function ago(unixSeconds) {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - unixSeconds));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3_600)} h ago`;
}

function faultText(body) {
  const code = body?.fault?.code ?? body?.code ?? "no answer";
  return String(code).replaceAll("-", " ");
}

function notice(text) {
  const element = byId("notice");
  element.hidden = text === "";
  setText(element, text);
}

async function call(method, path, body) {
  try {
    const response = await fetch(path, {
      method,
      ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    return { ok: response.ok, body: await response.json() };
  } catch {
    // The site process is away; the caller shows that.
    return { ok: false, body: undefined };
  }
}

function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function byId(id) {
  return document.getElementById(id);
}
