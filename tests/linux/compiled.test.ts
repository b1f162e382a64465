/**
 * The same in a compiled executable, as a container runtime would start it on a
 * node without iproute2: an empty PATH, a working directory with a false C
 * library in it. It runs in a network namespace of its own, whose routes nobody
 * else changes, so that they can be compared.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { compile } from "../../scripts/compile.ts";
import { readElfHeader } from "../../lib/linux/elf.ts";
import { targetFor } from "../../scripts/targets.ts";
import { type Routing, routingOf, startPod, table } from "./pod.ts";

const lib = resolve(import.meta.dir, "../../lib");

/** Moves the routes of eth0 to net1 and tells whether the thread is where it was; what failed is its last word. */
const entry = `
import { readlinkSync, writeSync } from "node:fs";
import { parseIp } from ${JSON.stringify(join(lib, "linux/address.ts"))};
import { CniError } from ${JSON.stringify(join(lib, "cni/error.ts"))};
const own = readlinkSync("/proc/thread-self/ns/net");
const [netns, ...gateways] = process.argv.slice(2);
const { Rtnetlink, applyPlan, planDefaultRoutes, snapshotOf } = await import(${JSON.stringify(join(lib, "linux/routes.ts"))});
let error = null;
try {
  using routing = new Rtnetlink(netns);
  const links = routing.links();
  const [eth0, net1] = [links.get("eth0"), links.get("net1")];
  applyPlan(routing, planDefaultRoutes(snapshotOf(routing), {
    attachments: [new Set([eth0]), new Set([net1])],
    primary: 0,
    request: { attachment: 1, ifindex: net1, gateways: gateways.map(parseIp) },
    move: true,
  }));
} catch (thrown) {
  error = CniError.from(thrown).toObject("1.1.0");
}
const children = Bun.spawnSync(["/bin/readlink", "/proc/self/ns/net"]).stdout.toString().trim();
const back = [readlinkSync("/proc/thread-self/ns/net"), children].every((now) => now === own);
writeSync(1, JSON.stringify({ error, back }));
`;

const routes = `ip route add default via 10.0.0.1 dev eth0
  ip -6 route add default via fd00::1 dev eth0`;

let directory: string;
let binary: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "genie-netlink-"));
  binary = join(directory, "build", "genie");
  mkdirSync(join(directory, "cwd"));
  const target = targetFor(await readElfHeader(process.execPath));
  writeFileSync(join(directory, "cwd", target.libc), "not a library");
  writeFileSync(join(directory, "entry.ts"), entry);
  await compile({
    entry: join(directory, "entry.ts"),
    outfile: binary,
    target: target.bun,
    runtime: process.execPath,
    constants: { GENIE_LIBC: target.libc },
  });
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const refused = {
  cniVersion: "1.1.0",
  code: 999,
  msg: 'failed to add route "default via 10.9.0.1 dev net1": network is unreachable',
  details: "ENETUNREACH: Nexthop has invalid gateway",
};

test.each<[string, string[], object | null, Routing]>([
  [
    "both families",
    ["10.1.0.1", "fd01::1"],
    null,
    {
      main: [
        "default via 10.1.0.1 dev net1",
        "default via fd01::1 dev net1 metric 512 pref medium",
      ],
      tables: {
        1000: [
          "default via 10.0.0.1 dev eth0",
          "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2",
          "fd00::/64 dev eth0 proto kernel metric 256 pref medium",
          "fe80::/64 dev eth0 proto kernel metric 256 pref medium",
          "default via fd00::1 dev eth0 metric 1024 pref medium",
        ],
      },
      rules: [
        "1000: from 10.0.0.2 lookup 1000",
        "1000: from fd00::2 lookup 1000",
      ],
    },
  ],
  [
    "a wrong gateway",
    ["10.9.0.1", "fd01::1"],
    refused,
    {
      main: [
        "default via 10.0.0.1 dev eth0",
        "default via fd00::1 dev eth0 metric 1024 pref medium",
      ],
      tables: {},
      rules: [],
    },
  ],
])(
  "compiled, %s: the pod's routes move, its caller's do not",
  async (_, gateways, error, expected) => {
    await using home = await startPod(routes);
    await using pod = await startPod(routes);
    const before = await table(home);
    const answer = await home.run(
      "/usr/bin/env",
      "-i",
      "-C",
      join(directory, "cwd"),
      "PATH=",
      binary,
      pod.path,
      ...gateways,
    );
    expect(JSON.parse(answer)).toEqual({ error, back: true });
    expect(await table(home)).toBe(before);
    expect(await routingOf(pod)).toEqual(expected);
  },
);
