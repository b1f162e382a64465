/**
 * Network namespaces by path: whether a path is one still.
 */
import { statusIfAny } from "../cni/files.ts";

/** False also for the plain file that outlives its namespace, on which nothing is mounted any more. */
export function isNamespace(path: string): boolean {
  return path !== "" && deviceOf(path) === deviceOf("/proc/self/ns/net");
}

/**
 * What a delegate's DEL is given: plugins take no namespace for success and a
 * missing path too, but fail on a file that is none (P-DEL-1).
 */
export function deletableNetns(path: string): string {
  return path === "" || deviceOf(path) === undefined || isNamespace(path)
    ? path
    : "";
}

/** Namespaces are files of a file system of their own. */
function deviceOf(path: string): string | undefined {
  try {
    return statusIfAny(path)?.device;
  } catch {
    return undefined;
  }
}
