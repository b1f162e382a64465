/**
 * Requests, annotations and configurations that the compiled executable must
 * refuse: one error with the right code, nothing executed, nothing left, and no
 * secret in anything that it says.
 */
import { describe, expect, test } from "bun:test";
import { startScriptedNode } from "./networks.ts";
import { type Refusal, expectRefusal, secret } from "./refused.ts";

describe("ADD refuses stdin", () => {
  const cases: [string, string, Refusal][] = [
    ["nothing", "", { code: 6, msg: "unexpected end of JSON input" }],
    [
      "half an object",
      '{"name":"genie-net"',
      { code: 6, msg: "unexpected end of JSON input" },
    ],
    [
      "two objects",
      '{"name":"a"}{"name":"b"}',
      { code: 6, msg: "after top-level value" },
    ],
    ["a list", "[]", { code: 6, msg: "expected an object" }],
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
    await using scripted = await startScriptedNode();
    await expectRefusal(
      scripted,
      { pod: await scripted.node.pod(), stdin },
      refusal,
    );
  });
});

describe("ADD refuses the environment", () => {
  const cases: [string, Record<string, string>, Refusal][] = [
    [
      "no container",
      { CNI_CONTAINERID: "" },
      { code: 4, msg: "CNI_CONTAINERID" },
    ],
    [
      "a path as container",
      { CNI_CONTAINERID: "../x" },
      { code: 4, msg: "containerID", details: "../x" },
    ],
    [
      "a path as interface",
      { CNI_IFNAME: "../x" },
      { code: 4, msg: "interface name" },
    ],
    ["no namespace", { CNI_NETNS: "" }, { code: 4, msg: "CNI_NETNS" }],
    [
      "our own namespace",
      { CNI_NETNS: "/proc/self/ns/net" },
      { code: 8, msg: "netns" },
    ],
    ["no plugin directory", { CNI_PATH: "" }, { code: 4, msg: "CNI_PATH" }],
    [
      "an empty plugin directory",
      { CNI_PATH: "/var/empty" },
      { code: 7, msg: 'failed to find plugin "alpha"' },
    ],
  ];
  test.each(cases)("%s", async (_, env, refusal) => {
    await using scripted = await startScriptedNode();
    const pod = await scripted.node.pod();
    await expectRefusal(
      scripted,
      { pod, options: { annotations: {}, env } },
      refusal,
    );
  });
});

describe("ADD refuses the annotation", () => {
  const many = Array.from({ length: 33 }, () => "alpha").join(",");
  const cases: [string, string | RegExp][] = [
    ["nowhere", /no network "nowhere" in .*: have alpha, beta, gamma$/],
    ["alpha,nowhere", 'no network "nowhere"'],
    ["genie", 'no network "genie"'],
    ["../alpha", 'invalid network name "../alpha"'],
    ["-alpha", 'invalid network name "-alpha"'],
    ["alpha beta", 'invalid network name "alpha beta"'],
    ["alpha,", "empty network name"],
    ["@eth0", "empty network name"],
    ["alpha@eth0@eth1", "more than one @"],
    ["alpha@a/../b", "interface name"],
    ["alpha@..", "interface name"],
    ["alpha@sixteen-bytes-xx", "interface name"],
    [
      "alpha@eth1,beta@eth1,gamma",
      'repeated request for interface name "eth1"',
    ],
    ["alpha@eth4", "CNI_IFNAME"],
    [many, "more than 32"],
    ["\u0000\u001b[31m", "\\u001b"],
  ];
  test.each(cases)("%j", async (cni, msg) => {
    await using scripted = await startScriptedNode();
    const pod = await scripted.node.pod();
    await expectRefusal(
      scripted,
      { pod, options: { annotations: { cni } } },
      { code: 7, msg },
    );
  });

  test("logical networks", async () => {
    await using scripted = await startScriptedNode();
    const pod = await scripted.node.pod();
    const options = { annotations: { cni: "", networks: "red,blue" } };
    await expectRefusal(
      scripted,
      { pod, options },
      { code: 7, msg: '"networks"' },
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
    ["a bad default", { default_plugin: "alpha,," }, "default_plugin"],
    [
      "a directory without networks",
      { confDir: "/var/empty" },
      "no default network: /var/empty holds no other CNI configuration",
    ],
    [
      "a wrong kind",
      { policy: { k8s_auth_token: [secret] } },
      /policy\.k8s_auth_token: expected a string/,
    ],
    ["a wrong choice", { result: "all" }, "result"],
    ["no time", { delegateTimeout: 0 }, "delegateTimeout"],
    ["a relative directory", { dataDir: "data" }, "dataDir"],
  ];
  test.each(cases)("%s", async (_, config, msg) => {
    await using scripted = await startScriptedNode();
    const pod = await scripted.node.pod();
    await expectRefusal(
      scripted,
      { pod, options: { annotations: {}, config } },
      { code: 7, msg },
    );
  });

  test("a network that is not allowed", async () => {
    await using scripted = await startScriptedNode();
    const pod = await scripted.node.pod();
    const options = {
      annotations: { cni: "beta" },
      config: { allowedNetworks: ["gamma"] },
    };
    await expectRefusal(
      scripted,
      { pod, options },
      { code: 7, msg: '"beta" is not allowed' },
    );
  });

  test("an unknown network, invalid files are named", async () => {
    await using scripted = await startScriptedNode();
    scripted.node.network("05-broken.conf", "{");
    const pod = await scripted.node.pod();
    const options = { annotations: { cni: "broken" } };
    await expectRefusal(
      scripted,
      { pod, options },
      {
        code: 7,
        msg: /have alpha, beta, gamma; invalid: 05-broken\.conf \(.+\)$/,
      },
    );
  });
});
