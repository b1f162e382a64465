/** Annotations that nothing reads, although their author meant them for genie. Pure. */
import { misspeltAnnotations } from "../../select/misspelt-annotations.ts";
import type { PodView } from "../pods/pod-view.ts";

/** A line for each: on the workload and not in its template, or misspelt. */
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
  ];
}
