/**
 * CHECK, GC and STATUS of one network configuration list; `network` has ADD and DEL.
 */
import type { NetworkConfigList } from "./conflist.ts";
import type { Deadline } from "../linux/deadline.ts";
import { CniError } from "./error.ts";
import { type Caller, type RuntimeConf, withoutContainer } from "./invoke.ts";
import { callPlugin, protocolVersion } from "./network.ts";
import { type Result, convertResult } from "./result.ts";
import { has } from "./version.ts";

/** A pair that GC must keep, CNI spec 1.1.0 §"GC". */
export interface ValidAttachment {
  containerID: string;
  ifname: string;
}

/** Checks in order; nothing to do for `disableCheck` and below 0.4.0 (P-CHK-2). */
export async function checkNetwork(
  list: NetworkConfigList,
  runtime: RuntimeConf,
  result: Result | undefined,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const version = protocolVersion(list);
  if (list.disableCheck || !has(version, "check")) return;
  const prevResult = result && convertResult(result, version);
  const verb = "CHECK" as const;
  for (const plugin of list.plugins) {
    const call = { verb, list, plugin, runtime, prevResult, deadline };
    await callPlugin(call, caller);
  }
}

/**
 * GC of every plugin, which keeps `valid`; nothing for `disableGC` and below 1.1.0.
 * Goes on after an error; the first is thrown, the others in its details.
 */
export async function gcNetwork(
  list: NetworkConfigList,
  valid: readonly ValidAttachment[],
  path: readonly string[],
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  if (list.disableGC || !has(protocolVersion(list), "gc")) return;
  // Both spellings: the key was renamed after the tag of spec 1.1.0 (P-GC-1).
  const extra = {
    "cni.dev/valid-attachments": valid,
    "cni.dev/attachments": valid,
  };
  const runtime = withoutContainer(path);
  const errors: CniError[] = [];
  const verb = "GC" as const;
  for (const [i, plugin] of list.plugins.entries()) {
    const share = deadline.share(list.plugins.length - i);
    try {
      const call = { verb, list, plugin, runtime, extra, deadline: share };
      await callPlugin(call, caller);
    } catch (error) {
      errors.push(CniError.from(error));
    }
  }
  throwFirst(errors);
}

/** STATUS of every plugin in order; nothing below 1.1.0. Stops at the first error. */
export async function statusNetwork(
  list: NetworkConfigList,
  path: readonly string[],
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  if (!has(protocolVersion(list), "status")) return;
  const runtime = withoutContainer(path);
  const verb = "STATUS" as const;
  for (const plugin of list.plugins)
    await callPlugin({ verb, list, plugin, runtime, deadline }, caller);
}

/** Throws the first of several errors, the texts of the others in its details; nothing when there is none. */
export function throwFirst(errors: readonly CniError[]): void {
  const [first, ...others] = errors;
  if (!first) return;
  if (others.length === 0) throw first;
  const texts = others.map((error) => error.toText());
  throw new CniError(first.code, first.message, {
    details: [first.details, ...texts].filter(Boolean).join("; "),
    cause: first,
  });
}
