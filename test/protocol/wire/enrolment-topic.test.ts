import { describe, expect, it } from "vitest";
import {
  claimClient,
  formatEnrolmentTopic,
  isClaimClient,
  parseEnrolmentTopic,
} from "../../../protocol/wire/enrolment-topic.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";

describe("enrolment topics", () => {
  it("[I3] name the client that they are of, and are no other topic", () => {
    const client = claimClient(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 255));
    expect(client).toBe("claim-00010203040506ff");
    expect(isClaimClient(client)).toBe(true);
    for (const end of ["request", "answer"] as const) {
      const topic = formatEnrolmentTopic({ client, end });
      expect(topic).toBe(`dl/1/enrol/claim-00010203040506ff/${end}`);
      expect(parseEnrolmentTopic(topic)).toEqual({ client, end });
      expect(parseTopic(topic)).toBeUndefined();
    }
  });

  it.each([
    "dl/1/enrol/x/request",
    "dl/1/enrol/panel/event",
    "dl/1/enrol/panel/request/more",
    "dl/2/enrol/panel/request",
    "dl/1/enrol/PANEL/request",
    "dl/1/enrol/+/request",
    "",
  ])("[I3] %s is none", (topic) => {
    expect(parseEnrolmentTopic(topic)).toBeUndefined();
  });

  it.each(["claim-", "claim-00010203040506f", "claim-00010203040506FF", "panel-r20"])(
    "[I2] %s is no claim's id",
    (id) => {
      expect(isClaimClient(id)).toBe(false);
    },
  );
});
