/**
 * How commands name pods, as kubectl does: by namespace, or one as `p1`, `default/p1`,
 * `pod/p1` with `-n`.
 */
import { quote } from "../../linux/text.ts";
import { type Input, UsageError } from "../command/input.ts";
import { optionsOf } from "../command/options.ts";

/** Options of commands that show the pods of a node. */
export const namespaceOptions = optionsOf({
  "-n, --namespace NS": "only pods of this namespace",
  "-A, --all-namespaces": "pods of all namespaces (default)",
});

/** Whether a namespace is wanted, by {@link namespaceOptions}. Throws UsageError. */
export function namespaceFilter(
  input: Input,
): (namespace: string | undefined) => boolean {
  input.exclude("namespace", "all-namespaces");
  const wanted = input.text("namespace");
  return (namespace) => wanted === undefined || namespace === wanted;
}

export interface PodOperand {
  /** The kind as objects have it: `Deployment`. Absent: any kind. */
  kind?: string;
  namespace?: string;
  name: string;
}

/** Kinds, and kubectl's short names. */
const kinds: Readonly<Record<string, string>> = {
  Pod: "po",
  Deployment: "deploy",
  StatefulSet: "sts",
  DaemonSet: "ds",
  ReplicaSet: "rs",
  ReplicationController: "rc",
  Job: "job",
  CronJob: "cj",
  PodTemplate: "podtemplate",
};

/** Throws UsageError for a text that is not a pod. `namespace` is the value of `-n`. */
export function parsePodOperand(
  text: string,
  namespace: string | undefined,
): PodOperand {
  const parts = text.split("/");
  const name = parts.pop() ?? "";
  const [first, ...more] = parts;
  if (more.length > 0 || parts.includes("") || name === "")
    throw new UsageError(
      `expected POD, NAMESPACE/POD or pod/POD, got ${quote(text)}`,
    );
  const given = { ...(namespace !== undefined && { namespace }), name };
  if (first === undefined) return given;
  const kind = kindOf(first);
  if (kind !== undefined) return { ...given, kind };
  if (namespace !== undefined && namespace !== first)
    throw new UsageError(
      `${quote(text)} is in namespace ${quote(first)}, -n says ${quote(namespace)}`,
    );
  return { namespace: first, name };
}

/** The kind with this singular, plural or short name. */
function kindOf(word: string): string | undefined {
  // kubectl accepts `deployments.apps` too.
  const [resource = ""] = word.toLowerCase().split(".");
  return Object.keys(kinds).find((kind) => {
    const singular = kind.toLowerCase();
    return [singular, `${singular}s`, kinds[kind]].includes(resource);
  });
}
