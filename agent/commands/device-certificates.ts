/** `doorlink device list`, `show DEVICE` and `revoke DEVICE`. */
import type { Command } from "commander";
import { type EnrolmentView, enrolmentsAnswer, enrolmentView } from "../http/enrolment-routes.ts";
import { statusView } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows, timeText } from "./output.ts";

export interface DeviceCommandParts {
  readonly contextOf: (options: { readonly json?: boolean }) => Promise<CommandContext>;
  readonly finish: (exitCode: number) => void;
}

interface Options {
  readonly json?: boolean;
}

export function registerShownCommands(device: Command, { contextOf, finish }: DeviceCommandParts): void {
  const add = (name: string, description: string): Command =>
    device.command(name).description(description).option("--json", "one JSON object on stdout");
  add("list", "every device of the site, and how its certificate stands").action(async (options: Options) => {
    finish(await runDeviceList(await contextOf(options)));
  });
  add("show <device>", "one device: network, last words, certificate").action(
    async (name: string, options: Options) => {
      finish(await runDeviceShow(name, await contextOf(options)));
    },
  );
  add("revoke <device>", "take a networked device's certificates back at once").action(
    async (name: string, options: Options) => {
      finish(await runDeviceRevoke(name, await contextOf(options)));
    },
  );
}

type Rows = Exclude<Awaited<ReturnType<typeof rowsOf>>, number>;

/** 1: a certificate is overdue, expired or revoked. */
export async function runDeviceList(context: CommandContext): Promise<number> {
  const rows = await rowsOf(context);
  if (typeof rows === "number") return rows;
  if (context.json) writeJson(context, rows);
  else {
    const lines = rows.devices.map((row) => [
      row.device,
      row.model,
      row.doorName,
      row.network,
      onlineText(row),
      certificateText(row.enrolment),
    ]);
    context.write(alignRows([["DEVICE", "MODEL", "DOOR", "NETWORK", "STATE", "CERTIFICATE"], ...lines]));
  }
  return rows.devices.some(({ enrolment }) => isFinding(enrolment)) ? exitCodes.finding : exitCodes.fine;
}

export async function runDeviceShow(device: string, context: CommandContext): Promise<number> {
  const rows = await rowsOf(context);
  if (typeof rows === "number") return rows;
  const row = rows.devices.find((one) => one.device === device);
  if (row === undefined) {
    context.warn(`doorlink: unknown-device: ${device.slice(0, NAME_LIMIT)} is not a device of this site\n`);
    return exitCodes.usage;
  }
  if (context.json) writeJson(context, row);
  else context.write(alignRows(showLines(row)));
  return isFinding(row.enrolment) ? exitCodes.finding : exitCodes.fine;
}

/** 0: revoked, and whatever lived on its certificate has ended. */
export async function runDeviceRevoke(device: string, context: CommandContext): Promise<number> {
  const path = `/api/enrolments/${encodeURIComponent(device)}/revoke`;
  const answer = await context.client.post(path, {}, enrolmentView, REVOKE_LIMIT_MS);
  if (!answer.ok) return complain(context, answer.fault);
  if (context.json) writeJson(context, answer.value);
  else context.write(`${device}: revoked; doorlink device add ${device} --mqtt gives it a place again\n`);
  return exitCodes.fine;
}

async function rowsOf(context: CommandContext) {
  const status = await context.client.get("/api/status", statusView);
  if (!status.ok) return complain(context, status.fault);
  const asked = await context.client.get("/api/enrolments", enrolmentsAnswer);
  // With an external broker the certificates are not this gateway's.
  if (!asked.ok && asked.fault.code !== "refused") return complain(context, asked.fault);
  const enrolments = asked.ok ? asked.value.enrolments : [];
  const devices = status.value.devices.map(
    ({ device, model, door, doorName, network, online, heardAt, heardAgeSeconds, firmware }) => ({
      ...{ device, model, door, doorName, network, online, heardAt, heardAgeSeconds, firmware },
      enrolment: enrolments.find((one) => one.device === device) ?? null,
    }),
  );
  return { at: status.value.at, clockTrusted: asked.ok ? asked.value.clockTrusted : null, devices };
}

function showLines(row: Rows["devices"][number]): string[][] {
  const { device, model, doorName, door, network, online, heardAgeSeconds, firmware, enrolment } = row;
  const lines = [
    ["device", device],
    ["model", model],
    ["door", `${doorName} (${door})`],
    ["network", network],
    ["online", onlineText({ online, heardAgeSeconds })],
    ["firmware", firmware.version ?? "not known"],
  ];
  if (network !== "mqtt") return lines;
  lines.push(["certificate", certificateText(enrolment)]);
  const { certificate = null, claim = null, revokedAt = null } = enrolment ?? {};
  if (certificate !== null) {
    lines.push(["  serial", certificate.serialNumber], ["  until", `${timeText(certificate.notAfter)} UTC`]);
    lines.push(["  renews", `${timeText(certificate.renewAt)} UTC`]);
  }
  if (claim !== null) {
    const state =
      claim.usedAt === null ? `open until ${timeText(claim.expiresAt)} UTC` : `used ${timeText(claim.usedAt)} UTC`;
    lines.push(["claim", `serial ${claim.serial}, ${state}, ${claim.tries} tries, ${claim.otherKeys} by another key`]);
  }
  if (revokedAt !== null) lines.push(["revoked", `${timeText(revokedAt)} UTC`]);
  return lines;
}

function onlineText(row: { readonly online: boolean | null; readonly heardAgeSeconds: number | null }): string {
  if (row.online === null) return "nobody can say";
  if (row.online) return "online";
  return row.heardAgeSeconds === null ? "never heard" : `away ${ageText(row.heardAgeSeconds)}`;
}

function certificateText(enrolment: EnrolmentView | null): string {
  if (enrolment === null) return "-";
  const { state, certificate } = enrolment;
  if (state === "none") return "none";
  if (state === "claim-open") return "none, a claim is open";
  if (certificate === null) return state;
  return state === "good" ? `good until ${timeText(certificate.notAfter).slice(0, 10)}` : state;
}

function isFinding(enrolment: EnrolmentView | null): boolean {
  return enrolment !== null && ["overdue", "expired", "revoked"].includes(enrolment.state);
}

const NAME_LIMIT = 64;
const REVOKE_LIMIT_MS = 10_000;
