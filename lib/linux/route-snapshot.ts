/**
 * What the kernel has in a pod's network namespace, listed once. Addresses and rules
 * are listed only when they are asked for: most pods have no default route to move.
 */
import type { Route } from "./route.ts";
import type { Address, Routing } from "./rtnetlink.ts";
import type { ListedRule } from "./route-rule.ts";

export interface Snapshot {
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  readonly rules: readonly ListedRule[];
}

/** Every list throws StepError. */
export function snapshotOf(routing: Routing): Snapshot {
  let addresses: Address[] | undefined;
  let rules: ListedRule[] | undefined;
  return {
    routes: routing.routes(),
    get addresses() {
      return (addresses ??= routing.addresses());
    },
    get rules() {
      return (rules ??= routing.rules());
    },
  };
}
