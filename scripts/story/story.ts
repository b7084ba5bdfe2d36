/**
 * The visitor's story, step by step. Each step makes something happen through the parts' own doors (commands, HTTP) and reads
 * what came of it where it happened: the lock's own log, the agent's status, the cloud's own record. What it names as evidence
 * is what the parts said; what it objects to makes the step fail.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { shrinkToPage } from "../../emulator/camera/office-printer.ts";
import { emulatedBezel } from "../../emulator/camera/photograph.ts";
import {
  agentStatus,
  deviceLog,
  exposures,
  type Finding,
  granted,
  namesOf,
  panels,
  recordEvents,
  recordSummary,
  type StepId,
} from "./evidence.ts";
import { fetchBytes, request, sendBytes, waitFor } from "./http.ts";
import { runCommand } from "./processes.ts";
import type { DemoWorld } from "./world.ts";

const panel = "lobby-link";
const panelWithoutLock = "package-link";
const rightLock = "lobby-lock";
const wrongLock = "roof-lock";
const offlineLocks = ["lobby-lock", "roof-lock", "apartment-2a-lock"];
const resident = "ana-reyes";
const revoked = "hugo-silva";
/** What he carries; a lock knows credentials and no people. */
const revokedCredential = "hugo-card";

/** Who comes and goes while the link upstream is down: person, device; the second part after the agent was killed. */
const comingsAndGoings = [
  ["ben-okafor", "gate-panel"],
  ["leo-marsh", "gate-panel"],
  ["jonas-weber", "gate-panel"],
  ["ella-novak", "garage-panel"],
  ["leo-marsh", "garage-panel"],
  ["ines-costa", "elevator-controller"],
  ["ben-okafor", "bike-room-reader"],
  ["ana-reyes", "gym-lock"],
  ["kira-lund", "lobby-lock"],
  ["ines-costa", "lobby-lock"],
  ["chloe-martin", "apartment-2a-lock"],
] as const;

export class Story {
  readonly #world: DemoWorld;
  #printed: PrintedFiles | undefined;
  /** The visitor's code, only to look for it where it must not be. */
  #code = "";
  #lastVisitBeforeCode: number | undefined;

  constructor(world: DemoWorld) {
    this.#world = world;
  }

  readonly steps: readonly (readonly [StepId, () => Promise<Finding>])[] = [
    ["print-sticker", () => this.#printSticker()],
    ["check-print", () => this.#checkPrint()],
    ["scan", () => this.#scan()],
    ["grade", () => this.#grade()],
    ["directory", () => this.#directory()],
    ["call", () => this.#call()],
    ["doorcode", () => this.#doorcode()],
    ["wrong-lock", () => this.#wrongLock()],
    ["exposure", () => this.#exposure()],
    ["sync", () => this.#sync()],
    ["revoked-denied", () => this.#revokedDenied()],
    ["outage", () => this.#outage()],
    ["upstream", () => this.#upstream()],
  ];

  /** Before the story: the offline locks get their first sync, as they would when they are mounted. */
  async prepare(): Promise<void> {
    await waitFor("the agent to know every device", async () => {
      const { devices, upstream } = agentStatus.parse(await this.#agent("GET", "/api/status"));
      const heard = devices.filter(({ network, online }) => network !== "mqtt" || online === true);
      return upstream.connected && heard.length >= 10 ? heard : undefined;
    });
    // The agent's certificate may still be on its way, and the first visits wait for it.
    for (const lock of offlineLocks) {
      await waitFor(`the first sync of ${lock}`, () => this.#doorlink(["sync", lock]));
    }
  }

  async #printSticker(): Promise<Finding> {
    // The sticker that hangs there today, printed and mounted before the rotation.
    const before = await this.#print("before");
    await this.#mount(before.png);
    const rotated = z
      .looseObject({ rotation: z.number(), payload: z.string() })
      .parse(await this.#cloud("POST", `/api/panels/${panel}/rotate`));
    await waitFor("the agent to hear of the new sticker", async () => {
      const known = panels.parse(await this.#agent("GET", "/api/panels"));
      return known.find((one) => one.panel === panel && one.current === rotated.payload);
    });
    this.#printed = await this.#print("after");
    const { payload, symbol, pdf, png } = this.#printed;
    await this.#mount(png);
    return {
      evidence: {
        panel,
        rotation: rotated.rotation,
        payload,
        symbol,
        pdf: basename(pdf),
        png: basename(png),
        pngSha256: sha256Hex(await readFile(png)),
      },
      line: `rotation ${rotated.rotation}, ${symbol.modules} modules on ${symbol.sizeMm} mm, as PDF and PNG`,
      objections: payload === rotated.payload ? [] : ["the printed payload is not the one that the authority minted"],
    };
  }

  async #checkPrint(): Promise<Finding> {
    const printed = this.#printed;
    if (printed === undefined) throw new Error("nothing was printed");
    const shrunk = join(this.#world.directory, "fit-to-page.png");
    await writeFile(shrunk, await shrinkToPage(await readFile(printed.png), 94));
    const good = await this.#check(printed.png);
    const pdf = await this.#check(printed.pdf);
    const bad = await this.#check(shrunk);
    const scaling = bad.report.size.scalePercent?.x ?? 0;
    return {
      evidence: {
        good: { exitCode: good.exitCode, ...good.report },
        pdf: { exitCode: pdf.exitCode, ...pdf.report },
        shrunk: { exitCode: bad.exitCode, ...bad.report },
      },
      line: `the print passes; the one shrunk by "fit to page" is refused at ${scaling.toFixed(1)} %`,
      objections: [
        ...(good.exitCode === 0 && good.report.verdict === "pass" ? [] : ["the good print file was not passed"]),
        ...(pdf.exitCode === 0 && pdf.report.verdict === "pass" ? [] : ["the good PDF was not passed"]),
        ...(bad.exitCode === 1 && bad.report.verdict === "fail" ? [] : ["the shrunk print file was not refused"]),
        ...(Math.abs(scaling - 94) <= 0.5 ? [] : [`the shrunk print was measured at ${scaling} %`]),
      ],
    };
  }

  async #scan(): Promise<Finding> {
    const scanned = scan.parse(await this.#site("POST", "/api/visitors/scan", { panel }));
    const old = scan.parse(await this.#site("POST", "/api/visitors/scan", { panel, sticker: 0 }));
    const photo = scanned.photo ? await fetchBytes(this.#world.urls.site + scanned.photo) : new Uint8Array(0);
    return {
      evidence: {
        text: scanned.text,
        status: scanned.status,
        photo: scanned.photo,
        photoSha256: sha256Hex(photo),
        retired: { text: old.text, status: old.status },
      },
      line: `the photograph reads, the directory opens (${scanned.status}); the retired sticker opens nothing (${old.status})`,
      objections: [
        ...(photo.length > 0 ? [] : ["the visitor took no photograph"]),
        ...(scanned.status === 200 ? [] : [`the directory answered ${scanned.status}`]),
        ...(old.text !== null && old.text !== scanned.text
          ? []
          : ["the retired sticker was not another, readable one"]),
        ...(old.status === 410 && (old.residents ?? []).length === 0
          ? []
          : [`the retired sticker answered ${old.status}`]),
      ],
    };
  }

  /** The visitor's photograph, judged by the agent: the panel's own bezel in it says how large the sticker is. */
  async #grade(): Promise<Finding> {
    const { photo } = scan.parse(await this.#site("POST", "/api/visitors/scan", { panel }));
    if (typeof photo !== "string") throw new Error("the visitor took no photograph");
    const file = join(this.#world.directory, "mounted.jpg");
    const specification = join(this.#world.directory, "sticker.yaml");
    const report = join(this.#world.directory, "mounted.pdf");
    await writeFile(file, await fetchBytes(this.#world.urls.site + photo));
    await writeFile(specification, `bezel: ${JSON.stringify(emulatedBezel)}\n`);
    const checked = await this.#check(file, "--as", "photo", "--specification", specification, "--report", report);
    const { verdict, size, identity, grade } = checked.report;
    const scaling = size.scalePercent?.x ?? 0;
    return {
      evidence: { exitCode: checked.exitCode, reportBytes: (await readFile(report)).length, ...checked.report },
      line: `on the wall hangs the ${identity?.verdict} sticker, ${scaling.toFixed(1)} % of its size, grade ${grade?.headline}`,
      objections: [
        ...(checked.exitCode === 0 && verdict === "pass" ? [] : [`the mounted sticker was judged ${verdict}`]),
        ...(identity?.verdict === "current" ? [] : [`the mounted sticker was called ${identity?.verdict}`]),
        ...(Math.abs(scaling - 100) <= 2 ? [] : [`the mounted sticker was measured at ${scaling} %`]),
      ],
    };
  }

  async #directory(): Promise<Finding> {
    const { residents } = scan.parse(await this.#site("POST", "/api/visitors/scan", { panel }));
    const listed = (residents ?? []).map(({ id }) => id).sort();
    const people = z.array(person).parse(await this.#cloud("GET", `/api/people?panel=${panel}`));
    const lacking = (what: "unit" | "key" | "shown") =>
      people.filter((one) => one.role === "RESIDENT" && one.intercom[what] === false).map(({ id }) => id);
    const complete = people.filter(
      ({ role, intercom }) => role === "RESIDENT" && intercom.unit && intercom.key && intercom.shown,
    );
    const lacks = { unit: lacking("unit"), key: lacking("key"), showInIntercom: lacking("shown") };
    const expected = complete.map(({ id }) => id).sort();
    return {
      evidence: { listed, lacks },
      line: `${listed.length} residents; ${lacks.unit} lacks a unit, ${lacks.key} the key, ${lacks.showInIntercom} is not shown`,
      objections: [
        ...(listed.length > 0 && listed.join() === expected.join()
          ? []
          : [`listed ${listed}, complete are ${expected}`]),
        ...Object.entries(lacks).flatMap(([what, who]) => (who.length === 1 ? [] : [`${who.length} lack ${what}`])),
      ],
    };
  }

  async #call(): Promise<Finding> {
    this.#lastVisitBeforeCode = await this.#lastVisit(rightLock);
    const answered = call.parse(await this.#site("POST", "/api/visitors/call", { panel, resident }));
    this.#code = answered.code ?? "";
    const { code: _, ...withoutCode } = answered;
    // A second panel, at a door without a lock in service.
    const sticker = await this.#print("elsewhere", panelWithoutLock);
    await this.#mount(sticker.png, panelWithoutLock);
    await this.#site("POST", "/api/visitors/scan", { panel: panelWithoutLock });
    const elsewhere = call.parse(await this.#site("POST", "/api/visitors/call", { panel: panelWithoutLock, resident }));
    return {
      evidence: { call: { ...withoutCode, digits: this.#code.length }, withoutActiveLock: elsewhere },
      line: `${resident} answers and makes a code of ${this.#code.length} digits; the package room offers none (${elsewhere.reason})`,
      objections: [
        ...(answered.state === "code" && this.#code !== "" ? [] : [`the call ended as ${answered.state}`]),
        ...(elsewhere.code === undefined && elsewhere.reason === "NO_ACTIVE_DEVICE"
          ? []
          : ["a door without a lock gave a code"]),
      ],
    };
  }

  async #doorcode(): Promise<Finding> {
    const opened = granted.parse(await this.#site("POST", "/api/visitors/type", { lock: rightLock }));
    const entry = (await this.#deviceLog(rightLock)).at(-1);
    const lastVisit = await this.#lastVisit(rightLock);
    return {
      evidence: {
        lock: rightLock,
        opened: opened.granted,
        lastVisitBeforeCode: this.#lastVisitBeforeCode,
        lastVisitNow: lastVisit,
        lockLog: entry,
      },
      line: `${rightLock} opens; nobody visited it since the code was made`,
      objections: [
        ...(opened.granted && entry?.kind === "access-granted" ? [] : ["the right lock did not open"]),
        ...(lastVisit === this.#lastVisitBeforeCode ? [] : ["the lock was visited in between"]),
      ],
    };
  }

  async #wrongLock(): Promise<Finding> {
    const tried = granted.parse(await this.#site("POST", "/api/visitors/type", { lock: wrongLock }));
    const entry = (await this.#deviceLog(wrongLock)).at(-1);
    await this.#doorlink(["sync", wrongLock]);
    const named = await waitFor("the authority to name the denial", async () => {
      const events = await this.#recordOf(wrongLock);
      return events.find(({ boot, sequence, authorityReason }) =>
        boot === entry?.boot && sequence === entry.sequence && authorityReason ? true : undefined,
      );
    });
    const found = await this.#placesWithCode();
    return {
      evidence: { lock: wrongLock, lockLog: entry, authorityReason: named.authorityReason, placesWithCode: found },
      line: `${wrongLock} says ${entry?.reason}; after its sync the authority says ${named.authorityReason}`,
      objections: [
        ...(tried.granted ? ["the wrong lock opened"] : []),
        ...(entry?.reason === "CREDENTIAL_UNKNOWN" ? [] : [`the lock said ${entry?.reason}`]),
        ...(named.authorityReason === "WRONG_LOCK" ? [] : [`the authority said ${named.authorityReason}`]),
        ...found.map((place) => `the code stands in ${place}`),
      ],
    };
  }

  async #exposure(): Promise<Finding> {
    await this.#cloud("POST", `/api/people/${revoked}/revoke`);
    const exposed = await waitFor("the agent's report of the exposure, in the cloud", async () => {
      const known = exposures.parse(await this.#cloud("GET", "/api/exposure"));
      return known.exposures.find(({ device, person: who }) => device === rightLock && who === revoked);
    });
    await this.#site("POST", `/api/people/${revoked}/try`, { device: rightLock });
    const entry = (await this.#deviceLog(rightLock)).at(-1);
    return {
      evidence: { exposure: exposed, lockLog: entry },
      line: `${revoked} is revoked and ${rightLock} still lets them in; reported since ${new Date(exposed.since * 1000).toISOString()}`,
      objections:
        entry?.kind === "access-granted" && entry.credential === revokedCredential
          ? []
          : ["the unsynced lock did not let them in"],
    };
  }

  async #sync(): Promise<Finding> {
    const outcome = syncResult.parse(await this.#doorlink(["sync", rightLock]));
    const left = exposures.parse(await this.#agent("GET", "/api/exposure"));
    const still = left.exposures.filter(({ device }) => device === rightLock);
    const before = outcome.from;
    return {
      evidence: { ...outcome, exposuresLeft: still.length },
      line: `policy ${before?.version} -> ${outcome.to?.version}, ${outcome.logEntries} log entries, battery ${outcome.battery?.percent} %, firmware ${outcome.firmware}`,
      objections: [
        ...(outcome.clock === null ? ["no time was given"] : []),
        ...((outcome.to?.version ?? 0) > (before?.version ?? 0) ? [] : ["the policy did not move"]),
        ...(outcome.logEntries > 0 ? [] : ["no log came back"]),
        ...(outcome.battery !== null && outcome.firmware !== null ? [] : ["battery or firmware did not come back"]),
        ...(still.length === 0 ? [] : ["the exposure stands after the sync"]),
      ],
    };
  }

  async #revokedDenied(): Promise<Finding> {
    await this.#site("POST", `/api/people/${revoked}/try`, { device: rightLock });
    const entry = (await this.#deviceLog(rightLock)).at(-1);
    return {
      evidence: { lockLog: entry },
      line: `${revoked} is denied: ${entry?.reason}`,
      objections:
        entry?.kind === "access-denied" &&
        entry.reason === "CREDENTIAL_REVOKED" &&
        entry.credential === revokedCredential
          ? []
          : ["the lock did not deny the revoked credential for that reason"],
    };
  }

  async #outage(): Promise<Finding> {
    await this.#cloud("POST", "/world/link", { up: false });
    await waitFor("the agent to notice", async () => {
      const { upstream } = agentStatus.parse(await this.#agent("GET", "/api/status"));
      return upstream.connected ? undefined : true;
    });
    const half = Math.ceil(comingsAndGoings.length / 2);
    for (const [who, device] of comingsAndGoings.slice(0, half)) await this.#try(who, device);
    const cutSync = syncResult.parse(await this.#doorlink(["sync", rightLock]));
    // The link comes back, but no receipt arrives: the agent sends everything and may forget nothing, and is killed then.
    await this.#cloud("POST", "/world/receipts", { lost: true });
    await this.#cloud("POST", "/world/link", { up: true });
    await waitFor("the cloud to have the first half", () => this.#compare());
    await this.#world.killAgent();
    for (const [who, device] of comingsAndGoings.slice(half)) await this.#try(who, device);
    await this.#cloud("POST", "/world/receipts", { lost: false });
    await this.#world.startAgent();
    await waitFor("the devices to be back at the agent", async () => {
      const { devices } = agentStatus.parse(await this.#agent("GET", "/api/status"));
      const back = devices.filter(({ network, online }) => network === "mqtt" && online === true);
      return back.length >= 5 ? back : undefined;
    });
    for (const lock of offlineLocks) await this.#doorlink(["sync", lock]);
    const compared = await waitFor("the cloud to have every event", () => this.#compare(), 25_000);
    await waitFor("the agent to have every receipt", async () => {
      const { upstream } = agentStatus.parse(await this.#agent("GET", "/api/status"));
      return upstream.outboxDepth === 0 ? true : undefined;
    });
    const summary = recordSummary.parse(await this.#cloud("GET", "/bench/record/summary"));
    const reasons = await this.#reasonsMissing();
    return {
      evidence: {
        timeDuringCut: cutSync.clock,
        ...compared,
        duplicates: summary.duplicates,
        gaps: summary.gaps,
        redelivered: summary.redelivered,
      },
      line: `${compared.events} events of ${Object.keys(compared.devices).length} devices, each once and in order, though ${summary.redelivered} came again after the agent was killed`,
      objections: [
        ...(summary.duplicates === 0 ? [] : [`${summary.duplicates} doubled`]),
        ...(summary.gaps === 0 ? [] : [`${summary.gaps} gaps`]),
        ...(summary.redelivered > 0 ? [] : ["nothing was sent twice, so nothing was put to the test"]),
        ...(cutSync.clock === null ? [] : ["time was given while the link was cut"]),
        ...reasons,
      ],
    };
  }

  async #upstream(): Promise<Finding> {
    const devices = z.array(cloudDevice).parse(await this.#cloud("GET", "/api/devices"));
    const verdicts = Object.fromEntries(devices.map(({ device, firmware }) => [device, firmware.verdict]));
    const seen = new Set(Object.values(verdicts));
    const wanted = ["ok", "below floor", "unknown", "not comparable", "no floor known", "not applicable"];
    const ageless = devices.filter(({ health }) => typeof health?.ageSeconds !== "number");
    const places = await this.#placesWithCode();
    return {
      evidence: { devices, placesWithCode: places },
      line: devices.map(({ device, firmware }) => `${device} ${firmware.verdict}`).join(", "),
      objections: [
        ...wanted.filter((verdict) => !seen.has(verdict)).map((verdict) => `no device is "${verdict}"`),
        ...ageless.map(({ device }) => `${device} has no age`),
        ...places.map((place) => `the visitor's code stands in ${place}`),
      ],
    };
  }

  /** What the cloud recorded and what each device's own log says, compared name by name; undefined while something is missing. */
  async #compare(): Promise<{ events: number; devices: Record<string, readonly string[]> } | undefined> {
    const known = z
      .array(z.looseObject({ device: z.string(), model: z.string() }))
      .parse(await this.#cloud("GET", "/api/devices"));
    const devices: Record<string, readonly string[]> = {};
    let events = 0;
    for (const { device, model } of known) {
      if (model === "DOOR Link" || device.startsWith("gateway-")) continue;
      const own = namesOf(await this.#deviceLog(device));
      const recorded = namesOf(await this.#recordOf(device));
      if (own.join("\n") !== recorded.join("\n")) return undefined;
      devices[device] = recorded;
      events += recorded.length;
    }
    return { events, devices };
  }

  /** Denials in the cloud's record without a reason and without the word that the firmware does not report them. */
  async #reasonsMissing(): Promise<readonly string[]> {
    const { events } = recordEvents.parse(await this.#cloud("GET", "/bench/record/events"));
    return events
      .filter(({ kind, reason, reasonAbsent }) => kind === "access-denied" && !reason && !reasonAbsent)
      .map(({ device, boot, sequence }) => `${device} ${boot}/${sequence} was denied without a reason`);
  }

  async #try(who: string, device: string): Promise<void> {
    granted.parse(await this.#site("POST", `/api/people/${who}/try`, { device }));
  }

  async #print(name: string, panelId = panel): Promise<PrintedFiles> {
    const directory = join(this.#world.directory, name);
    const { stickers } = stickersMade.parse(await this.#doorlink(["sticker", "make", panelId, "--out", directory]));
    const [{ payload, symbol, files }] = stickers;
    return { payload, symbol, ...files };
  }

  async #mount(png: string, panelId = panel): Promise<void> {
    await sendBytes(`${this.#world.urls.site}/api/panels/${panelId}/mount`, "image/png", await readFile(png));
  }

  async #check(
    file: string,
    ...options: readonly string[]
  ): Promise<{ exitCode: number; report: z.output<typeof stickerReport> }> {
    const args = ["sticker", "check", file, ...options, "--panel", panel, "--agent", this.#world.urls.agent, "--json"];
    const { exitCode, stdout, stderr } = await runCommand("doorlink", args);
    if (exitCode > 1) throw new Error(`doorlink sticker check ended with ${exitCode}: ${stderr.trim()}`);
    return { exitCode, report: stickerReport.parse(JSON.parse(stdout)) };
  }

  /** Runs an operator's command against the running agent and gives its JSON. */
  async #doorlink(args: readonly string[]): Promise<unknown> {
    const { exitCode, stdout, stderr } = await runCommand("doorlink", [
      ...args,
      "--agent",
      this.#world.urls.agent,
      "--json",
    ]);
    if (exitCode !== 0)
      throw new Error(`doorlink ${args.join(" ")} ended with ${exitCode}: ${stderr.trim()} ${stdout.trim()}`);
    return JSON.parse(stdout);
  }

  async #deviceLog(device: string): Promise<z.output<typeof deviceLog>["events"]> {
    return deviceLog.parse(await this.#site("GET", `/api/devices/${device}/log`)).events;
  }

  async #recordOf(device: string): Promise<z.output<typeof recordEvents>["events"]> {
    return recordEvents.parse(await this.#cloud("GET", `/bench/record/events?device=${device}`)).events;
  }

  /** When the agent visited this lock last, in milliseconds of its clock; it keeps the end of every visit, whatever came of it. */
  async #lastVisit(lock: string): Promise<number | undefined> {
    const { devices } = agentStatus.parse(await this.#agent("GET", "/api/status"));
    return devices.find(({ device }) => device === lock)?.lastSyncAt ?? undefined;
  }

  /** Every file that the parts keep or log into, searched for the visitor's code standing alone. */
  async #placesWithCode(): Promise<readonly string[]> {
    const standsAlone = new RegExp(`(?<![0-9])${this.#code}(?![0-9])`);
    const files = await readdir(this.#world.directory, { recursive: true, withFileTypes: true });
    const places: string[] = [];
    for (const file of files) {
      if (!file.isFile()) continue;
      const path = join(file.parentPath, file.name);
      if (standsAlone.test(await readFile(path, "latin1"))) places.push(path);
    }
    const answers = [
      ["the agent's log", this.#world.urls.agent, "/api/log"],
      ["the agent's status", this.#world.urls.agent, "/api/status"],
      ["the cloud's record", this.#world.urls.cloud, "/bench/record/events"],
    ] as const;
    for (const [name, url, path] of answers) {
      if (standsAlone.test(JSON.stringify(await request("GET", url + path)))) places.push(name);
    }
    return places;
  }

  #cloud(method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
    return request(method, this.#world.urls.cloud + path, body);
  }

  #site(method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
    return request(method, this.#world.urls.site + path, body);
  }

  #agent(method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
    return request(method, this.#world.urls.agent + path, body);
  }
}

/** Names a picture by its bytes, so that two runs can be compared without keeping either. */
function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const scan = z.looseObject({
  text: z.string().nullable(),
  status: z.number().nullish(),
  photo: z.string().nullish(),
  residents: z.array(z.looseObject({ id: z.string() })).nullish(),
});
const call = z.looseObject({ state: z.string(), code: z.string().optional(), reason: z.string().nullish() });
const person = z.looseObject({
  id: z.string(),
  role: z.string(),
  intercom: z.looseObject({ unit: z.boolean(), key: z.boolean(), shown: z.boolean() }),
});
const version = z.looseObject({ epoch: z.number(), version: z.number() });
const syncResult = z.looseObject({
  device: z.string(),
  from: version.nullable(),
  to: version.nullable(),
  clock: z.looseObject({ written: z.boolean() }).nullable(),
  logEntries: z.number(),
  battery: z.looseObject({ percent: z.number() }).nullable(),
  firmware: z.string().nullable(),
});
const oneSticker = z.looseObject({
  payload: z.string(),
  symbol: z.looseObject({ sizeMm: z.number(), modules: z.number() }),
  files: z.looseObject({ pdf: z.string(), png: z.string() }),
});
const stickersMade = z.looseObject({ stickers: z.tuple([oneSticker]) });
type PrintedFiles = Pick<z.output<typeof oneSticker>, "payload" | "symbol"> & z.output<typeof oneSticker>["files"];
const stickerReport = z.looseObject({
  verdict: z.string(),
  size: z.looseObject({ scalePercent: z.looseObject({ x: z.number(), y: z.number() }).nullish() }),
  identity: z.looseObject({ verdict: z.string() }).nullish(),
  grade: z.looseObject({ headline: z.string() }).nullish(),
});
const cloudDevice = z.looseObject({
  device: z.string(),
  firmware: z.looseObject({ verdict: z.string() }),
  health: z.looseObject({ ageSeconds: z.number().nullable() }).nullish(),
});
