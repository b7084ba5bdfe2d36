/** What kinds of doors a site has, and what people are to it. Source: DOOR's object model; SPEC N1, M18. */

export const doorKinds = ["COMMUNAL", "ELEVATOR", "ENTRANCE", "RESIDENCE", "SERVICE"] as const;
export type DoorKind = (typeof doorKinds)[number];

export const roles = ["RESIDENT", "NON_RESIDENT", "GUEST", "TOURER", "MANAGER"] as const;
export type Role = (typeof roles)[number];
