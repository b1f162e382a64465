/** The modules that change a pod's routes, so that one import() loads them. */
export * from "./route-change.ts";
export * from "./route-plan.ts";
export { Rtnetlink, type Snapshot, snapshotOf } from "./rtnetlink.ts";
export type { Route } from "./route.ts";
export { decodeRoutes } from "./route-message.ts";
