/**
 * Which interface of a network namespace carries something: pings, and the kernel's
 * counters.
 */
import type { Netns } from "./netns.ts";

const pings = 5;

/**
 * Pings an address from a namespace; the interface of `watched` that sent most of the
 * packets, whether they were the pings or the answers. Throws Error for an answer that
 * is missing.
 */
export async function pingedBy(
  watched: Netns,
  from: Netns,
  address: string,
): Promise<string | undefined> {
  const before = await sentPackets(watched);
  const options = ["-q", "-n", "-i", "0.002", "-W", "5", "-c", String(pings)];
  await from.run("ping", ...options, address);
  const after = await sentPackets(watched);
  const [most] = Object.entries(after)
    .map(([name, count]) => ({ name, count: count - (before[name] ?? 0) }))
    .toSorted((a, b) => b.count - a.count);
  // Neighbours are looked for as well, but not so often.
  return most && most.count >= pings ? most.name : undefined;
}

async function sentPackets(netns: Netns): Promise<Record<string, number>> {
  const links = JSON.parse(await netns.ip("-json -statistics link")) as {
    ifname: string;
    stats64: { tx: { packets: number } };
  }[];
  return Object.fromEntries(
    links.map(({ ifname, stats64 }) => [ifname, stats64.tx.packets]),
  );
}
