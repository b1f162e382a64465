/**
 * How large a record becomes (state.md "What ADD writes, DEL reads"), by the
 * compiled executable: a shared configuration is stored once, and what would be
 * over 4 MiB is refused before anything is executed.
 */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { startApiServer } from "../support/api-server.ts";
import { removeCerts } from "../support/certs.ts";
import { nothing } from "../support/node.ts";
import {
  keptKubeconfig,
  scriptedResult,
  startScriptedNode,
  stdinOf,
} from "../support/scripted-node.ts";
import { summary } from "../support/delegate.ts";
import { networksKey } from "../support/cluster.ts";

afterAll(removeCerts);

test("a definition that a pod names 31 times is in its record once", async () => {
  await using api = await startApiServer();
  await using node = await startScriptedNode();
  const pod = await node.pod();
  const filling = "x".repeat(200_000);
  const big = { cniVersion: "1.0.0", name: "big-net", type: "beta", filling };
  api.definitions.put({
    metadata: { namespace: pod.namespace, name: "big" },
    spec: { config: JSON.stringify(big) },
  });
  const names = Array.from({ length: 31 }, () => "big").join();
  const kubeconfig = keptKubeconfig(node, api);
  const options = {
    annotations: { [networksKey]: names },
    config: { kubernetes: { kubeconfig } },
  };
  await node.succeed("ADD", pod, options);
  const text = readFileSync(node.recordPath(pod), "utf8");
  expect(text.split(filling)).toHaveLength(2);
  expect(node.record(pod)).toMatchObject({ formatVersion: 2 });
  await node.succeed("CHECK", pod, options);
  node.delegates.forget();
  await node.succeed("DEL", pod, options);
  const calls = node.delegates.calls();
  expect(calls.map(summary)).toEqual([
    ...Array.from({ length: 31 }, (_, i) => `DEL beta net${31 - i}`),
    "DEL alpha eth0",
  ]);
  expect(stdinOf(calls[30])).toEqual({
    ...big,
    prevResult: scriptedResult(1),
  });
  expect(await node.remains()).toEqual(nothing);
});

test("ordinary pods have records that 0.1.0 reads: format 1", async () => {
  await using node = await startScriptedNode();
  for (const cni of ["alpha", "alpha,beta,gamma"]) {
    const pod = await node.attach({ annotations: { cni } });
    expect(node.record(pod)).toMatchObject({ formatVersion: 1 });
    await node.succeed("DEL", pod);
  }
});

test("more than 4 MiB of configurations: 7, nothing is executed, not even the DEL of a left-over", async () => {
  await using node = await startScriptedNode();
  const pod = await node.attach({ annotations: { cni: "beta" } });
  const before = node.record(pod);
  const types = ["alpha", "beta", "gamma"];
  const large = Array.from({ length: 5 }, (_, i) => `large${i}`);
  for (const [i, name] of large.entries())
    node.network(`5${i}-${name}.conf`, {
      cniVersion: "1.0.0",
      name,
      type: types[i % 3],
      filling: String(i).repeat(900_000),
    });
  node.delegates.forget();
  const cni = large.join();
  expect(await node.fail("ADD", pod, { annotations: { cni } })).toMatchObject({
    code: 7,
    msg: expect.stringMatching(
      /the configurations of 5 networks are too large to be recorded: \d+ bytes, at most 4194304/,
    ),
  });
  expect(node.delegates.calls()).toEqual([]);
  expect(node.record(pod)).toEqual(before);
  const other = await node.pod("other");
  expect(await node.fail("ADD", other, { annotations: { cni } })).toMatchObject(
    { code: 7 },
  );
  expect(node.delegates.calls()).toEqual([]);
  // Four of them fit.
  const four = large.slice(1).join();
  await node.succeed("ADD", other, { annotations: { cni: four } });
  await node.succeed("DEL", other);
  await node.succeed("DEL", pod);
  expect(await node.remains()).toEqual(nothing);
});
