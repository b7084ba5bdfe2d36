import { describe, expect, it } from "vitest";
import { formatTopic, isRetained, parseTopic, type Topic } from "../../protocol/wire/topics.ts";
import { readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly values: readonly { readonly text: string; readonly topic: Topic; readonly retained: boolean }[];
  readonly broken: readonly { readonly what: string; readonly text: string }[];
}>("topics.json");

describe("topics.json", () => {
  it.each(vectors.values)("[T1] reads $text and writes the same", ({ text, topic }) => {
    expect(parseTopic(text)).toEqual(topic);
    expect(formatTopic(topic)).toBe(text);
  });

  it.each(vectors.values)("[T3] $text is retained: $retained", ({ topic, retained }) => {
    expect(isRetained(topic.channel)).toBe(retained);
  });

  it.each(vectors.broken)("[T1] $what is no topic: $text", ({ text }) => {
    expect(parseTopic(text)).toBeUndefined();
  });
});
