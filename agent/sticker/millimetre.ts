/** Numbers to a tenth of a micrometre: 12.300000000000001 in a print file helps nobody. */
export function millimetre(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
