/** zxing-cpp as WebAssembly, loaded from disk: by default it would fetch its module from the network. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { prepareZXingModule } from "zxing-wasm/reader";

let loading: Promise<unknown> | undefined;

/** Loads it once a process. */
export function loadZxing(): Promise<unknown> {
  loading ??= prepareZXingModule({
    overrides: {
      wasmBinary: new Uint8Array(
        readFileSync(createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm")),
      ).buffer,
    },
    fireImmediately: true,
  });
  return loading;
}
