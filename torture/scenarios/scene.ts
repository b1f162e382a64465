/** The inputs of a scenario: a node and a pod of its own. */
import type { DelegateFault } from "../faults.ts";
import type { Outcome } from "../calls.ts";
import type { DelegatePlan } from "../schedule.ts";
import { Victim, type VictimOptions } from "../victim.ts";
import type { TorturedNode } from "../tortured-node.ts";

export type Scenario = (scene: Scene) => Promise<void>;

export class Scene {
  readonly node: TorturedNode;
  /** For files of its own. */
  readonly directory: string;
  readonly #name: string;

  constructor(name: string, node: TorturedNode, directory: string) {
    this.#name = name;
    this.node = node;
    this.directory = directory;
  }

  victim(options?: VictimOptions): Promise<Victim> {
    return Victim.create(this.node, options);
  }

  /** Counts a check; a failed one is a finding. */
  require(holds: boolean, what: string): void {
    this.node.report.count("rules", this.#name);
    if (!holds) this.node.report.find(`${this.#name}: ${what}`);
  }

  requireSuccess({ verb, exitCode, text }: Outcome): void {
    this.require(exitCode === 0, `${verb} fails: ${text}`);
  }

  requireNothingLeft(victim: Victim): void {
    const left = victim.remains();
    this.require(left.length === 0, `left: ${left.join(", ")}`);
  }

  /** A plugin of the victim's does this at every call, until it is repaired. */
  break(
    victim: Victim,
    type: string,
    verb: DelegatePlan["verb"],
    fault: DelegateFault = "delegate fails at once",
  ): void {
    const plan = { type, verb, fault, ms: 0 };
    this.node.plugins.orderAlways(victim.containerId, plan);
  }

  repair({ containerId }: Victim): void {
    this.node.plugins.forget(containerId);
  }
}

/** The code of an error, undefined for a success. */
export function codeOf({ json }: Outcome): unknown {
  return typeof json === "object" && json !== null && "code" in json
    ? json.code
    : undefined;
}
