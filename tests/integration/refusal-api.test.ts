/**
 * An API server that cannot be asked, or does not say which pod it is: the
 * compiled executable must refuse the ADD and say no secret.
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { statusFault } from "../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import {
  keptKubeconfig,
  startScriptedNode,
  store,
} from "../support/scripted-node.ts";
import { expectRefusal, secret } from "../support/refusal.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

describe("ADD refuses the kubeconfig", () => {
  const cases: [string, string | undefined, string][] = [
    ["missing", undefined, "no such file or directory"],
    ["not YAML", `token: ${secret}\n\t: [`, "is not YAML at line 2"],
    ["a text", secret, "kubeconfig"],
    [
      "impersonation",
      kubeconfigJson({ server: "https://a" }, { as: secret }),
      "users.0.user.as: impersonation is not supported",
    ],
  ];
  test.each(cases)("%s", async (_, text, msg) => {
    await using node = await startScriptedNode();
    const kubeconfig = join(node.directory, "kubeconfig");
    if (text !== undefined) writeFileSync(kubeconfig, text);
    const pod = await node.pod();
    const options = { config: { kubernetes: { kubeconfig } } };
    await expectRefusal(node, { pod, options }, { code: 7, msg });
  });

  test("none at all", async () => {
    await using node = await startScriptedNode();
    await expectRefusal(
      node,
      { pod: await node.pod() },
      { code: 7, msg: "kubeconfig" },
    );
  });
});

describe("ADD refuses responses of the API server", () => {
  const cases: [string, (api: ApiServer) => Promise<void> | void, string][] = [
    ["no server", (api) => api.stop(), "connection refused"],
    ["401", (api) => api.tokens.clear(), "unauthorized"],
    ["403", (api) => api.inject(statusFault(403)), "forbidden"],
    ["404", () => {}, "not found"],
    [
      "no answer",
      (api) => api.inject({ kind: "stall", times: 100 }),
      "no response in time",
    ],
    [
      "no JSON",
      (api) => api.inject({ kind: "answer", body: `<html>${secret}` }),
      "JSON",
    ],
    [
      "a token that comes back",
      (api) =>
        api.inject(statusFault(403, { message: `no ${secret}-token here` })),
      "forbidden",
    ],
  ];
  test.each(cases)("%s", async (_, harm, msg) => {
    await using api = await startApiServer({
      tokens: { [`${secret}-token`]: "genie" },
    });
    await using node = await startScriptedNode();
    const kubernetes = { kubeconfig: keptKubeconfig(node, api) };
    await harm(api);
    const options = { config: { kubernetes, apiTimeout: 0.5 } };
    const request = { pod: await node.pod(), options };
    const refusal = {
      code: 11,
      msg: new RegExp(`^failed to get pod "shop/web": .*${msg}`),
    };
    await expectRefusal(node, request, refusal);
  });

  test("a credential plugin that prints the token and fails", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const command = join(node.directory, "credential-plugin");
    const script = `#!/bin/sh\necho ${secret}; echo "invalid: ${secret}" >&2; exit 3\n`;
    writeFileSync(command, script, { mode: 0o755 });
    const user = {
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command,
        args: [secret],
      },
    };
    const kubernetes = { kubeconfig: api.kubeconfig({ user }) };
    const request = {
      pod: await node.pod(),
      options: { config: { kubernetes } },
    };
    await expectRefusal(node, request, {
      code: 11,
      msg: `credential plugin "${command}" exited with code 3`,
    });
  });
});

test("no secret in the output of a successful ADD", async () => {
  await using api = await startApiServer({
    tokens: { [`${secret}-policy`]: "genie" },
  });
  await using node = await startScriptedNode();
  const pod = await node.pod();
  store(api, pod, { cni: "alpha,beta" });
  const config = {
    kubernetes: {
      kubeconfig: api.kubeconfig({ user: { token: `${secret}-token` } }),
    },
    policy: { k8s_auth_token: `${secret}-policy` },
  };
  const said: string[] = [];
  for (const command of ["ADD", "CHECK", "DEL"] as const) {
    const { exitCode, stdout, stderr } = await node.call(command, pod, {
      config,
    });
    expect(exitCode).toBe(0);
    said.push(stdout, stderr);
  }
  expect(api.requests.map(({ method, status }) => [method, status])).toEqual([
    ["GET", 200],
    ["PATCH", 200],
  ]);
  expect(node.log()).toContain("wrote the pod's network status");
  expect(node.log()).toMatch(
    /asked the API server.*GET.*\/api\/v1\/namespaces\/shop\/pods\/web.*200/,
  );
  expect(said.join("") + node.log()).not.toContain(secret);
});
