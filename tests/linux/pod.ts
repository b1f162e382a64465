/**
 * Network namespaces with interfaces and routes, built and looked at with
 * iproute2, which the code under test does not use.
 */
import { type Ip, parseIp } from "../../lib/linux/address.ts";
import {
  type Plan,
  Rtnetlink,
  applyPlan,
  planDefaultRoutes,
  snapshotOf,
} from "../../lib/linux/routes.ts";
import { Netns } from "../support/netns.ts";

const interfaces = ["eth0", "net1", "net2"];

/**
 * A pod with eth0, net1 and net2, each in 10.<n>.0.0/24 and fd0<n>::/64, a
 * default route in a table of its own, and what `commands` configure.
 */
export async function startPod(commands: string): Promise<Netns> {
  const pod = await Netns.create();
  try {
    // One process of `ip` for all of it: a test takes half as long.
    const batch = interfaces.map(
      (name, n) =>
        `link add ${name} type veth peer name peer${n}
link set ${name} addrgenmode none
link set peer${n} addrgenmode none
link set ${name} up
link set peer${n} up
addr add 10.${n}.0.2/24 dev ${name}
addr add fd0${n}::2/64 dev ${name} nodad
addr add fe80::${n + 2}/64 dev ${name} nodad
`,
    );
    const policy = "route add default via 10.2.0.1 dev net2 table 100";
    const script = `ip -batch - <<END\n${batch.join("")}${policy}\nEND\n${commands}`;
    await pod.run("sh", "-ec", script);
    return pod;
  } catch (error) {
    await pod.remove();
    throw error;
  }
}

export interface Wish {
  /** Each an attachment, in the order of the list. */
  order?: readonly string[];
  primary?: string;
  /** `default-route` of net1. */
  gateways?: readonly string[];
  /** `"defaultRoutes": "keep"`. */
  keep?: true;
  /** The interface that a running pod gets. */
  arrived?: string;
}

/** Has the default routes settled; the plan that was applied. */
export function settle(pod: Netns, wish: Wish = {}): Plan {
  using routing = new Rtnetlink(pod.path);
  const plan = planFor(routing, wish);
  applyPlan(routing, plan);
  return plan;
}

export function planFor(
  routing: Rtnetlink,
  { order = interfaces, primary = "eth0", gateways = [], keep, arrived }: Wish,
): Plan {
  const links = routing.links();
  const indexOf = (name: string) => links.get(name) ?? -1;
  const attachment = order.indexOf("net1");
  const request = {
    attachment,
    ifindex: indexOf("net1"),
    gateways: gateways.map(ip),
  };
  return planDefaultRoutes(snapshotOf(routing), {
    attachments: order.map((name) => new Set([indexOf(name)])),
    primary: order.indexOf(primary),
    request: gateways.length > 0 ? request : undefined,
    move: !keep,
    ...(arrived !== undefined && { arrived: order.indexOf(arrived) }),
  });
}

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (!parsed) throw new Error(`no IP address: ${text}`);
  return parsed;
}

/** The output of `ip`, without the table `local` and the lines that every pod has. */
export interface Routing {
  /** Default routes of the main table, IPv4 and IPv6. */
  main: string[];
  /** Table → its routes; 100 is {@link startPod}'s own. */
  tables: Record<string, string[]>;
  /** `from 10.1.0.2 lookup 1000`, with the priority in front. */
  rules: string[];
}

export async function routingOf(pod: Netns): Promise<Routing> {
  const [main, tables, rules] = await Promise.all([
    defaultRoutes(pod),
    tablesOf(pod),
    pod.run("sh", "-ec", "ip rule; ip -6 rule"),
  ]);
  const own = lines(rules).filter((line) => !/^(?:0|3276[67]):/.test(line));
  return { main, tables, rules: own };
}

/** Every route of every table, without the seconds that run. */
export async function table(pod: Netns): Promise<string> {
  const shown = await pod.run(
    "sh",
    "-ec",
    "ip -4 route show table all; ip -6 route show table all",
  );
  return shown
    .replaceAll(/ expires \d+sec/g, " expires")
    .replaceAll(/ +$/gm, "");
}

/** The default routes of the main table, nexthops on lines of their own. */
export async function defaultRoutes(pod: Netns): Promise<string[]> {
  return lines(
    await pod.run(
      "sh",
      "-ec",
      "ip -4 route show default; ip -6 route show default",
    ),
  );
}

/** All of the main table that are no default routes. */
export async function otherRoutes(pod: Netns): Promise<string[]> {
  return lines(
    await pod.run("sh", "-ec", "ip -4 route show; ip -6 route show"),
  ).filter((line) => !/^(?:default|blackhole|unreachable|nexthop)/.test(line));
}

async function tablesOf(pod: Netns): Promise<Record<string, string[]>> {
  const tables: Record<string, string[]> = {};
  let number = "";
  for (const line of lines(await table(pod))) {
    // The nexthops of a multipath route follow on lines of their own.
    if (!line.startsWith("nexthop "))
      [, number = ""] = / table (\d+)/.exec(line) ?? [];
    if (number === "" || number === "100") continue;
    (tables[number] ??= []).push(line.replace(` table ${number}`, ""));
  }
  return tables;
}

function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) =>
      line
        .trim()
        .replaceAll("\t", " ")
        .replaceAll(/ expires \d+sec/g, " expires"),
    )
    .filter(Boolean);
}
