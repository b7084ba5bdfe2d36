/** DESIGN part 6: what every command ends with. */
export const exitCodes = { fine: 0, finding: 1, usage: 2, environment: 3 } as const;
