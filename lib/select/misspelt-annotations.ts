/**
 * Annotation keys that genie does not read, but that were probably meant for it: a pod
 * with such a key gets other networks than its author expects, and nothing fails. Pure.
 */
import { own } from "../cni/json.ts";
import { quote } from "../linux/text.ts";
import {
  type Annotations,
  cniAnnotation,
  defaultNetworkAnnotation,
  logicalAnnotation,
  networkAnnotations,
  networksAnnotation,
  preferencesAnnotation,
  statusAnnotation,
} from "./attachment.ts";
import { isChoice } from "./choice.ts";
import { nearest } from "./nearest-key.ts";

/** Read, or written by genie and by Multus up to 3.6. */
const knownKeys = new Set([
  cniAnnotation,
  logicalAnnotation,
  networksAnnotation,
  defaultNetworkAnnotation,
  preferencesAnnotation,
  statusAnnotation,
  "k8s.v1.cni.cncf.io/networks-status",
]);

/** The part behind the `/` → the key. */
const keyByName: ReadonlyMap<string, string> = new Map(
  networkAnnotations.map((key) => [key.slice(key.indexOf("/") + 1), key]),
);

/** `annotation "cni.io" is not read by genie: did you mean "cni"?` */
export function misspeltAnnotations(annotations: Annotations): string[] {
  const cni = own(annotations, cniAnnotation);
  const isBlank = cni !== undefined && !isChoice(cni);
  return Object.keys(annotations).flatMap((key) => {
    if (knownKeys.has(key)) return [];
    const meant = key.includes("/")
      ? meantByPrefixed(key)
      : meantByBare(key, isBlank);
    if (meant === undefined) return [];
    return `annotation ${quote(key)} is not read by genie: did you mean ${quote(meant)}?`;
  });
}

/**
 * Other software has keys of its own below `k8s.` and `kubernetes.`: there only the exact
 * name counts. No other domain is a mistake.
 */
function meantByPrefixed(key: string): string | undefined {
  const slash = key.indexOf("/");
  const prefix = key.slice(0, slash).toLowerCase();
  const name = key.slice(slash + 1).toLowerCase();
  if (/cni|cncf|multus|genie|npwg/.test(prefix))
    return keyByName.get(nearest(name, [...keyByName.keys()]) ?? "");
  return /k8s|kubernetes/.test(prefix) ? keyByName.get(name) : undefined;
}

function meantByBare(key: string, hasBlankCni: boolean): string | undefined {
  const bare = key.toLowerCase();
  // The beginning of a key, such as `k8s.v1.cni.cncf.io`; a shorter word is not enough.
  const prefixed =
    bare.length < 10
      ? undefined
      : nearest(bare, [networksAnnotation, defaultNetworkAnnotation]);
  if (prefixed !== undefined) return prefixed;
  if (bare.split(/[._-]/).some(isCni)) return cniAnnotation;
  if (bare === "default-network") return defaultNetworkAnnotation;
  // Alone, such a key may be anybody's.
  return hasBlankCni ? nearest(bare, [logicalAnnotation]) : undefined;
}

/** A word of three letters has too many neighbours: `csi`, `cri`, `cli`. */
function isCni(word: string): boolean {
  return ["cni", "cnis", "cin", "nci"].includes(word);
}
