/** Writes the AsyncAPI document to standard output: `node scripts/lib/asyncapi.ts > protocol/asyncapi.json`, then `biome format --write`. */
import { asyncApiDocument } from "../../protocol/wire/asyncapi.ts";

process.stdout.write(`${JSON.stringify(asyncApiDocument(), null, 2)}\n`);
