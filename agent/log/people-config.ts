/** The section `people` of the gateway's configuration: who may be shown what of its door log. SPEC M21. */
import { z } from "zod";
import { viewerRoles } from "../../protocol/wire/log-privacy.ts";

export const peopleConfigSchema = z
  .strictObject({
    /**
     * The roles that may be asked for. Whoever may open a socket on this machine may ask, and proves nothing: so no resident's own view,
     * which holds what nobody else may see, unless what asks on this machine has seen to it who they are.
     */
    views: z.array(z.enum(viewerRoles)).min(1).max(viewerRoles.length).default(["manager", "technician"]),
  })
  .prefault({});
