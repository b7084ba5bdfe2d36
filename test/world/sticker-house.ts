/**
 * A site's authority and a gateway of it in one process, for what is asked about stickers: the emulated cloud, the agent's own loop with its HTTP
 * side, and its `sticker` commands, on one stepped clock.
 */
import { Command } from "commander";
import { Gateway } from "../../agent/gateway.ts";
import { createApp } from "../../agent/http/server.ts";
import { faultView, panelsAnswer, panelView } from "../../agent/http/views.ts";
import type { StickerCommandDeps } from "../../agent/sticker/command-parts.ts";
import { registerStickerCommands } from "../../agent/sticker/commands.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import { parseTopic } from "../../protocol/wire/topics.ts";
import { siteText } from "../emulator/cloud/fixture.ts";
import { gatewayId, MemoryBroker, memoryLog, ScriptedRadio, site } from "./gateway-builder.ts";
import { MemoryStore } from "./memory-store.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { VirtualCloud } from "./virtual-cloud.ts";

export class StickerHouse {
  readonly clock: SteppedClock;
  readonly cloud: VirtualCloud;
  readonly #store = new MemoryStore();
  #gateway: Gateway | undefined;

  private constructor(clock: SteppedClock, cloud: VirtualCloud) {
    this.clock = clock;
    this.cloud = cloud;
  }

  /** With its site imported, and a gateway that has heard everything. */
  static async start(): Promise<StickerHouse> {
    const clock = new SteppedClock();
    const cloud = await VirtualCloud.start(7, clock);
    cloud.cloud.authority.registerGateway(gatewayId, "a password");
    cloud.importSite(siteText);
    const house = new StickerHouse(clock, cloud);
    await house.startGateway();
    return house;
  }

  /** A life of the gateway, on the disk of the one before. */
  async startGateway(): Promise<void> {
    const { clock, cloud } = this;
    let count = 0;
    const gateway = new Gateway({
      self: {
        site,
        gateway: gatewayId,
        version: "0.1.0",
        bootCount: 1,
        courierPublicKey: new Uint8Array(32).fill(7),
        timePublicKey: new Uint8Array(32).fill(8),
        startedAtMs: clock.nowMs(),
      },
      store: this.#store,
      radio: new ScriptedRadio(clock),
      runPairing: async () => ({ ok: false, fault: { code: "not-found" } }),
      runVisit: () => Promise.reject(new Error("nobody is visited here")),
      transport: cloud.transport(gatewayId),
      clock,
      random: { bytes: (length) => new Uint8Array(length).fill(++count), fraction: () => 0.5 },
      log: memoryLog([]),
      courierPrivateKey: new Uint8Array(32).fill(3),
      backoff: { firstMs: 500, capMs: 10_000 },
      schedule: { automatic: false },
      healthIntervalMs: 60_000,
      onFatal: (error) => {
        throw error;
      },
    });
    await gateway.load();
    gateway.start(new MemoryBroker());
    this.#gateway = gateway;
    await clock.advance(5_000);
  }

  /** kill -9: the cloud hears of nothing, and the next life reads the disk. */
  killGateway(): void {
    this.cloud.hangUp(gatewayId);
    this.#gateway = undefined;
  }

  setLink(up: boolean): void {
    this.cloud.setLink(gatewayId, up);
  }

  /** One `doorlink sticker ...`, answered by this gateway. */
  async run(...words: readonly string[]) {
    let [out, warned, exit] = ["", "", -1];
    const program = new Command().exitOverride();
    registerStickerCommands(program, {
      fetchPanels: () => this.panels(),
      nowMs: () => 1_790_000_000_000,
      changeSticker: (change) => this.change(change),
      write: (text) => {
        out += text;
      },
      warn: (text) => {
        warned += text;
      },
      finish: (exitCode) => {
        exit = exitCode;
      },
    });
    await program.parseAsync(["sticker", ...words], { from: "user" });
    return { out, warned, exit };
  }

  async panels(): Promise<readonly PanelRecord[]> {
    return panelsAnswer.parse(await this.#ask({ method: "GET", url: "/api/panels" }));
  }

  async panel(name = "lobby-link"): Promise<PanelRecord> {
    const found = (await this.panels()).find(({ panel }) => panel === name);
    assert(found !== undefined, "the site has this panel");
    return found;
  }

  async change(
    change: Parameters<StickerCommandDeps["changeSticker"]>[0],
  ): ReturnType<StickerCommandDeps["changeSticker"]> {
    const answer = await this.#ask({ method: "POST", url: "/api/sticker", payload: change });
    const refused = faultView.safeParse(answer);
    if (!refused.success) return { ok: true, value: panelView.parse(answer) };
    const { code, reason } = refused.data.fault;
    return { ok: false, fault: { code, ...(reason === undefined ? {} : { reason }) } };
  }

  /** What a phone gets that opens a payload: the directory or a dead end. */
  async open(payload: string): Promise<number> {
    const url = new URL(payload.toLowerCase()).pathname.replace("/l/", "/L/");
    const answer = await this.cloud.cloud.http.inject({ method: "GET", url, headers: { accept: "application/json" } });
    await this.clock.advance(200);
    return answer.statusCode;
  }

  /** A gateway's message, past the agent. */
  says(topic: string, message: object): boolean {
    const parsed = parseTopic(`dl/1/${site}/${topic}`);
    assert(parsed !== undefined, `${topic} is a topic`);
    return this.cloud.cloud.intake.receive(gatewayId as DeviceId, parsed, utf8(JSON.stringify(message)));
  }

  /** Desired documents of a panel as they were published, oldest first. */
  lists(panel: string): readonly string[] {
    return this.cloud.desiredHistory.get(panel) ?? [];
  }

  async #ask(request: { readonly method: "GET" | "POST"; readonly url: string; readonly payload?: object }) {
    const gateway = this.#gateway;
    assert(gateway !== undefined, "the gateway runs");
    const app = createApp({ gateway, store: this.#store, clock: this.clock });
    const waiting = app.inject({ ...request, headers: { host: "127.0.0.1" } });
    let isAnswered = false;
    const answered = waiting.then((response) => {
      isAnswered = true;
      return response;
    });
    for (let round = 0; round < 200 && !isAnswered; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.clock.advance(100);
    }
    return (await answered).json();
  }
}
