/**
 * Many calls of the compiled executable at once: pods that start together, and
 * operations of one container that must not run over each other (state.md
 * "Processes and locks").
 */
import { describe, expect, test } from "bun:test";
import { isRunning } from "../support/delegate.ts";
import { type Pod, nothing } from "../support/node.ts";
import type { Answer } from "../support/runtime.ts";
import {
  scriptedResult,
  startNode,
  startScriptedNode,
} from "../support/scripted-node.ts";

const pods = 50;

test(`ADD, ${pods} pods at once: distinct addresses, then nothing`, async () => {
  await using node = await startNode();
  const all = await Promise.all(
    Array.from({ length: pods }, (_, i) => node.pod(`pod-${i}`)),
  );
  const together = (command: "ADD" | "DEL") =>
    Promise.all(
      all.map((pod) =>
        node.succeed(command, pod, { annotations: { cni: "canal" } }),
      ),
    );
  const results = await together("ADD");
  const addresses = results.map(
    (result) =>
      (result as { ips: { address: string }[] }).ips[0]?.address ?? "",
  );
  expect(new Set(addresses).size).toBe(pods);
  expect(await Promise.all(all.map(addressOf))).toEqual(addresses);
  const { records, locks } = await node.remains();
  expect({ records: records.length, locks }).toEqual({
    records: 2 * pods,
    locks: [],
  });
  await together("DEL");
  expect(await node.remains()).toEqual(nothing);
}, 60_000);

async function addressOf({ netns }: Pod): Promise<string | undefined> {
  return (await netns.links())[0]?.addresses[0];
}

describe("one container", () => {
  test("ADD racing DEL: one after the other, a last DEL leaves nothing", async () => {
    await using node = await startNode();
    const pod = await node.pod();
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all([
        node.call("ADD", pod, { annotations: { cni: "canal,weave" } }),
        node.call("DEL", pod, { annotations: { cni: "canal,weave" } }),
      ]);
      expect(answers.map(({ exitCode }: Answer) => exitCode)).toEqual([0, 0]);
      await node.succeed("DEL", pod);
      expect(await node.remains()).toEqual(nothing);
    }
  });

  test("a daemon that a delegate leaves behind keeps no lock", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.delegates.behave("ADD alpha", {
      orphan: true,
      stdout: scriptedResult(0),
    });
    await node.succeed("ADD", pod, { annotations: {} });
    await node.succeed("CHECK", pod);
    await node.succeed("DEL", pod);
    expect(node.delegates.left().map(isRunning)).toEqual([true]);
    expect(await node.remains()).toEqual(nothing);
  });
});
