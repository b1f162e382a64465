/**
 * Genie as a CNI plugin: each verb's story, begun with the real world.
 */
import type { Plugin, Request } from "../cni/skel.ts";
import { add } from "./add.ts";
import { check } from "./check.ts";
import { del } from "./del.ts";
import { gc } from "./gc.ts";
import { beginOperation } from "./operation.ts";
import { status } from "./status.ts";
import type { World } from "./world.ts";

/** What `skel` calls; the world is a parameter for tests. */
export function geniePlugin(world: World, about: string): Plugin {
  const begin = (request: Request) => beginOperation(request, world);
  return {
    about,
    add: async (request) => add(begin(request)),
    del: async (request) => del(begin(request)),
    check: async (request) => check(begin(request)),
    gc: async (request) => gc(begin(request)),
    status: async (request) => status(begin(request)),
  };
}
