/**
 * The faults, as tables: of delegates, of the API server, of the disk. A new fault is
 * a new row.
 */
import { type Fault, statusFault } from "../tests/support/api-faults.ts";

/**
 * Shell text that a delegate executes instead of `exec "$real"`; `$ms` is the
 * schedule's random moment as a fraction of a second.
 */
export const delegateFaults = {
  "delegate fails at once": "failed 'no more wires'",
  "delegate fails late": `"$real" >/dev/null; failed 'no more wires'`,
  // containerd takes such words for a success (state.md "DEL").
  'delegate fails with "not found"':
    "failed 'link not found: no such file or directory'",
  // Passed on, it would tell the runtime that nothing is left to delete.
  "delegate fails with code 3": "failed 'unknown container' 3",
  "delegate is slow": `sleep 2; exec "$real"`,
  "delegate dies without a word": `"$real" >/dev/null; exit 3`,
  "delegate prints garbage": `"$real" >/dev/null; echo '<html>{}'`,
  "delegate prints an untrusted result": `"$real" >/dev/null; printf '{"ips":[{"address":"10.0.0.1/24","interface":7}]}'`,
  "delegate prints too much": `"$real" >/dev/null; yes | head -c 6000000; sleep 600`,
  "delegate writes too much to stderr": `"$real"; yes | head -c 2000000 >&2; sleep 600`,
  "delegate hangs before its work": "sleep 600 & wait",
  "delegate hangs after its work": `"$real"; sleep 600`,
  "delegate is killed": `(sleep "$ms"; kill -9 $$) & exec "$real"`,
  "delegate leaves a process behind": `sleep 1 & exec "$real"`,
} as const;

export type DelegateFault = keyof typeof delegateFaults;

/** For a certain rule only: a random schedule has no use for it. */
const special: ReadonlySet<DelegateFault> = new Set(["delegate is slow"]);

/** The faults of an ADD in the random schedule. */
export const addFaults = (
  Object.keys(delegateFaults) as DelegateFault[]
).filter((fault) => !special.has(fault));

/** After these the plugin may have been ended in the middle of its work. */
export const killing: ReadonlySet<string> = new Set<DelegateFault>([
  "delegate is killed",
]);

/** A delegate that fails its DEL, whatever it did before. */
export const deleteFaults: readonly DelegateFault[] = [
  "delegate fails at once",
  'delegate fails with "not found"',
  "delegate dies without a word",
  "delegate prints too much",
  "delegate hangs before its work",
  "delegate hangs after its work",
  "delegate is killed",
  "delegate leaves a process behind",
];

/** Faults of requests for one pod; a fault without a row here is a kubeconfig, see `tortured-node`. */
export const apiFaults = {
  "API server slow": { kind: "delay", ms: 400 },
  "API server 503, then well": statusFault(503),
  "API server 500 all the time": { ...statusFault(500), times: 1000 },
  "API server never answers": { kind: "stall", times: 1000 },
  "API server closes": { kind: "close", times: 2 },
  "API server truncates": { kind: "truncate" },
  "API server sends too much": { kind: "huge", bytes: 5 << 20 },
  "API server down": undefined,
  "wrong token": undefined,
} as const satisfies Record<string, Fault | undefined>;

export type ApiFault = keyof typeof apiFaults;

/** Faults of `genie agent`: it is started again at once. */
export const agentFaults = [
  "the agent is killed",
  "the agent and its genie are killed",
  "its watches break off",
  "its watches are too old",
] as const;

export type AgentFault = (typeof agentFaults)[number];

export const diskFaults = [
  "disk full",
  "disk without a free inode",
  "dataDir read-only",
] as const;

export type DiskFault = (typeof diskFaults)[number];

/** Changes of a pod, its record or the node between ADD and DEL. */
export const disturbances = [
  "annotation changed",
  "pod gone from the API server",
  "configuration files removed",
  "namespace gone",
  "record truncated",
  "result truncated",
  "clock set back",
  "clock set forward",
  "power loss",
] as const;

export type Disturbance = (typeof disturbances)[number];
