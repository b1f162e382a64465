/**
 * Requests, annotations and configurations that the compiled executable must
 * refuse: one error with the right code, nothing executed, nothing left, and no
 * secret in anything that it says.
 */
import { describe, expect, test } from "bun:test";
import { startScriptedNode } from "../support/scripted-node.ts";
import { type Refusal, expectRefusal, secret } from "../support/refusal.ts";

describe("ADD refuses stdin", () => {
  const cases: [string, string, Refusal][] = [
    [
      "half an object",
      '{"name":"genie-net"',
      { code: 6, msg: "unexpected end of JSON input" },
    ],
    [
      "a text with a secret",
      `{"token":"${secret}",}`,
      { code: 6, msg: "invalid character '}'" },
    ],
    ["no name", "{}", { code: 7, msg: "missing network name" }],
    [
      "an unknown version",
      '{"name":"a","cniVersion":"9.9.9"}',
      {
        code: 1,
        msg: "incompatible CNI versions",
        details: expect.stringContaining('"9.9.9"'),
      },
    ],
  ];
  test.each(cases)("%s", async (_, stdin, refusal) => {
    await using node = await startScriptedNode();
    await expectRefusal(node, { pod: await node.pod(), stdin }, refusal);
  });
});

describe("ADD refuses the environment", () => {
  const cases: [string, Record<string, string>, Refusal][] = [
    [
      "a path as container",
      { CNI_CONTAINERID: "../x" },
      { code: 4, msg: "containerID", details: "../x" },
    ],
    [
      "our own namespace",
      { CNI_NETNS: "/proc/self/ns/net" },
      { code: 8, msg: "netns" },
    ],
    [
      "an empty plugin directory",
      { CNI_PATH: "/var/empty" },
      { code: 7, msg: 'failed to find plugin "alpha"' },
    ],
  ];
  test.each(cases)("%s", async (_, env, refusal) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    await expectRefusal(
      node,
      { pod, options: { annotations: {}, env } },
      refusal,
    );
  });
});

describe("ADD refuses the annotation", () => {
  const many = Array.from({ length: 33 }, () => "alpha").join(",");
  const cases: [string, string | RegExp][] = [
    ["nowhere", /no network "nowhere" in .*: have alpha, beta, gamma$/],
    ["../alpha", 'invalid network name "../alpha"'],
    ["alpha,", "empty network name"],
    ["alpha@a/../b", "interface name"],
    ["alpha,beta@eth1\u0000", "NUL"],
    ["alpha@\u001b[1m", 'have "\\u001b[1m"'],
    ["alpha@eth4", "CNI_IFNAME"],
    [many, "more than 32"],
    ["\u0000\u001b[31m", "\\u001b"],
  ];
  test.each(cases)("%j", async (cni, msg) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    await expectRefusal(
      node,
      { pod, options: { annotations: { cni } } },
      { code: 7, msg },
    );
  });
});

describe("ADD refuses the configuration", () => {
  const cases: [string, Record<string, unknown>, string | RegExp][] = [
    [
      "not the first of a chain",
      { prevResult: { cniVersion: "1.0.0" } },
      "prevResult",
    ],
    [
      "an unknown default",
      { default_plugin: "nowhere" },
      'no network "nowhere"',
    ],
    [
      "a directory without networks",
      { confDir: "/var/empty" },
      "no default network: /var/empty holds no other CNI configuration",
    ],
  ];
  test.each(cases)("%s", async (_, config, msg) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    await expectRefusal(
      node,
      { pod, options: { annotations: {}, config } },
      { code: 7, msg },
    );
  });
});
