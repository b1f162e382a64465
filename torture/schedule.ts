/**
 * The schedule of a torture: pods, faults and their moments. Pure: the same seed gives
 * the same schedule.
 */
import {
  type AgentFault,
  type ApiFault,
  type DelegateFault,
  type DiskFault,
  type Disturbance,
  addFaults,
  agentFaults,
  apiFaults,
  deleteFaults,
  diskFaults,
  disturbances,
} from "./faults.ts";
import type { Networks } from "./agreement.ts";
import { Random } from "./random.ts";

/** The fault of one delegate in one call. */
export interface DelegatePlan {
  /** Plugin type. */
  type: string;
  verb: "ADD" | "DEL" | "CHECK";
  fault: DelegateFault;
  /** The random moment. */
  ms: number;
}

export interface AddPlan {
  delegates: DelegatePlan[];
  api?: ApiFault;
  /** SIGKILL of genie after so many milliseconds. */
  killMs?: number;
  /** A DEL that begins while ADD still runs. */
  raceMs?: number;
  /** Once more, for the same container, without a DEL. */
  again: boolean;
  missingNetns: boolean;
}

/** A network that comes while the pod runs, as eth9, and goes again; each perhaps killed. */
export interface HotPlan {
  network: string;
  attachKillMs?: number;
  detach: boolean;
  detachKillMs?: number;
}

/** An edit of a running pod's annotations, and faults while the agent follows it. */
export interface EditPlan {
  networks: Networks;
  delegates: DelegatePlan[];
  /** Until the next one. */
  afterMs: number;
}

/** One DEL that the schedule disturbs; after these the runtime retries until success. */
export interface DelPlan {
  delegates: DelegatePlan[];
  killMs?: number;
  /** Two at once. */
  twice: boolean;
}

/** The call that removes the pod in the end. */
export type End = "DEL" | "GC" | "genie gc";

export interface PodPlan {
  name: string;
  /** Plugin types of its networks, in order, and the annotations that choose them. */
  types: string[];
  annotations: Record<string, string>;
  /** The source of the annotations. */
  source: "runtime" | "API server";
  add: AddPlan;
  check: boolean;
  /** Edits of its annotations, one after the other, while it runs. */
  edits?: EditPlan[];
  hot?: HotPlan;
  /** The networks of an automatic choice. */
  automatic?: string[];
  /** An auxiliary chain, and the faults of its plugin. */
  auxiliary?: DelegatePlan[];
  disturbances: Disturbance[];
  dels: DelPlan[];
  /** The type of a plugin whose DEL fails, from the runtime's last DELs on until the end of the round. */
  stubborn?: string;
  end: End;
  /** Milliseconds into the round. */
  startMs: number;
}

export interface Round {
  pods: PodPlan[];
  disk?: { fault: DiskFault; afterMs: number; forMs: number };
  /** While pods come and go: the runtime's GC, that of another genie list, `genie gc`. */
  gc?: { afterMs: number; killMs?: number };
  otherGc?: { afterMs: number };
  genieGc?: { afterMs: number };
  /** Pods are edited, and the agent is disturbed. */
  agent?: { afterMs: number; fault: AgentFault }[];
}

export interface Schedule {
  seed: number;
  rounds: Round[];
}

export const podsPerRound = 8;

export function makeSchedule(seed: number, rounds: number): Schedule {
  const random = new Random(seed);
  return {
    seed,
    rounds: Array.from({ length: rounds }, (_, i) =>
      makeRound(random.fork(), i),
    ),
  };
}

function makeRound(random: Random, round: number): Round {
  const hasEdits = random.chance(0.5);
  const pods = Array.from({ length: podsPerRound }, (_, i) =>
    makePod(random.fork(), `pod-${round}-${i}`, hasEdits),
  );
  return {
    pods,
    ...(random.chance(0.3) && {
      disk: {
        fault: random.pick(diskFaults),
        afterMs: random.int(0, 400),
        forMs: random.int(50, 600),
      },
    }),
    ...(random.chance(0.5) && {
      gc: {
        afterMs: random.int(0, 500),
        ...(random.chance(0.3) && { killMs: random.int(5, 60) }),
      },
    }),
    ...(random.chance(0.4) && { otherGc: { afterMs: random.int(0, 600) } }),
    ...(random.chance(0.5) && { genieGc: { afterMs: random.int(0, 600) } }),
    ...(hasEdits && {
      agent: Array.from({ length: random.int(1, 5) }, () => ({
        afterMs: random.int(200, 2500),
        fault: random.pick(agentFaults),
      })),
    }),
  };
}

/** The networks of `tortured-node`: their name in `cni` or their definition, and their plugin. */
const networks = [
  { choice: "canal", type: "bridge" },
  { choice: "weave", type: "ptp" },
  { choice: "trunk", type: "macvlan" },
  { choice: "ledger", type: "ledger" },
];

/** The type of the auxiliary chain's plugin. */
export const auxiliaryType = "auxiliary";

const definitions = [
  { definition: "side", type: "bridge" },
  { definition: "trunk", type: "macvlan" },
];

function makePod(random: Random, name: string, hasEdits: boolean): PodPlan {
  const chosen = random.chance(0.85)
    ? Array.from({ length: random.int(1, 3) }, () => random.pick(networks))
    : [];
  const defined = random.chance(0.3) ? [random.pick(definitions)] : [];
  const types = [
    ...(chosen.length > 0 ? chosen : networks.slice(0, 1)),
    ...defined,
  ].map(({ type }) => type);
  const base = {
    name,
    types,
    annotations: {
      ...(chosen.length > 0 && {
        cni: chosen.map(({ choice }) => choice).join(","),
      }),
      ...(defined.length > 0 && {
        "k8s.v1.cni.cncf.io/networks": defined
          .map(({ definition }) => definition)
          .join(","),
      }),
    },
    source: random.chance(0.6) ? ("runtime" as const) : ("API server" as const),
    add: makeAdd(random, types),
    check: random.chance(0.2),
    startMs: random.int(0, 300),
  };
  // Without its record a pod is found again by the runtime's cache and its `cni`
  // annotation: errors are then swallowed and definitions skipped, and an ADD that
  // never ended has no entry there (state.md "DEL"). Such a loss comes alone.
  if (random.chance(0.08) && defined.length === 0) {
    const { killMs: _kill, raceMs: _race, ...others } = base.add;
    const add = { ...others, delegates: [], again: false };
    return {
      ...base,
      add,
      source: "runtime",
      disturbances: ["record truncated"],
      dels: [],
      end: "DEL",
    };
  }
  const alone: Disturbance = "record truncated";
  const happening = random.some(
    disturbances.filter((disturbance) => disturbance !== alone),
    random.pick([0, 1, 1, 2, 3]),
  );
  const end = random.pick<End>([
    "DEL",
    "DEL",
    "DEL",
    "DEL",
    "DEL",
    "DEL",
    "GC",
    "genie gc",
  ]);
  return {
    ...base,
    ...(hasEdits &&
      random.chance(0.7) && { edits: makeEdits(random, chosen[0]?.choice) }),
    ...(random.chance(0.3) && { hot: makeHot(random) }),
    disturbances: happening.filter(
      (disturbance) => end === "DEL" || disturbance !== "clock set forward",
    ),
    dels:
      end === "DEL"
        ? Array.from({ length: random.int(0, 3) }, () => makeDel(random, types))
        : [],
    ...(end === "DEL" &&
      random.chance(0.15) && { stubborn: random.pick(types) }),
    end,
    ...(chosen.length === 0 && random.chance(0.5) && automaticallyChosen(base)),
    ...(random.chance(0.3) && { auxiliary: makeAuxiliary(random) }),
  };
}

function automaticallyChosen({ annotations }: Pick<PodPlan, "annotations">) {
  return {
    annotations: { ...annotations, cni: "" },
    automatic: ["canal", "ledger"],
  };
}

function makeAuxiliary(random: Random): DelegatePlan[] {
  const types = [auxiliaryType];
  return [
    ...(random.chance(0.3) ? [delegate(random, types, "ADD", addFaults)] : []),
    ...(random.chance(0.3)
      ? [delegate(random, types, "DEL", deleteFaults)]
      : []),
  ];
}

function makeAdd(random: Random, types: readonly string[]): AddPlan {
  const delegates: DelegatePlan[] = [];
  if (random.chance(0.5))
    delegates.push(delegate(random, types, "ADD", addFaults));
  // Faults of the rollback, if there is one, else of the first DEL.
  if (random.chance(0.25))
    delegates.push(delegate(random, types, "DEL", deleteFaults));
  return {
    delegates,
    ...(random.chance(0.35) && {
      api: random.pick(Object.keys(apiFaults) as ApiFault[]),
    }),
    ...(random.chance(0.35) && { killMs: random.int(3, 120) }),
    ...(random.chance(0.15) && { raceMs: random.int(0, 60) }),
    again: random.chance(0.2),
    missingNetns: random.chance(0.06),
  };
}

/** Without `primary` the node chooses it. */
function makeEdits(random: Random, primary: string | undefined): EditPlan[] {
  const types = [...networks, ...definitions].map(({ type }) => type);
  // A second time in one pod, ptp has the same route to add, and fails.
  const once = "weave";
  const some = (names: readonly string[], ifname: string): string[] => {
    const picked = Array.from({ length: random.int(0, 2) }, () =>
      random.pick(names),
    ).filter((name, i, all) => name !== once || all.indexOf(name) === i);
    // A name is distinct.
    return picked.map((name, i) =>
      i === 0 && random.chance(0.3) ? `${name}@${ifname}` : name,
    );
  };
  const choices = networks
    .map(({ choice }) => choice)
    .filter((choice) => choice !== once || choice !== primary);
  const names = definitions.map(({ definition }) => definition);
  return Array.from({ length: random.int(1, 4) }, () => ({
    networks: {
      ...(primary !== undefined && {
        cni: [primary, ...some(choices, "eth7")],
      }),
      definitions: some(names, "pod1"),
    },
    delegates: [
      ...(random.chance(0.3)
        ? [delegate(random, types, "ADD", addFaults)]
        : []),
      ...(random.chance(0.3)
        ? [delegate(random, types, "DEL", deleteFaults)]
        : []),
    ],
    afterMs: random.int(0, 600),
  }));
}

function makeHot(random: Random): HotPlan {
  return {
    network: random.pick(networks).choice,
    ...(random.chance(0.5) && { attachKillMs: random.int(30, 200) }),
    detach: random.chance(0.6),
    ...(random.chance(0.5) && { detachKillMs: random.int(30, 150) }),
  };
}

function makeDel(random: Random, types: readonly string[]): DelPlan {
  return {
    delegates: random.chance(0.8)
      ? [delegate(random, types, "DEL", deleteFaults)]
      : [],
    ...(random.chance(0.45) && { killMs: random.int(3, 80) }),
    twice: random.chance(0.15),
  };
}

function delegate(
  random: Random,
  types: readonly string[],
  verb: DelegatePlan["verb"],
  faults: readonly DelegateFault[],
): DelegatePlan {
  return {
    type: random.pick(types),
    verb,
    fault: random.pick(faults),
    ms: random.int(1, 40),
  };
}
