/**
 * What a visitor sees on the phone: the directory behind a sticker, the call, the doorcode; and the plain pages for a sticker
 * that opens nothing. Each page carries its style and script itself and loads nothing from anywhere.
 */
import { createHash } from "node:crypto";
import type { Call, CallReason } from "../calls.ts";
import { Html, html } from "./html.ts";

export interface DirectoryView {
  readonly siteName: string;
  readonly panelName: string;
  readonly doorName: string;
  /** Where the call buttons post to. */
  readonly callPath: string;
  readonly residents: readonly { readonly id: string; readonly name: string; readonly unit: string }[];
}

export function directoryPage(view: DirectoryView): string {
  const rows = view.residents.map(
    (resident) => html`<li><form method="post" action="${view.callPath}">
<input type="hidden" name="resident" value="${resident.id}">
<span class="who"><b>${resident.name}</b><small>${resident.unit}</small></span>
<button aria-label="Call ${resident.name}">Call</button></form></li>`,
  );
  const list =
    rows.length === 0
      ? html`<p class="note">Nobody is listed at this door. Please ask the property's management.</p>`
      : html`<p class="note">Whom are you visiting?</p><ul>${rows}</ul>`;
  return page(view.doorName, html`${head(view.siteName, view.doorName, view.panelName)}${list}`);
}

export function callPage(siteName: string, call: Call): string {
  const body = html`${head(siteName, call.doorName, "")}
<section class="call" data-state="${call.state}">${callBody(call)}</section>
<p class="back"><a href="${call.directoryPath}">Back to the directory</a></p>`;
  const moving = call.state === "ringing" || call.state === "answered";
  return page(callTitle(call), body, moving);
}

/** A sticker that was replaced (410), or one that was never this site's (404). No name, no door: it tells nothing. */
export function deadStickerPage(kind: "retired" | "unknown"): string {
  const text =
    kind === "retired"
      ? html`<h1>This sticker is no longer valid</h1><p>The code at this door was replaced. Please scan the new sticker on the panel.
If there is none, ask the property's management.</p>`
      : html`<h1>This code opens nothing here</h1><p>It is not a sticker of this property. Please scan the sticker on the panel at the door.</p>`;
  return page("Not valid", html`<section class="dead">${text}</section>`);
}

export function plainPage(title: string, text: string): string {
  return page(title, html`<section class="dead"><h1>${title}</h1><p>${text}</p></section>`);
}

/** The headers of every page: nothing foreign runs, nothing is kept, no address is told to anybody. */
export function pageHeaders(): Readonly<Record<string, string>> {
  return {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": contentSecurityPolicy,
  };
}

function callBody(call: Call): Html {
  switch (call.state) {
    case "ringing":
      return html`<h2>Calling ${call.residentName}</h2><p class="dots" aria-hidden="true"><i></i><i></i><i></i></p>
<p>Keep this page open. The code appears here.</p>`;
    case "answered":
      return html`<h2>${call.residentName} answered</h2><p class="dots" aria-hidden="true"><i></i><i></i><i></i></p>
<p>Waiting for your doorcode.</p>`;
    case "code":
      return codeBody(call);
    case "refused":
    case "failed":
      return html`<h2>No doorcode</h2><p>${reasonText(call)}</p>`;
  }
}

function codeBody(call: Call): Html {
  const given = call.given;
  if (given === undefined || given.code === "") {
    return html`<h2>This doorcode has expired</h2><p>It was valid on one day only. Please call again.</p>`;
  }
  const digits = [...given.code].map((digit) => html`<span>${digit}</span>`);
  return html`<h2>Your doorcode</h2><p class="code" role="img" aria-label="${[...given.code].join(" ")}">${digits}</p>
<p class="where">Type it on the lock of <b>${call.doorName}</b></p>
<p class="valid">Valid today only<small>${given.validOn}${given.singleUse ? " · opens once" : ""}</small></p>`;
}

function callTitle(call: Call): string {
  return call.state === "code" ? "Your doorcode" : call.doorName;
}

function reasonText(call: Call): string {
  const texts: Readonly<Record<CallReason, string>> = {
    "no-phone": `${call.residentName} cannot be reached by phone at the moment.`,
    "no-answer": `${call.residentName} did not answer.`,
    "no-code-in-time": `${call.residentName} answered but sent no doorcode.`,
    declined: `${call.residentName} did not send a doorcode.`,
    NO_ACTIVE_DEVICE: `No doorcode can be made for ${call.doorName}: it has no lock in service.`,
    APP_TOO_OLD: `${call.residentName}'s app has to be updated before it can make a doorcode.`,
    OPTION_NOT_SHOWN: `${call.residentName}'s app offered no doorcode. Please ask the property's management.`,
    NO_ACCESS: `${call.residentName} has no key to ${call.doorName}.`,
    SLOTS_EXHAUSTED: "All doorcodes of today are taken. Please ask the property's management.",
    NOT_ISSUED: "A doorcode could not be made. Please ask the property's management.",
  };
  return texts[call.reason ?? "NOT_ISSUED"];
}

function head(siteName: string, doorName: string, panelName: string): Html {
  return html`<header><small>${siteName}</small><h1>${doorName}</h1>${panelName === "" ? "" : html`<p>${panelName}</p>`}</header>`;
}

function page(title: string, body: Html, polls = false): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>${new Html(style)}</style>
${polls ? html`<noscript><meta http-equiv="refresh" content="3"></noscript>` : ""}</head>
<body><main>${body}</main>${polls ? html`<script>${new Html(script)}</script>` : ""}</body></html>
`.text;
}

const style = `
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--ink:#16202c;--soft:#566273;--line:#d9dee5;--accent:#0b5f4e;--on-accent:#fff}
@media(prefers-color-scheme:dark){:root{--ground:#10161d;--card:#1a232d;--ink:#eef2f6;--soft:#a3b0bf;--line:#2d3945;--accent:#4fd1ae;--on-accent:#06261f}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1.0625rem/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:30rem;margin:0 auto;padding:1.25rem 1rem 2.5rem}
header{padding:.25rem .25rem 1rem}
header h1{margin:.1rem 0 0;font-size:1.9rem;line-height:1.15}
header p,header small,.note,.back{color:var(--soft)}
header p{margin:.2rem 0 0}
.note{margin:0 .25rem .6rem}
ul{list-style:none;margin:0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden}
li+li{border-top:1px solid var(--line)}
form{display:flex;align-items:center;gap:.75rem;padding:.8rem 1rem;margin:0}
.who{flex:1;min-width:0;overflow-wrap:anywhere}
.who b{display:block;font-weight:600}
.who small{color:var(--soft)}
button{font:inherit;font-weight:600;min-height:2.9rem;padding:0 1.3rem;border:0;border-radius:999px;background:var(--accent);color:var(--on-accent);cursor:pointer}
button:focus-visible,a:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
.call,.dead{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.6rem 1.1rem;text-align:center}
.call h2{margin:.1rem 0 .6rem;font-size:1.35rem;overflow-wrap:anywhere}
.dead{margin-top:12vh}
.dead h1{margin:0 0 .5rem;font-size:1.5rem}
.code{display:flex;justify-content:center;gap:clamp(.2rem,1.6vw,.5rem);margin:1rem 0;font:700 clamp(2.3rem,11.5vw,3.6rem)/1.1 ui-monospace,"DejaVu Sans Mono",Menlo,monospace;color:var(--accent)}
.where{margin:.4rem 0;font-size:1.15rem}
.valid{display:inline-block;margin:.7rem 0 .2rem;padding:.5rem 1.1rem;border:1px solid var(--line);border-radius:12px;font-weight:600}
.valid small{display:block;font-weight:400;color:var(--soft)}
.dots i{display:inline-block;width:.7rem;height:.7rem;margin:.3rem;border-radius:50%;background:var(--accent);animation:beat 1.2s infinite}
.dots i:nth-child(2){animation-delay:.2s}.dots i:nth-child(3){animation-delay:.4s}
@keyframes beat{0%,80%,100%{opacity:.25}40%{opacity:1}}
@media(prefers-reduced-motion:reduce){.dots i{animation:none}}
.back{text-align:center;margin-top:1.2rem}
a{color:var(--accent)}
`;

// Asks once a second whether the call has moved, and shows the page anew when it has.
const script = `
const shown = document.querySelector("[data-state]").dataset.state;
async function look() {
  try {
    const answer = await fetch(location.pathname, { headers: { accept: "application/json" } });
    if (!answer.ok || (await answer.json()).state !== shown) return location.reload();
  } catch (offline) { void offline; }
  setTimeout(look, 1000);
}
setTimeout(look, 1000);
`;

const sourceHash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src ${sourceHash(style)}`,
  `script-src ${sourceHash(script)}`,
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");
