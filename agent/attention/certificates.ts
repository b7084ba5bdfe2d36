/** Devices whose certificate runs out although they should have renewed it by now. A device renews at two thirds of its life. SPEC G34. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { SiteDevice } from "../devices.ts";
import type { AttentionItem } from "../http/health-views.ts";

export interface KnownCertificates {
  enrolment(device: DeviceId):
    | {
        readonly certificates: readonly { readonly notBefore: number; readonly notAfter: number }[];
        readonly revokedAt: number | null;
      }
    | undefined;
  time(): { readonly trusted: boolean; readonly now: number };
}

/** Nothing while nobody knows what time it is: a clock of 1970 would call all of them new. */
export function findCertificates(known: KnownCertificates, devices: readonly SiteDevice[]): readonly AttentionItem[] {
  const { trusted, now } = known.time();
  if (!trusted) return [];
  return devices.flatMap(({ id, doorName }) => {
    const held = known.enrolment(id);
    const newest = held?.certificates.toSorted((left, right) => right.notAfter - left.notAfter)[0];
    if (held === undefined || held.revokedAt !== null || newest === undefined) return [];
    const { notBefore, notAfter } = newest;
    const item = (what: string, ageMs: number, remedy: string): AttentionItem => ({
      ...{ who: id, doorName, what, ageSeconds: Math.max(0, Math.floor(ageMs / 1000)), remedy },
    });
    const claim = `or give it a new claim: doorlink device add ${id}`;
    if (now > notAfter) return [item("its certificate has expired", now - notAfter, `see that it is on, ${claim}`)];
    const lateAt = notAfter - (notAfter - notBefore) / LATE_SHARE;
    if (now < lateAt) return [];
    const days = Math.floor((notAfter - now) / DAY_MS);
    const what = `its certificate expires in ${days} d, and it has not renewed it`;
    return [item(what, now - lateAt, `see that it is connected, ${claim}`)];
  });
}

const DAY_MS = 86_400_000;
/** A sixth of a certificate's life is left: it has had as long to renew it. */
const LATE_SHARE = 6;
