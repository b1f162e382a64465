/**
 * Moves a pod's default routes to one interface (selection.md §6,
 * `default-route`): the new route is there before an old one goes, and after a
 * failure everything is as it was. Loaded only when a pod asks for it.
 */
import type { Family, Ip } from "../cni/address.ts";
import { Code, CniError, errnoOf, messageOf, quote } from "../cni/error.ts";
import {
  describeRoute,
  identityOf,
  type Route,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTPROT_BOOT,
} from "./route.ts";
import { type Routing, Rtnetlink } from "./rtnetlink.ts";
import { step } from "./step.ts";

/**
 * Makes the route via each gateway over `ifname` the only default route of its
 * address family in the main table of the network namespace at `netns`. Doing it
 * again changes nothing. At most one gateway of a family. Throws CniError 999
 * that names the step; the routes are then as before, or its details say not.
 */
export async function moveDefaultRoutes(
  netns: string,
  ifname: string,
  gateways: readonly Ip[],
): Promise<void> {
  if (gateways.length === 0) return;
  using routing = new Rtnetlink(netns);
  moveWithin(routing, ifname, gateways);
}

/** The same in the network namespace of an open `routing`. */
export function moveWithin(
  routing: Routing,
  ifname: string,
  gateways: readonly Ip[],
): void {
  const links = step("failed to list interfaces", () => routing.links());
  const ifindex = [...links].find(([, name]) => name === ifname)?.[0];
  if (ifindex === undefined) {
    throw new CniError(
      Code.internal,
      `failed to move the default route: no interface ${quote(ifname)} in the network namespace`,
    );
  }
  const work: Work = { routing, links };
  const wanted = gateways.map((gateway) => routeVia(gateway, ifindex));
  const families = wanted.map(({ family }) => family);
  const before = families.flatMap((family) => listed(work, family));
  try {
    settle(work, wanted);
  } catch (error) {
    throw withProblems(CniError.from(error), restore(work, families, before));
  }
}

/** Better than the 1024 of router advertisements: one that arrives later does not win. */
const metric: Readonly<Record<Family, number>> = { 4: 0, 6: 512 };

/** Others (a router's advertisement, a DHCP client) may add routes meanwhile. */
const rounds = 3;

interface Work {
  routing: Routing;
  links: ReadonlyMap<number, string>;
}

function routeVia(gateway: Ip, ifindex: number): Route {
  return {
    family: gateway.family,
    destination: 0,
    source: 0,
    tos: 0,
    table: RT_TABLE_MAIN,
    protocol: RTPROT_BOOT,
    scope: 0,
    type: RTN_UNICAST,
    metric: metric[gateway.family],
    nexthops: [
      {
        ifindex,
        gateway: gateway.bytes,
        weight: 0,
        onlink: false,
        attributes: [],
      },
    ],
    attributes: [],
  };
}

/** Until the wanted routes are the only ones. */
function settle(work: Work, wanted: readonly Route[]): void {
  for (let round = 0; round < rounds; round += 1) {
    // All of them first: a gateway that cannot be reached is found before
    // anything is removed.
    for (const route of wanted) ensure(work, route);
    for (const route of wanted) removeOthers(work, route);
    const settled = wanted.every((route) => {
      const [only, ...others] = listed(work, route.family);
      return only && others.length === 0 && serves(only, route);
    });
    if (settled) return;
  }
  throw new CniError(
    Code.internal,
    "failed to move the default route: others keep changing the default routes",
  );
}

function ensure(work: Work, wanted: Route): void {
  const { family } = wanted;
  if (listed(work, family).some((route) => serves(route, wanted))) return;
  add(work, wanted, "first");
}

function removeOthers(work: Work, wanted: Route): void {
  const routes = listed(work, wanted.family);
  const kept = routes.find((route) => serves(route, wanted));
  // Backwards, so that those left are the beginning of the list: putting the
  // others behind them restores the order.
  for (const route of routes.toReversed()) {
    if (route !== kept) remove(work, route);
  }
}

/** Whether an existing route, of whatever origin, does what the wanted one shall do. */
function serves(route: Route, wanted: Route): boolean {
  const [hop, ...others] = route.nexthops;
  const [goal] = wanted.nexthops;
  return (
    route.type === wanted.type &&
    route.source === 0 &&
    route.tos === 0 &&
    route.expires === undefined &&
    route.metric <= wanted.metric &&
    others.length === 0 &&
    hop?.attributes.length === 0 &&
    hop.ifindex === goal?.ifindex &&
    Bun.deepEquals(hop.gateway, goal.gateway)
  );
}

/**
 * Puts back what is missing, then removes what was not there, going on after a
 * failure; what could not be done.
 */
function restore(
  work: Work,
  families: readonly Family[],
  before: readonly Route[],
): string[] {
  const problems: string[] = [];
  attempt(() => {
    const now = families.flatMap((family) => listed(work, family));
    for (const route of without(before, now)) {
      attempt(() => add(work, route, "last"));
    }
    for (const route of without(now, before)) {
      attempt(() => remove(work, route));
    }
  });
  return problems;

  function attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      problems.push(`roll back: ${messageOf(error)}`);
    }
  }
}

/** The routes of the first list that are not in the second. */
function without(routes: readonly Route[], others: readonly Route[]): Route[] {
  const known = new Set(others.map(identityOf));
  return routes.filter((route) => !known.has(identityOf(route)));
}

function withProblems(failure: CniError, problems: string[]): CniError {
  if (problems.length === 0) return failure;
  return new CniError(failure.code, failure.message, {
    details: [failure.details, ...problems].filter(Boolean).join("; "),
    cause: failure.cause,
  });
}

function listed({ routing }: Work, family: Family): Route[] {
  return step("failed to list default routes", () =>
    routing.defaultRoutes(family),
  );
}

function add(work: Work, route: Route, place: "first" | "last"): void {
  change("failed to add default route", work, route, "EEXIST", () =>
    work.routing.add(route, place),
  );
}

function remove(work: Work, route: Route): void {
  change("failed to delete default route", work, route, "ESRCH", () =>
    work.routing.remove(route),
  );
}

/** A refusal that means "it is so already" is none. */
function change(
  failure: string,
  { links }: Work,
  route: Route,
  already: string,
  work: () => void,
): void {
  step(`${failure} ${describeRoute(route, links)}`, () => {
    try {
      work();
    } catch (error) {
      if (errnoOf(error) !== already) throw error;
    }
  });
}
