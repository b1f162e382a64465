/** Annotations that nothing reads, although their author meant them for genie. Pure. */
import { own } from "../../cni/json.ts";
import { type Annotations, cniAnnotation } from "../../select/attachment.ts";
import { isChoice } from "../../select/choice.ts";
import { misspeltAnnotations } from "../../select/misspelt-annotations.ts";
import type { PodView } from "../pods/pod-view.ts";

/** A line for each: on the workload and not in its template, misspelt, or beside another one. */
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
    isChoice(own(annotations, "networks"))
    ? ['annotation "networks" is read only beside a blank "cni"']
    : [];
}
