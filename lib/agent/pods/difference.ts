/**
 * The difference between what a pod's annotations name and what its record has, and the
 * steps from one to the other (agent.md "Hot attach and detach"). Pure. Nothing here knows
 * the node's configuration, so a change of it detaches nothing.
 */
import {
  type TypedNames,
  hasSameRequests,
  isOnInterface,
  isSatisfied,
  recordedElement,
} from "../../select/addition.ts";
import type { Attachment, Element } from "../../select/attachment.ts";
import { lowestFree } from "../../select/interface-names.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { DesiredNetworks, WantedElement } from "./desired.ts";

/** `detach` is executed first; if it fails, `attach` is not executed. */
export interface Step {
  detach?: Attachment;
  attach?: { wanted: WantedElement; ifname: string };
}

export interface Difference {
  /** Attaching comes before detaching, unless both need one interface name. */
  steps: readonly Step[];
  /** The attachments that the annotations name. */
  kept: readonly { wanted: WantedElement; attachment: Attachment }[];
  /** Whether the annotations name another network, or other requests, for the primary. */
  isPrimaryOther: boolean;
}

/** `hasResult`: whether an interface's attachment was completed. */
export function differenceOf(
  desired: DesiredNetworks,
  record: Pick<AttachmentRecord, "ifname" | "attachments">,
  hasResult: (ifname: string) => boolean,
  names: TypedNames,
): Difference {
  const actual = record.attachments
    .filter(({ origin }) => origin !== "auxiliary")
    .map((attachment) => actualOf(attachment, record.ifname));
  // The primary is paired first. Of equal attachments the last is left over, and detached.
  const candidates = actual.toSorted((a, b) => a.rank - b.rank);
  const partner = match(desired.elements, candidates, names);
  const matched = new Set(partner.values());
  const superfluous = actual.filter((one) => one.isOurs && !matched.has(one));
  const kept: { wanted: WantedElement; attachment: Attachment }[] = [];
  const replaced: Step[] = [];
  const missing: WantedElement[] = [];
  for (const wanted of desired.elements) {
    const one = partner.get(wanted);
    if (!one) {
      const isForPrimary = asksFor(wanted, record.ifname);
      if (!wanted.isDefault && !isForPrimary) missing.push(wanted);
      continue;
    }
    const { attachment } = one;
    const { ifname } = attachment;
    if (one.isPrimary || !one.isOurs) kept.push({ wanted, attachment });
    else if (!isSatisfied(wanted.element, attachment, names))
      replaced.push({ detach: attachment, attach: { wanted, ifname } });
    else if (hasResult(ifname) && !attachment.detaching)
      kept.push({ wanted, attachment });
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

/**
 * Two names that are gone from the node may mean one network. So what is known to be equal
 * is paired first; then such names count as equal.
 */
function match(
  elements: readonly WantedElement[],
  candidates: readonly Actual[],
  names: TypedNames,
): ReadonlyMap<WantedElement, Actual> {
  const partner = new Map<WantedElement, Actual>();
  const free = new Set(candidates);
  // A name that is gone has a file of its own here: no real one has a slash.
  const fileOf = (name: string) => names.fileOf(name) ?? `/${name}`;
  matchBy({ ...names, fileOf }, elements, free, partner);
  matchBy(names, elements, free, partner);
  return partner;
}

function matchBy(
  names: TypedNames,
  elements: readonly WantedElement[],
  free: Set<Actual>,
  partner: Map<WantedElement, Actual>,
): void {
  for (const rule of pairingRules(elements, names))
    for (const wanted of elements) {
      if (partner.has(wanted)) continue;
      for (const one of free) {
        if (isAddition(wanted.element, one) || !rule(wanted.element, one))
          continue;
        partner.set(wanted, one);
        free.delete(one);
        break;
      }
    }
}

type Rule = (element: Element, one: Actual) => boolean;

/**
 * Which pairs are made first. Elements that name the interface: those that do not can have
 * another one. Then equal ones, then those with the interface of the record, then those
 * with other requests.
 */
function pairingRules(
  elements: readonly WantedElement[],
  names: TypedNames,
): readonly Rule[] {
  const claimed = new Set(elements.map(({ element }) => element.interface));
  /** Whether an element may keep an interface: no other element names it. */
  const mayKeep: Rule = (element, one) =>
    element.interface !== undefined ||
    one.isPrimary ||
    !claimed.has(one.attachment.ifname);
  return [
    (element, { attachment }) =>
      element.interface !== undefined &&
      isSatisfied(element, attachment, names),
    (element, { attachment }) =>
      isSatisfied(element, attachment, names) &&
      element.interface === attachment.element?.interface,
    (element, one) =>
      isSatisfied(element, one.attachment, names) && mayKeep(element, one),
    (element, one) =>
      (one.isOurs || one.isPrimary) &&
      isOnInterface(element, one.attachment, names) &&
      mayKeep(element, one),
  ];
}

/**
 * Whether an element means another network than this primary. A definition became the
 * primary by the annotation of the default network, which is no element, or by an element
 * with its interface: any other element of that definition adds it once more.
 */
function isAddition(
  element: Element,
  { attachment, isPrimary }: Actual,
): boolean {
  return (
    isPrimary &&
    attachment.definition !== undefined &&
    element.interface === undefined
  );
}

function missingSteps(
  missing: readonly WantedElement[],
  { elements }: DesiredNetworks,
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

function asksFor({ element }: WantedElement, ifname: string): boolean {
  return element.interface === ifname;
}

/** The primary is never changed; a pod that is created anew would get another one. */
function isPrimaryOther(
  { elements, isNamed, replacement }: DesiredNetworks,
  { ifname, attachments }: Pick<AttachmentRecord, "ifname" | "attachments">,
  partner: ReadonlyMap<WantedElement, Actual>,
): boolean {
  const primary = attachments.find((one) => one.ifname === ifname);
  if (!primary) return false;
  if (elements.some((one) => asksFor(one, ifname) && !partner.has(one)))
    return true;
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
