/**
 * The two topics of enrolment, `dl/1/enrol/<client>/request` and `.../answer`: the client's own MQTT client id stands in them, so that a
 * broker can hold each connection to its own pair. A claim connection calls itself `claim-` and 16 random hex digits, an enrolled device
 * by its device id. Neither topic is of the grammar of T1. Source: SPEC I3.
 */
export const enrolmentTopicEnds = ["request", "answer"] as const;
export type EnrolmentTopicEnd = (typeof enrolmentTopicEnds)[number];

export interface EnrolmentTopic {
  readonly client: string;
  readonly end: EnrolmentTopicEnd;
}

export function formatEnrolmentTopic({ client, end }: EnrolmentTopic): string {
  return `dl/1/enrol/${client}/${end}`;
}

/** Anything else gives undefined. */
export function parseEnrolmentTopic(text: string): EnrolmentTopic | undefined {
  const [, client, end] = pattern.exec(text) ?? [];
  if (client === undefined) return undefined;
  return { client, end: end === "answer" ? "answer" : "request" };
}

export function isClaimClient(client: string): boolean {
  return claimClientPattern.test(client);
}

/** `random`: 8 bytes. */
export function claimClient(random: Uint8Array): string {
  return `claim-${[...random.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const pattern = /^dl\/1\/enrol\/([a-z0-9-]{3,32})\/(request|answer)$/;
const claimClientPattern = /^claim-[0-9a-f]{16}$/;
