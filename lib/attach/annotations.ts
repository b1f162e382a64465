/**
 * Where a pod's annotations come from: the runtime's request when it carries
 * them, else the API server, else CNI_ARGS (selection.md §1).
 */
import { cniArg } from "../cni/args.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { isObject, jsonKind, parseJson } from "../cni/json.ts";
import type { Kube } from "../kube/client.ts";
import type { PodInfo } from "../kube/pod.ts";
import { type GenieConfig, annotationsCapability } from "../select/config.ts";
import type { Annotations } from "../select/select.ts";
import type { Context } from "./context.ts";

export interface KnownPod {
  annotations: Annotations;
  /** What the API server said, if it was asked. */
  fetched?: PodInfo;
}

/** Throws 7 for annotations that are none, 11 when the API server must be asked and cannot be. */
export async function readPod(
  { request, config, pod }: Context,
  kube: () => Promise<Kube>,
): Promise<KnownPod> {
  const given = givenAnnotations(config);
  if (given) return { annotations: given };
  if (!pod) return { annotations: argumentAnnotations(request.args) };
  const { fetchPod } = await import("../kube/client.ts");
  const fetched = await fetchPod(await kube(), pod);
  return { annotations: fetched.annotations, fetched };
}

/** The runtime's answer: an object or null are the annotations, an absent key is no answer. */
export function givenAnnotations({
  runtimeConfig,
}: GenieConfig): Annotations | undefined {
  for (const [name, value] of Object.entries(runtimeConfig)) {
    if (name.toLowerCase() !== annotationsCapability) continue;
    return value === null ? {} : stringMap(value, givenSource);
  }
  return undefined;
}

/** What the request alone says; nobody is asked. Throws 7 for annotations that are none. */
export function requestAnnotations({
  request,
  config,
  pod,
}: Context): Annotations {
  return (
    givenAnnotations(config) ?? (pod ? {} : argumentAnnotations(request.args))
  );
}

const givenSource = `runtimeConfig "${annotationsCapability}"`;

/** What CNI-Genie meant for callers without Kubernetes: `K8S_ANNOT=<json object>`. */
function argumentAnnotations(args: string): Annotations {
  const text = cniArg(args, "K8S_ANNOT");
  if (!text) return {};
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(`K8S_ANNOT of CNI_ARGS: ${messageOf(cause)}`, cause);
  }
  return stringMap(value, "K8S_ANNOT of CNI_ARGS");
}

function stringMap(value: unknown, source: string): Annotations {
  requireStrings(value, source);
  return value;
}

function requireStrings(
  value: unknown,
  source: string,
): asserts value is Record<string, string> {
  if (!isObject(value))
    throw invalid(`${source}: expected an object, got ${jsonKind(value)}`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === "string") continue;
    throw invalid(
      `${source}: annotation ${quote(key)}: expected a string, got ${jsonKind(text)}`,
    );
  }
}

function invalid(problem: string, cause?: unknown): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `invalid annotations: ${problem}`,
    { cause },
  );
}
