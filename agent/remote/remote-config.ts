/** The section `remote` of the gateway's configuration: what its authority may do from afar. */
import { z } from "zod";

export const remoteConfigSchema = z
  .strictObject({
    /** False: the authority's settings are refused, and this file alone counts. SPEC M27. */
    settings: z.boolean().default(true),
    /** False: commands to the gateway itself are refused. SPEC M23. */
    commands: z.boolean().default(true),
  })
  .prefault({});
