/**
 * Genie as a CNI plugin: each verb's story, begun with the real world.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { Plugin, Request } from "../cni/skel.ts";
import { add } from "./add.ts";
import { del } from "./del.ts";
import { logs } from "./log.ts";
import { type Operation, beginOperation } from "./context.ts";
import type { World } from "./dependencies.ts";

type Verb<T> = (operation: Operation) => Promise<T>;

/** What `skel` calls; the world is a parameter for tests. */
export function geniePlugin(world: World, about: string): Plugin {
  return {
    about,
    add: (request) => call(request, world, addPod),
    del: (request) => call(request, world, del),
    // Rare, or in no hurry: not loaded for an ADD or a DEL.
    async check(request) {
      const { check } = await import("./check.ts");
      return call(request, world, check);
    },
    async gc(request) {
      const { gc } = await import("./gc.ts");
      return call(request, world, gc);
    },
    async status(request) {
      const { notAvailable, status } = await import("./status.ts");
      return call(request, world, status, notAvailable);
    },
  };
}

async function addPod(operation: Operation): Promise<Result> {
  const { unknownKeys } = operation.config;
  if (unknownKeys.length > 0) {
    const { describeUnknownKeys } = await import("../select/unknown-keys.ts");
    const keys = describeUnknownKeys(unknownKeys);
    operation.log.warn(`unknown configuration keys are ignored: ${keys}`);
  }
  return add(operation);
}

/**
 * Most calls succeed and log nothing: what deals with the others is loaded for
 * them. `invalid` is the error of a configuration that cannot be used.
 */
async function call<T>(
  request: Request,
  world: World,
  verb: Verb<T>,
  invalid?: (cause: unknown) => CniError,
): Promise<T> {
  try {
    const operation = begin(request, world, invalid);
    if (!logs(operation.config.logLevel, "info")) return await verb(operation);
    const { journalled } = await import("./journal.ts");
    return await journalled(operation, verb);
  } catch (error) {
    const { failed } = await import("./unforeseen-failure.ts");
    throw failed(request, world, CniError.from(error));
  }
}

function begin(
  request: Request,
  world: World,
  invalid?: (cause: unknown) => CniError,
): Operation {
  try {
    return beginOperation(request, world);
  } catch (cause) {
    throw invalid?.(cause) ?? cause;
  }
}
