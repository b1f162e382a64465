/**
 * One scenario for each rule that a random schedule meets too rarely or cannot check.
 * A new rule of state.md is a new row.
 */
import type { TorturedNode } from "../tortured-node.ts";
import { mountNamespace, otherList, youngRecord } from "./collectors.ts";
import { code3, completedAdd, failedAdd, secondDel } from "./give-up.ts";
import { failingLock, lockReader, readOnlyOrphan } from "./locks.ts";
import { bounds, sharedConfiguration, syncedRewrite } from "./records.ts";
import { type Scenario, Scene } from "./scene.ts";
import { followedAnnotations } from "./running-pod.ts";
import { shares } from "./time.ts";

export const scenarios = {
  "a DEL that never succeeds": completedAdd,
  "a failed ADD that cannot be deleted": failedAdd,
  "a second DEL": secondDel,
  "code 3": code3,
  "a flock that fails": failingLock,
  "a reader of a lock's file": lockReader,
  "an orphan of a read-only disk": readOnlyOrphan,
  "GC of another list": otherList,
  "a young record": youngRecord,
  "another mount namespace": mountNamespace,
  "a shared configuration": sharedConfiguration,
  "a request out of bounds": bounds,
  "a rewritten record": syncedRewrite,
  "shares of the time": shares,
  "a running pod": followedAnnotations,
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof scenarios;

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(scenarios, name);
}

/** Runs them one after the other and reports findings. */
export async function playScenarios(
  names: readonly ScenarioName[],
  node: TorturedNode,
  directory: string,
): Promise<void> {
  for (const name of names) {
    try {
      await scenarios[name](new Scene(name, node, directory));
    } catch (error) {
      node.report.find(`${name}: the torture itself failed: ${String(error)}`);
    }
  }
}
