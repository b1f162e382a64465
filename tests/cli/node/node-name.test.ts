/** This node's name in the API (agent.md). */
import { expect, test } from "bun:test";
import { hostNodeName } from "../../../lib/cli/node/node-name.ts";

test.each([
  ["node1", "node1"],
  ["Node-1.Example", "node-1.example"],
  ["node1\n", "node1"],
])("hostNodeName, %j, as the kubelet names its node", (host, name) => {
  expect(hostNodeName(host)).toBe(name);
});
