/**
 * Network namespaces with interfaces and routes, built and looked at with
 * iproute2, which the code under test does not use.
 */
import { Netns } from "../support/netns.ts";

/** As `ip route show default` prints them, nexthops on lines of their own. */
export interface DefaultRoutes {
  v4: string[];
  v6: string[];
}

/**
 * A pod with eth0, net1 and net2, each in 10.<n>.0.0/24 and fd0<n>::/64, a
 * default route in a table of its own, and what `commands` configure.
 */
export async function startPod(commands: string): Promise<Netns> {
  const pod = await Netns.create();
  try {
    const links = ["eth0", "net1", "net2"].map(
      (name, n) =>
        `ip link add ${name} type veth peer name peer${n}
         ip link set ${name} addrgenmode none; ip link set peer${n} addrgenmode none
         ip link set ${name} up; ip link set peer${n} up
         ip addr add 10.${n}.0.2/24 dev ${name}; ip addr add fd0${n}::2/64 dev ${name} nodad
         ip addr add fe80::${n + 2}/64 dev ${name} nodad`,
    );
    const policy = `ip route add default via 10.2.0.1 dev net2 table 100
      ip -6 route add default via fd02::1 dev net2 table 1000`;
    await pod.run("sh", "-ec", [...links, policy, commands].join("\n"));
    return pod;
  } catch (error) {
    await pod.remove();
    throw error;
  }
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

/** All that are no default route of the main table. */
export async function otherRoutes(pod: Netns): Promise<string[]> {
  return (
    (await table(pod))
      .split("\n")
      // Nexthops of a multipath route are on lines of their own, indented.
      .filter(
        (line) =>
          / table \d+ /.test(line) ||
          !/^(?:default|blackhole|unreachable|\t)/.test(line),
      )
  );
}

/** Those of the main table. */
export async function defaultRoutes(pod: Netns): Promise<DefaultRoutes> {
  const [v4, v6] = await Promise.all([
    pod.run("ip", "-4", "route", "show", "default"),
    pod.run("ip", "-6", "route", "show", "default"),
  ]);
  return { v4: lines(v4), v6: lines(v6) };
}

function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
