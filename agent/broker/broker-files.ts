/** What the makers of broker configurations have in common. Pure. */
import type { DeviceId } from "../../protocol/base/units.ts";

export interface BrokerPlan {
  readonly site: string;
  readonly gateways: readonly DeviceId[];
  /** Networked devices; a broker that knows patterns needs no names. */
  readonly devices: readonly DeviceId[];
  readonly listen: { readonly host: string; readonly port: number };
  /** Of whom it takes certificates: the site's CA. PEM, absolute, as all files here. */
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Revoked certificates, where there are any. */
  readonly crlFile?: string;
  /** Where these files will be. */
  readonly folder: string;
  /** Where the broker keeps its own. */
  readonly dataFolder: string;
}

export interface BrokerFile {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
}
