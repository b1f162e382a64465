/**
 * Running pods whose record lacks a network that their annotations name (agent.md "Audit"):
 * after a restart of a node, pods run with eth0 only, and nothing says so. Changes nothing.
 * Reads one record at a time.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { type Context, readNetworks } from "../../attach/context.ts";
import { own } from "../../cni/json.ts";
import { messageOf } from "../../linux/errno.ts";
import { mountNamespace, namespaceId } from "../../linux/netns.ts";
import { cut, quote } from "../../linux/text.ts";
import { type TypedNames, typedNames } from "../../select/addition.ts";
import { cniAnnotation } from "../../select/attachment.ts";
import { isChoice } from "../../select/choice.ts";
import type { GenieConfig } from "../../select/config.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import {
  type DesiredNetworks,
  type WantedElement,
  desiredOf,
  isLogical,
  isRunning,
  networkOf,
} from "../pods/desired.ts";
import { differenceOf } from "../pods/difference.ts";
import { namespacedName } from "../watch/kinds.ts";
import type { Place } from "../part.ts";
import { RecordIndex } from "../record-index.ts";

/** The kinds of findings, and what they mean. */
export const findings = {
  "past-genie":
    "genie did not attach it in this boot: the runtime used another plugin",
  "network-missing": "its record lacks a network that its annotations name",
  "other-namespace": "its network namespace is not the one of its record",
} as const;

type FindingKind = keyof typeof findings;

export interface Finding {
  namespace: string;
  name: string;
  uid: string;
  finding: FindingKind;
  /** The networks that are missing, as the annotations name them. */
  networks: string[];
  /** `ReplicaSet/web-5d4f`, which creates the pod again; absent without a controller. */
  controller?: string;
}

export interface Audit {
  findings: Finding[];
  /** The number of pods that were looked at. */
  pods: number;
  /**
   * Records that are damaged or of a newer genie: while there is one, it may be that of a
   * pod without a record.
   */
  unreadable: string[];
}

/** Sorted by pod. Throws 5 for the directory of records. */
export async function auditPods(
  pods: readonly V1Pod[],
  context: Context,
  place: Place,
): Promise<Audit> {
  const records = recordDirectory(context);
  const unreadable: string[] = [];
  const index = new RecordIndex(context, (name, error) =>
    unreadable.push(`record ${quote(name)}: ${messageOf(error)}`),
  );
  const names = typedNames(context.config, () => readNetworks(context));
  const running = pods.filter((pod) => isRunning(pod) && hasSandbox(pod));
  await index.all();
  const found: Finding[] = [];
  for (const pod of running) {
    const asked = askedOf(pod);
    if (asked === "nothing") continue;
    const indexed = await index.newest(pod);
    if (!indexed) {
      if (unreadable.length === 0)
        found.push(findingOf(pod, "past-genie", namesOf(asked)));
      continue;
    }
    const record = await index.read(indexed);
    if (!record || records.isDeleting(record)) continue;
    const { hasCompleted } = await records.readResults(record);
    const missing = missingNetworks(asked, record, hasCompleted, names);
    if (isOtherNamespace(record, place))
      found.push(findingOf(pod, "other-namespace", []));
    else if (missing.length > 0)
      found.push(findingOf(pod, "network-missing", missing));
  }
  return {
    findings: found.toSorted((a, b) =>
      namespacedName(a) < namespacedName(b) ? -1 : 1,
    ),
    pods: running.length,
    unreadable,
  };
}

/**
 * After a restart of the node, the phase is that of the boot before until the pod has a
 * sandbox again: the condition says so (Kubernetes 1.29).
 */
function hasSandbox({ status: { phase = "Running", conditions } = {} }: V1Pod) {
  const ready = conditions?.find(
    ({ type }) => type === "PodReadyToStartContainers",
  );
  return phase === "Running" && ready?.status !== "False";
}

/** Whether its annotations ask for more than the default network, or for an automatic choice. */
export function asksForNetworks(
  pod: V1Pod,
  { automatic }: Pick<GenieConfig, "automatic">,
): boolean {
  if (askedOf(pod) !== "nothing") return true;
  const cni = own(pod.metadata?.annotations, cniAnnotation);
  return automatic !== undefined && cni !== undefined && !isChoice(cni);
}

/** "unknown": annotations that no ADD takes, or a choice that genie makes itself. */
type Asked = DesiredNetworks | "nothing" | "unknown";

function askedOf({ metadata }: V1Pod): Asked {
  const { annotations = {}, namespace = "" } = metadata ?? {};
  let desired: DesiredNetworks;
  try {
    desired = desiredOf(annotations, namespace);
  } catch {
    return "unknown";
  }
  const { elements, replacement } = desired;
  if (replacement || elements.some(({ isDefault }) => !isDefault))
    return desired;
  return isLogical(annotations) ? "unknown" : "nothing";
}

function namesOf(asked: Asked): string[] {
  if (typeof asked === "string") return [];
  const { replacement, elements } = asked;
  const primary = replacement ? [networkOf(replacement)] : [];
  return [...primary, ...elements.map(shown)];
}

/** An element has any length (selection.md §2). */
function shown({ text }: WantedElement): string {
  return cut(text, 128);
}

function missingNetworks(
  asked: Asked,
  record: AttachmentRecord,
  hasCompleted: (ifname: string) => boolean,
  names: TypedNames,
): string[] {
  if (typeof asked === "string") return [];
  const difference = differenceOf(asked, record, hasCompleted, names);
  const missing = difference.steps.flatMap(({ attach }) =>
    attach ? shown(attach.wanted) : [],
  );
  return difference.isPrimaryOther
    ? [`the primary on ${record.ifname}`, ...missing]
    : missing;
}

/** A namespace that is not seen is gone only where the runtime's namespaces can be seen. */
function isOtherNamespace(
  { netns, netnsId, mountNamespace: recorded }: AttachmentRecord,
  place: Place,
): boolean {
  if (netns === "" || netnsId === undefined) return false;
  const id = namespaceId(place(netns));
  const isSeen = place("/") === "/" && recorded === mountNamespace();
  return id === undefined ? isSeen : id !== netnsId;
}

function findingOf(
  pod: V1Pod,
  finding: FindingKind,
  networks: string[],
): Finding {
  const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
  const controller = controllerOf(pod);
  return {
    namespace,
    name,
    uid,
    finding,
    networks,
    ...(controller !== undefined && { controller }),
  };
}

/** A static pod's is the node, which makes it from its file: to evict it changes nothing. */
function controllerOf({ metadata }: V1Pod): string | undefined {
  const owner = metadata?.ownerReferences?.find(
    ({ controller, kind }) => controller === true && kind !== "Node",
  );
  return owner && `${owner.kind}/${owner.name}`;
}
