/** Of the section `broker`: where the embedded broker listens, with what certificates, and how fast devices may connect. SPEC B8, B9, B11. */
import { isIP } from "node:net";
import { z } from "zod";
import { isOwnAddress } from "./connect-gate.ts";

const name = z
  .string()
  .max(253)
  .refine(
    (text) => isIP(text) !== 0 || namePattern.test(text),
    "a host name or an address, as devices are told to connect to",
  );

export const listenFields = {
  /** Loopback when absent. */
  listen: z
    .string()
    .refine((text) => isIP(text) !== 0, "an address of this machine, such as 0.0.0.0 for all of them")
    .optional(),
  tls: z
    .strictObject({
      /** What the broker's certificate is for. */
      names: z.array(name).min(1).max(16),
      /** Life of devices' certificates; they renew at two thirds of it. */
      certificateDays: z.number().int().min(1).max(825).default(365),
    })
    .optional(),
  connects: z
    .strictObject({
      perSecond: z.number().int().min(1).max(10_000).default(100),
      perAddressPerSecond: z.number().int().min(1).max(10_000).default(20),
    })
    .optional(),
};

/** For the section `broker`. */
export function refuseOpenListener(
  { listen, tls }: { readonly listen?: string | undefined; readonly tls?: object | undefined },
  context: { addIssue(issue: { code: "custom"; path: string[]; message: string }): void },
): void {
  // SPEC B11: passwords and door logs of a house do not cross a network in the clear.
  if (listen === undefined || isIP(listen) === 0 || isOwnAddress(listen) || tls !== undefined) return;
  const message =
    "a loopback address such as 127.0.0.1, or broker.tls with the names that devices call this gateway by";
  context.addIssue({ code: "custom", path: ["listen"], message });
}

const namePattern = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
