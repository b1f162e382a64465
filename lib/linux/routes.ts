/** The modules that change a pod's routes, so that one import() loads them. */
export type { Departure } from "./departure.ts";
export * from "./route-change.ts";
export { decodeRoutes } from "./route-message.ts";
export { type DefaultRouteRequest, isReachable } from "./route-owner.ts";
export * from "./route-plan.ts";
export { type Route, addressText } from "./route.ts";
export { Rtnetlink, type Snapshot, snapshotOf } from "./rtnetlink.ts";
