/**
 * The door of this room: what `attach` needs for a pod with several networks, behind
 * one import().
 */
export {
  type PolicyTable,
  applyPlan,
  hasDefaultRoute,
  putBack,
  removeTables,
  takeOut,
} from "./change.ts";
export type { Departure } from "./departure.ts";
export {
  type DefaultRouteRequest,
  type Plan,
  planDefaultRoutes,
} from "./plan.ts";
export { isReachable } from "./reachable.ts";
export { Rtnetlink } from "./rtnetlink.ts";
export { type Snapshot, snapshotOf } from "./snapshot.ts";
