/**
 * What a namespace gives to pods without network annotations (choice.md), for
 * `genie explain`. Namespaces come from the file of the pods, else from the API server.
 * One that cannot be read gives nothing: genie has that right only with
 * `genie manifest --namespace-networks`.
 */
import { own } from "../../cni/json.ts";
import type { Api } from "../../kube/typed-api.ts";
import { quote } from "../../linux/text.ts";
import type { Annotations } from "../../select/attachment.ts";
import { misspeltAnnotations } from "../../select/misspelt-annotations.ts";
import { type PodView, networkAnnotations } from "../pods/pod-view.ts";

/** Namespaces are read once each. */
export interface NamespaceSource {
  /** The namespaces of the file, and those that were read already. */
  known: Map<string, Annotations>;
  open(): Promise<Api>;
}

async function annotationsOf(
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
  const given = await annotationsOf(namespace, source);
  const faults = misspeltAnnotations(given).map(
    (fault) => `namespace ${quote(namespace)}: ${fault}`,
  );
  return [...givenRules(namespace, given, annotations), ...faults];
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
