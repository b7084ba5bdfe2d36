/** HTML that cannot be injected into: everything put into the template is escaped unless it is HTML already. */

export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A template of HTML; interpolated texts and numbers are escaped, `Html` and lists of it are taken as they are. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(
    parts.map((part, index) => part + (index < values.length ? toHtml(values[index] ?? "") : "")).join(""),
  );
}

export type HtmlValue = string | number | Html | readonly Html[];

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function toHtml(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (typeof value === "string" || typeof value === "number") return escapeHtml(String(value));
  return value.map((each) => each.text).join("");
}
