/**
 * What `attach` uses of this room, so that one import() loads it.
 */
export {
  type PolicyTable,
  applyPlan,
  hasDefaultRoute,
  putBack,
  removeTables,
  restore,
  takeOut,
  waysOut,
} from "./change.ts";
export type { Departure } from "./departure.ts";
export {
  type DefaultRouteRequest,
  type Plan,
  planDefaultRoutes,
} from "./plan.ts";
export { isReachable } from "./reachable.ts";
export { Rtnetlink } from "./rtnetlink.ts";
export type { Route } from "./route.ts";
export { type Snapshot, snapshotOf } from "./snapshot.ts";
