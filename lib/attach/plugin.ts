/**
 * Genie as a CNI plugin: each verb's story, begun with the real world.
 */
import type { Plugin, Request } from "../cni/skel.ts";
import { add } from "./add.ts";
import { del } from "./del.ts";
import { beginOperation } from "./operation.ts";
import type { World } from "./world.ts";

/** What `skel` calls; the world is a parameter for tests. */
export function geniePlugin(world: World, about: string): Plugin {
  const begin = (request: Request) => beginOperation(request, world);
  return {
    about,
    async add(request) {
      const operation = begin(request);
      const { unknownKeys } = operation.config;
      if (unknownKeys.length > 0) {
        const { describeUnknownKeys, nearestConfigKeys } =
          await import("../select/unknown-keys.ts");
        const keys = describeUnknownKeys(nearestConfigKeys(unknownKeys));
        operation.log.warn(`unknown configuration keys are ignored: ${keys}`);
      }
      return add(operation);
    },
    del: async (request) => del(begin(request)),
    // Rare, or in no hurry: not loaded for an ADD or a DEL.
    async check(request) {
      const { check } = await import("./check.ts");
      return check(begin(request));
    },
    async gc(request) {
      const { gc } = await import("./gc.ts");
      return gc(begin(request));
    },
    async status(request) {
      const { status } = await import("./status.ts");
      return status(() => begin(request));
    },
  };
}
