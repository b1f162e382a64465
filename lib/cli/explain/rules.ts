/**
 * The lines of `genie explain` beside the rules of the choice: the networks that the
 * namespace gives (choice.md), node selectors, and annotations that nothing reads.
 */
import { own } from "../../cni/json.ts";
import type { Api } from "../../kube/typed-api.ts";
import { quote } from "../../linux/text.ts";
import {
  type Annotations,
  cniAnnotation,
  logicalAnnotation,
  networkAnnotations,
} from "../../select/attachment.ts";
import { isChoice } from "../../select/choice.ts";
import { misspeltAnnotations } from "../../select/misspelt-annotations.ts";
import type { PodView } from "../pods/pod-view.ts";

/**
 * Namespaces are read once each. One that cannot be read gives nothing: genie has the
 * right only with `genie manifest --namespace-networks`.
 */
export interface NamespaceSource {
  /** The namespaces of the file, and those that were read already. */
  known: Map<string, Annotations>;
  open(): Promise<Api>;
}

/** The selectors of `genie manifest --network-scheduling`. */
export function schedulingRules({ networkSelectors }: PodView): string[] {
  return networkSelectors.map(
    (selector) => `the scheduler takes nodes with the label ${selector}`,
  );
}

/** A line if the namespace has network annotations, and one for each that is misspelt. */
export async function namespaceRules(
  { namespace, annotations }: PodView,
  source: NamespaceSource,
): Promise<string[]> {
  const given = await namespaceAnnotations(namespace, source);
  const faults = misspeltAnnotations(given).map(
    (fault) => `namespace ${quote(namespace)}: ${fault}`,
  );
  return [...givenRules(namespace, given, annotations), ...faults];
}

async function namespaceAnnotations(
  name: string,
  { known, open }: NamespaceSource,
): Promise<Annotations> {
  const before = known.get(name);
  if (before) return before;
  const read = open().then(({ core }) => core.readNamespace({ name }));
  const { metadata } = await read.catch(() => ({ metadata: undefined }));
  const annotations = metadata?.annotations ?? {};
  known.set(name, annotations);
  return annotations;
}

function givenRules(
  namespace: string,
  given: Annotations,
  annotations: Annotations,
): string[] {
  const keys = networkAnnotations.filter(
    (key) => own(given, key) !== undefined,
  );
  if (keys.length === 0) return [];
  const values = keys.map((key) => `${key} ${quote(String(own(given, key)))}`);
  const what = `namespace ${quote(namespace)} gives ${values.join(", ")}`;
  const has = (key: string) => own(annotations, key) !== undefined;
  if (!networkAnnotations.some(has))
    return [`${what} to a pod that is created without network annotations`];
  const isSame = networkAnnotations.every(
    (key) => own(annotations, key) === own(given, key),
  );
  return [
    isSame
      ? `${what}, and the pod has the same`
      : `${what}, but the pod has network annotations of its own`,
  ];
}

/**
 * Annotations that nothing reads, although their author meant them for genie: on the
 * workload and not in its template, misspelt, or excluded by another one.
 */
export function annotationFaults({
  misplaced,
  kind,
  annotations,
}: PodView): string[] {
  return [
    ...misplaced.map(
      (key) =>
        `annotation "${key}" of the ${kind} itself means nothing: pods get the annotations of its template`,
    ),
    ...misspeltAnnotations(annotations),
    ...unreadNetworks(annotations),
  ];
}

/** Logical networks need a blank `cni` (selection.md §2, rule c); without `cni` the key may be anybody's. */
function unreadNetworks(annotations: Annotations): string[] {
  return isChoice(own(annotations, cniAnnotation)) &&
    isChoice(own(annotations, logicalAnnotation))
    ? ['annotation "networks" is read only beside a blank "cni"']
    : [];
}
