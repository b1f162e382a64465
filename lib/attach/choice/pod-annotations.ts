/**
 * The annotations of the pod: from the request if the runtime sends them, else from the
 * API server; without a pod from CNI_ARGS (selection.md §1).
 */
import { cniArg } from "../../cni/args.ts";
import { type CniError, invalidConfig } from "../../cni/error.ts";
import { isObject, mismatch, parseJson } from "../../cni/json.ts";
import type { PodInfo } from "../../kube/objects.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Annotations } from "../../select/attachment.ts";
import {
  type GenieConfig,
  annotationsCapability,
} from "../../select/config.ts";
import type { Context, OpenKube } from "../context.ts";

export interface AnnotatedPod {
  annotations: Annotations;
  /** Absent where the API server was not asked. */
  info?: PodInfo;
}

/** Reads the pod from the API server (selection.md §1). Throws 7 and 11; 7 without a pod. */
export async function readPod(
  { pod }: Context,
  api: OpenKube,
): Promise<AnnotatedPod> {
  if (!pod) throw invalidAnnotations("no pod is known");
  const { fetchPod } = await import("../../kube/client.ts");
  const info = await fetchPod(await api(), pod);
  return { annotations: info.annotations, info };
}

/**
 * The annotations in the request: the runtime's, else those of CNI_ARGS outside of
 * Kubernetes. undefined: only the API server has them. Throws 7.
 */
export function requestAnnotations({
  request,
  config,
  pod,
}: Context): Annotations | undefined {
  const given = runtimeAnnotations(config);
  return given || pod ? given : argumentAnnotations(request.args);
}

/** An object or null are the annotations; an absent key means that the runtime passes none. */
function runtimeAnnotations({
  runtimeConfig,
}: GenieConfig): Annotations | undefined {
  for (const [name, value] of Object.entries(runtimeConfig)) {
    if (name.toLowerCase() !== annotationsCapability) continue;
    if (value === null) return {};
    requireStrings(value, `runtimeConfig "${annotationsCapability}"`);
    return value;
  }
  return undefined;
}

/** For callers without Kubernetes, as CNI-Genie intended: `K8S_ANNOT=<json object>`. */
function argumentAnnotations(args: string): Annotations {
  const text = cniArg(args, "K8S_ANNOT");
  if (!text) return {};
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalidAnnotations(
      `K8S_ANNOT of CNI_ARGS: ${messageOf(cause)}`,
      cause,
    );
  }
  requireStrings(value, "K8S_ANNOT of CNI_ARGS");
  return value;
}

function requireStrings(
  value: unknown,
  source: string,
): asserts value is Record<string, string> {
  if (!isObject(value))
    throw invalidAnnotations(`${source}: ${mismatch("an object", value)}`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === "string") continue;
    throw invalidAnnotations(
      `${source}: annotation ${quote(key)}: ${mismatch("a string", text)}`,
    );
  }
}

function invalidAnnotations(problem: string, cause?: unknown): CniError {
  return invalidConfig(`invalid annotations: ${problem}`, cause);
}
