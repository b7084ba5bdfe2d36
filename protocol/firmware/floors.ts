/** Made from floors.yaml by scripts/lib/firmware-floors.ts; change it there. */
export const shippedFloors = {
  floors: [
    {
      model: "A08",
      version: "108.30.11.210",
      source: "S2, Supported Devices (community.akuvox.com thread 642)",
      readOn: "2026-11",
    },
    {
      model: "EC33",
      version: "33.30.1.107",
      source: "S2, Supported Devices (community.akuvox.com thread 642)",
      readOn: "2026-11",
    },
    {
      model: "R20",
      version: "320.30.12.16",
      source: "S2, Supported Devices (community.akuvox.com thread 642)",
      readOn: "2026-11",
    },
    {
      model: "R29",
      version: "29.30.10.712",
      source: "S2, Supported Devices (community.akuvox.com thread 642)",
      readOn: "2026-11",
    },
    {
      model: "X915V2",
      version: "2915.30.10.707",
      source: "S2, Supported Devices (community.akuvox.com thread 642)",
      readOn: "2026-11",
    },
  ],
  gates: [
    {
      capability: "short-doorcodes",
      models: ["C1", "C2", "M2", "Interconnect"],
      version: "2.0.7",
      source: "support.door.com articles 30118737841431 and 30119421849239",
      readOn: "2026-11",
    },
  ],
} as const;
