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
} from "./route-change.ts";
export type { Departure } from "./route-departure.ts";
export {
  type DefaultRouteRequest,
  type Plan,
  planDefaultRoutes,
} from "./route-plan.ts";
export { isReachable } from "./reachable-gateway.ts";
export { Rtnetlink } from "./rtnetlink.ts";
export type { Route } from "./route.ts";
export { type Snapshot, snapshotOf } from "./route-snapshot.ts";
