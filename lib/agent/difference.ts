/**
 * What a running pod's annotations name, what its record has, and the steps from one to
 * the other (agent.md "Hot attach and detach"). Pure. An element is compared as a value:
 * neither its place nor its text matters. Nothing here knows the node's configuration, so
 * a change of it detaches nothing.
 */
import type { V1Pod } from "@kubernetes/client-node";
import type { AttachmentRecord } from "../attach/record.ts";
import { Code, CniError } from "../cni/error.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import { quote } from "../linux/text.ts";
import {
  hasSameRequests,
  isSameNetwork,
  isSatisfied,
  recordedElement,
} from "../select/addition.ts";
import {
  type Annotations,
  type Attachment,
  type Element,
  cniAnnotation,
  defaultNetworkAnnotation,
  networksAnnotation,
} from "../select/attachment.ts";
import { isChoice } from "../select/choice.ts";
import { parseNetworks } from "../select/cni-annotation.ts";
import { elementOf } from "../select/definition.ts";
import { lowestFree } from "../select/interface-names.ts";
import { parseElements } from "../select/npwg-annotation.ts";

/** An element that the annotations name. */
export interface Wanted {
  element: Element;
  /** As `genie attach` reads it. */
  text: string;
  /** Its 1-based place in its annotation. */
  position: number;
  /** `cni: default` alone, which may be the default network: never attached. */
  isDefault?: true;
}

export interface Desired {
  elements: readonly Wanted[];
  /** `v1.multus-cni.io/default-network`; a bare name has no namespace. */
  replacement?: { network: string; namespace?: string };
  /** Whether an annotation names the pod's first network, other than the default one. */
  isNamed: boolean;
}

/** "detach" is executed before "attach", which is then left out if it fails. */
export interface Step {
  detach?: Attachment;
  attach?: { wanted: Wanted; ifname: string };
}

export interface Difference {
  /** Attaching comes before detaching, unless both need one interface name. */
  steps: readonly Step[];
  /** What is there and named. */
  kept: readonly { wanted: Wanted; attachment: Attachment }[];
  /** The annotations name another network, or other requests, for the primary. */
  isPrimaryOther: boolean;
}

/** Whether the networks of a pod may be changed, as far as the API server knows. */
export function isRunning({ metadata, spec, status }: V1Pod): boolean {
  return (
    spec?.hostNetwork !== true &&
    metadata?.deletionTimestamp === undefined &&
    status?.phase !== "Succeeded" &&
    status?.phase !== "Failed"
  );
}

/** The UIDs by which a runtime may know a pod: of a static one, the hash of its file. */
export function uidsOf({ metadata }: V1Pod): string[] {
  const { uid, annotations = {} } = metadata ?? {};
  const hashes = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];
  return [uid, ...hashes.map((key) => own(annotations, key))].flatMap((text) =>
    typeof text === "string" && text !== "" ? [text] : [],
  );
}

/** Throws 7 for annotations with which an ADD would fail, whatever the node has. */
export function desiredOf(
  annotations: Annotations,
  namespace: string,
): Desired {
  const cni = own(annotations, cniAnnotation);
  const elements = [
    ...(isChoice(cni) ? nodeElements(cni) : []),
    ...definitionElements(annotations, networksAnnotation, namespace),
  ];
  requireDistinct(elements);
  const [first] = parsed(annotations, defaultNetworkAnnotation);
  const replacement = first && {
    network: first.name,
    ...(first.namespace !== undefined && { namespace: first.namespace }),
  };
  const isNamed =
    elements.some(
      ({ element, isDefault }) => element.namespace === undefined && !isDefault,
    ) || replacement !== undefined;
  return { elements, isNamed, ...(replacement && { replacement }) };
}

function nodeElements(text: string): Wanted[] {
  const requests = parseNetworks('annotation "cni"', text);
  return requests.map(({ name, ifname }, i) => {
    const isDefault =
      name === "default" && ifname === undefined && requests.length === 1;
    return {
      element: {
        network: name,
        ...(ifname !== undefined && { interface: ifname }),
      },
      text: ifname === undefined ? name : `${name}@${ifname}`,
      position: i + 1,
      ...(isDefault && { isDefault }),
    };
  });
}

function parsed(annotations: Annotations, annotation: string) {
  const text = own(annotations, annotation);
  return typeof text === "string"
    ? parseElements(`annotation ${quote(annotation)}`, text).elements
    : [];
}

function definitionElements(
  annotations: Annotations,
  annotation: string,
  podNamespace: string,
): Wanted[] {
  const elements = parsed(annotations, annotation);
  const entries = jsonEntries(own(annotations, annotation));
  return elements.map((element, i) => {
    const { name, ifname, namespace = podNamespace } = element;
    const entry = entries?.[i];
    const at = ifname === undefined ? "" : `@${ifname}`;
    return {
      element: elementOf(namespace, element),
      text: isObject(entry)
        ? JSON.stringify(entry)
        : `${namespace}/${name}${at}`,
      position: i + 1,
    };
  });
}

/** The elements of an annotation in JSON, which was parsed before. */
function jsonEntries(text: unknown): unknown[] | undefined {
  if (typeof text !== "string" || !text.includes("{")) return undefined;
  const value = parseJson(text);
  const entries: unknown[] = Array.isArray(value) ? value : [value];
  return entries;
}

function requireDistinct(elements: readonly Wanted[]): void {
  const names = new Set<string>();
  let asking = 0;
  for (const { element } of elements) {
    const { interface: ifname, requests } = element;
    if (ifname !== undefined && names.has(ifname))
      throw invalid(`repeated request for interface name ${quote(ifname)}`);
    if (ifname !== undefined) names.add(ifname);
    if (requests?.["defaultRoute"]) asking++;
  }
  if (asking > 1)
    throw invalid('"default-route" is requested for more than one network');
}

function invalid(problem: string): CniError {
  return new CniError(Code.invalidNetworkConfig, problem);
}

/** `hasResult`: whether an interface's attachment was completed. */
export function differenceOf(
  desired: Desired,
  record: Pick<AttachmentRecord, "ifname" | "attachments">,
  hasResult: (ifname: string) => boolean,
): Difference {
  const actual = record.attachments
    .filter(({ origin }) => origin !== "auxiliary")
    .map((attachment) => actualOf(attachment, record.ifname));
  // The primary first, then what annotations named; the last of equal ones goes first.
  const candidates = actual.toSorted((a, b) => a.rank - b.rank);
  const partner = match(desired.elements, candidates);
  const matched = new Set(partner.values());
  const superfluous = actual.filter((one) => one.isOurs && !matched.has(one));
  const kept: { wanted: Wanted; attachment: Attachment }[] = [];
  const replaced: Step[] = [];
  const missing: Wanted[] = [];
  for (const wanted of desired.elements) {
    const one = partner.get(wanted);
    if (!one) {
      if (!wanted.isDefault) missing.push(wanted);
      continue;
    }
    const { attachment } = one;
    const { ifname } = attachment;
    if (one.isPrimary || !one.isOurs) kept.push({ wanted, attachment });
    else if (!isSatisfied(wanted.element, attachment))
      replaced.push({ detach: attachment, attach: { wanted, ifname } });
    else if (hasResult(ifname)) kept.push({ wanted, attachment });
    else replaced.push({ attach: { wanted, ifname } });
  }
  return {
    steps: [
      ...replaced,
      ...missingSteps(missing, desired, record, superfluous),
    ],
    kept,
    isPrimaryOther: isPrimaryOther(desired, record, partner),
  };
}

interface Actual {
  attachment: Attachment;
  isPrimary: boolean;
  /** The agent may detach it: an annotation named it. */
  isOurs: boolean;
  rank: number;
}

function actualOf(attachment: Attachment, primary: string): Actual {
  const { ifname, origin, element, definition } = attachment;
  const isPrimary = ifname === primary;
  // A network of the node in a record before 0.2.0 may be a default one.
  const isNamed = origin === undefined && Boolean(element ?? definition);
  const rank = isPrimary ? 0 : isNamed ? 1 : origin === "hand" ? 2 : 3;
  return { attachment, isPrimary, isOurs: isNamed && !isPrimary, rank };
}

/** Equal ones first, then those with the interface of the record, then those with other requests. */
function match(
  elements: readonly Wanted[],
  candidates: readonly Actual[],
): ReadonlyMap<Wanted, Actual> {
  const partner = new Map<Wanted, Actual>();
  const free = new Set(candidates);
  const rules: ((element: Element, one: Actual) => boolean)[] = [
    (element, { attachment }) =>
      isSatisfied(element, attachment) &&
      element.interface === attachment.element?.interface,
    (element, { attachment }) => isSatisfied(element, attachment),
    (element, one) =>
      (one.isOurs || one.isPrimary) && isChanged(element, one.attachment),
  ];
  for (const rule of rules)
    for (const wanted of elements) {
      if (partner.has(wanted)) continue;
      for (const one of free) {
        if (!rule(wanted.element, one)) continue;
        partner.set(wanted, one);
        free.delete(one);
        break;
      }
    }
  return partner;
}

/** The same network on the same interface with other requests. */
function isChanged(element: Element, attachment: Attachment): boolean {
  return (
    isSameNetwork(element, recordedElement(attachment)) &&
    (element.interface ?? attachment.ifname) === attachment.ifname
  );
}

function missingSteps(
  missing: readonly Wanted[],
  { elements }: Desired,
  { attachments }: Pick<AttachmentRecord, "attachments">,
  superfluous: readonly Actual[],
): Step[] {
  const taken = new Set(attachments.map(({ ifname }) => ifname));
  for (const { element } of elements)
    if (element.interface !== undefined) taken.add(element.interface);
  const steps: Step[] = [];
  const going = new Map(
    superfluous.map(({ attachment }) => [attachment.ifname, attachment]),
  );
  for (const wanted of missing) {
    const { element, position } = wanted;
    const ifname =
      element.interface ??
      (element.namespace === undefined
        ? lowestFree(taken, "eth", 0)
        : lowestFree(taken, "net", position));
    taken.add(ifname);
    const detach = going.get(ifname);
    going.delete(ifname);
    steps.push({ ...(detach && { detach }), attach: { wanted, ifname } });
  }
  // In reverse, as DEL does.
  for (const detach of [...going.values()].toReversed()) steps.push({ detach });
  return steps;
}

/** The primary is never changed; a pod that is created anew would get another one. */
function isPrimaryOther(
  { isNamed, replacement }: Desired,
  { ifname, attachments }: Pick<AttachmentRecord, "ifname" | "attachments">,
  partner: ReadonlyMap<Wanted, Actual>,
): boolean {
  const primary = attachments.find((one) => one.ifname === ifname);
  if (!primary) return false;
  const element = recordedElement(primary);
  if (replacement)
    return !(
      replacement.network === element.network &&
      (replacement.namespace ?? element.namespace) === element.namespace
    );
  for (const [wanted, one] of partner)
    if (one.isPrimary)
      return (
        primary.element !== undefined &&
        !hasSameRequests(wanted.element, primary.element)
      );
  return isNamed || (primary.element !== undefined && !primary.origin);
}
