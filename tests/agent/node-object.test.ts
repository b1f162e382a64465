import type { V1Taint } from "@kubernetes/client-node";
import { describe, expect, test } from "bun:test";
import { labelChanges } from "../../lib/agent/node/labels.ts";
import { messageOf } from "../../lib/linux/errno.ts";
import type { Agent } from "../../lib/agent/part.ts";
import type { ApiChange } from "../../lib/kube/typed-api.ts";
import {
  ReadinessJudge,
  taintPart,
  wantedTaints,
} from "../../lib/agent/node/taint.ts";

const ours: V1Taint = { key: "genie/not-ready", effect: "NoSchedule" };
const other: V1Taint = { key: "other", effect: "NoExecute", value: "v" };

describe("wantedTaints", () => {
  test.each<
    [
      what: string,
      taints: V1Taint[],
      isReady: boolean,
      expected: V1Taint[] | undefined,
    ]
  >([
    ["ready, without", [other], true, undefined],
    ["ready, with it: only it goes", [other, ours], true, [other]],
    ["not ready, without: added", [other], false, [other, ours]],
    ["not ready, with it", [ours, other], false, undefined],
    [
      "not ready, with another effect",
      [{ key: "genie/not-ready", effect: "NoExecute" }],
      false,
      [ours],
    ],
  ])("%s", (_, taints, isReady, expected) => {
    expect(wantedTaints(taints, isReady)).toEqual(expected);
  });
});

describe("ReadinessJudge", () => {
  test("ready at once; not ready after 60 s of failures in a row", () => {
    const judge = new ReadinessJudge();
    expect(judge.isReady("no", 0)).toBeUndefined();
    expect(judge.isReady("no", 59_000)).toBeUndefined();
    expect(judge.isReady(undefined, 59_500)).toBe(true);
    expect(judge.isReady("no", 61_000)).toBeUndefined();
    expect(judge.isReady("other", 120_000)).toBeUndefined();
    expect(judge.isReady("no", 121_000)).toBe(false);
    expect(judge.isReady(undefined, 122_000)).toBe(true);
  });
});

describe("taintPart", () => {
  test("a conflict after a minute of failures: the next run sets the taint at once", async () => {
    const patches: unknown[] = [];
    const statuses = [409, 200];
    const stop = new AbortController();
    let ms = 0;
    const agent = {
      node: "node1",
      nodeState: () => Promise.resolve({ problem: "no", names: [] }),
      log: () => {},
      event: () => stop.abort(),
      api: () =>
        Promise.resolve({
          send(_path: string, _signal: unknown, change?: ApiChange) {
            if (!change)
              return Promise.resolve(Response.json({ metadata: {} }));
            patches.push(change.body);
            const status = statuses.shift() ?? 500;
            return Promise.resolve(new Response("", { status }));
          },
        }),
    } as unknown as Agent;
    const part = taintPart(() => ms);
    await part.run(agent, AbortSignal.timeout(1));
    expect(patches).toEqual([]);
    ms = 60_000;
    const thrown = await part.run(agent, stop.signal).catch(messageOf);
    expect(thrown).toContain("conflict");
    ms = 61_000;
    await part.run(agent, stop.signal);
    const patch = { metadata: {}, spec: { taints: [ours] } };
    expect(patches).toMatchObject([patch, patch]);
  });
});

describe("labelChanges", () => {
  test("those of networks that went are removed, others' are left", () => {
    const present = {
      "networks.genie/old": "ready",
      "networks.genie/kept": "ready",
      "networks.genie/wrong": "no",
      "kubernetes.io/hostname": "node1",
    };
    expect(labelChanges(present, ["kept", "new", "wrong"])).toEqual({
      "networks.genie/old": null,
      "networks.genie/new": "ready",
      "networks.genie/wrong": "ready",
    });
  });

  test("names that cannot be a label are left out", () => {
    const names = ["a".repeat(63), "a".repeat(64), "-a", "a_b.c", "a b", ""];
    expect(Object.keys(labelChanges({}, names))).toEqual([
      `networks.genie/${"a".repeat(63)}`,
      "networks.genie/a_b.c",
    ]);
  });
});
