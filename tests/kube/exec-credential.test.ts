/** Credential plugins (`exec`) and `auth-provider` of a kubeconfig, with real programs. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Deadline } from "../../lib/linux/deadline.ts";
import { runCredentialPlugin } from "../../lib/kube/access/exec-credential.ts";
import { makeCerts } from "../support/certs.ts";
import { isRunning } from "../support/delegate.ts";
import {
  kubeOf,
  podAnswer,
  temporaryFile,
  thrownBy,
  startServer,
} from "./fixtures.ts";

const apiVersion = "client.authentication.k8s.io/v1";
const certs = makeCerts();
const node = certs.client("node-1");
const PATH = process.env["PATH"];

const server = await startServer({
  tokens: { "token-1": "first", "token-2": "second" },
});

function program(script: string): string {
  return temporaryFile(`#!/bin/sh\n${script}\n`, {
    name: "plugin",
    mode: 0o755,
  });
}

/** A program that prints an ExecCredential with that status. */
function printing(status: object): string {
  const credential = JSON.stringify({
    apiVersion,
    kind: "ExecCredential",
    status,
  });
  return program(`cat <<'EOF'\n${credential}\nEOF`);
}

function kubeWith(exec: object, dependencies = {}) {
  const user = { exec: { apiVersion, interactiveMode: "Never", ...exec } };
  return kubeOf(
    { kubeconfig: server.kubeconfig({ user }) },
    { env: { PATH }, ...dependencies },
  );
}

describe("exec", () => {
  test.each([
    ["a token", { token: "token-1" }, "first"],
    [
      "a client certificate",
      { clientCertificateData: node.cert, clientKeyData: node.key },
      "node-1",
    ],
  ])("exec, plugin that prints %s: that user", async (_, status, user) => {
    const kube = kubeWith({ command: printing(status) });
    expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
    expect(server.requests.map((request) => request.user)).toEqual([user]);
  });

  test("exec, a plugin that fails once: the next request runs it again", async () => {
    const command = program(
      `cd "$(dirname "$0")"; mkdir failed 2>/dev/null && exit 1; echo '{"apiVersion":"${apiVersion}","status":{"token":"token-1"}}'`,
    );
    const kube = kubeWith({ command });
    const thrown = await thrownBy(kube.getPod("shop", "web"));
    expect([thrown.code, server.requests.length]).toEqual([11, 0]);
    expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
  });

  test("exec, three calls at once: run once, anew after 401", async () => {
    const command = program(
      `cd "$(dirname "$0")"; echo run >> runs; n=$(wc -l < runs); echo '{"apiVersion":"${apiVersion}","status":{"token":"token-'$((n - 1))'"}}'`,
    );
    const kube = kubeWith({ command });
    await Promise.all(
      ["web", "web", "web"].map((name) => kube.getPod("shop", name)),
    );
    expect(readFileSync(join(dirname(command), "runs"), "utf8")).toBe(
      "run\nrun\n",
    );
    const statuses = server.requests.map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(3);
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
  });

  test("exec, arguments, environment and KUBERNETES_EXEC_INFO: handed over", async () => {
    const seen = join(dirname(temporaryFile("")), "seen");
    const command = program(
      `printf '%s\\n' "$1" "$OWN" "$INHERITED" "$KUBERNETES_EXEC_INFO" > "$OUT"; echo '{"apiVersion":"${apiVersion}","status":{"token":"token-1"}}'`,
    );
    const env = [
      { name: "OWN", value: "own" },
      { name: "OUT", value: seen },
    ];
    const exec = { command, args: ["a b"], env, provideClusterInfo: true };
    await kubeWith(exec, {
      env: { PATH, INHERITED: "inherited", OWN: "other" },
    }).getPod("shop", "web");
    const [arg, own, inherited, info = ""] = readFileSync(seen, "utf8").split(
      "\n",
    );
    expect([arg, own, inherited, JSON.parse(info)]).toEqual([
      "a b",
      "own",
      "inherited",
      {
        apiVersion,
        kind: "ExecCredential",
        spec: {
          interactive: false,
          cluster: {
            server: server.url,
            "certificate-authority-data": Buffer.from(certs.ca.cert).toString(
              "base64",
            ),
            config: null,
          },
        },
      },
    ]);
  });

  test("exec, a bare name: looked up in PATH", async () => {
    const command = printing({ token: "token-1" });
    const kube = kubeWith(
      { command: "plugin" },
      { env: { PATH: `${dirname(command)}:${PATH}` } },
    );
    await kube.getPod("shop", "web");
    expect(server.requests.map(({ user }) => user)).toEqual(["first"]);
  });

  test.each([
    [
      "code 3 with a message",
      "echo S3CRET; echo 'token S3CRET is not valid' >&2; exit 3",
      "exited with code 3: its stderr is not shown, it may hold a secret",
    ],
    [
      "a signal and a message",
      "echo S3CRET >&2; kill -KILL $$",
      "was killed: its stderr is not shown, it may hold a secret",
    ],
    [
      "too much",
      "while echo S3CRETS3CRETS3CRETS3CRETS3CRET; do :; done",
      "printed too much",
    ],
    ["code 1 without", "exit 1", "exited with code 1"],
    ["a signal", "kill -KILL $$", "was killed"],
    [
      "no JSON",
      "echo S3CRET",
      "printed no credential: expected an object, got nothing",
    ],
    [
      "no version",
      `echo '{"status":{"token":"S3CRET"}}'`,
      "printed no credential: apiVersion: expected a string, got nothing",
    ],
    [
      "another kind",
      `echo '{"apiVersion":"${apiVersion}","kind":"Token","status":{"token":"S3CRET"}}'`,
      'printed no credential: kind: expected "ExecCredential", got a string',
    ],
    [
      "no status",
      `echo '{"apiVersion":"${apiVersion}"}'`,
      "printed no credential: status: expected an object, got nothing",
    ],
    [
      "a token of another type",
      `echo '{"apiVersion":"${apiVersion}","status":{"token":["S3CRET"]}}'`,
      "printed no credential: status.token: expected a string, got an array",
    ],
    [
      "another version",
      `echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"S3CRET"}}'`,
      `printed a credential of apiVersion "client.authentication.k8s.io/v1beta1": the kubeconfig has "${apiVersion}"`,
    ],
    [
      "empty token",
      `echo '{"apiVersion":"${apiVersion}","status":{"token":""}}'`,
      "printed no credential: neither a token nor a certificate",
    ],
    [
      "certificate without key",
      `echo '{"apiVersion":"${apiVersion}","status":{"clientCertificateData":"S3CRET"}}'`,
      "printed a certificate without its key, or a key alone",
    ],
  ])(
    "exec, plugin that ends with %s: error 11, no output quoted",
    async (_, script, problem) => {
      const command = program(script);
      const thrown = await thrownBy(
        kubeWith({ command }).getPod("shop", "web"),
      );
      expect(thrown).toEqual({
        code: 11,
        msg: `credential plugin "${command}" ${problem}`,
      });
      expect(thrown.msg).not.toContain("S3CRET");
      expect(server.requests).toEqual([]);
    },
  );

  test("exec, plugin that prints a token that no header may have: error 7, not quoted", async () => {
    const command = printing({ token: "S3CRET\nS3CRET" });
    expect(await thrownBy(kubeWith({ command }).getPod("shop", "web"))).toEqual(
      {
        code: 7,
        msg: `credential plugin "${command}": the token has characters that no header may have`,
      },
    );
  });

  test("exec, no such plugin: error 7", async () => {
    const thrown = await thrownBy(
      kubeWith({ command: "no-such-plugin" }).getPod("shop", "web"),
    );
    expect(thrown).toEqual({
      code: 7,
      msg: 'failed to find credential plugin "no-such-plugin"',
    });
  });

  test("exec, arguments in the command: not found, not quoted", async () => {
    const command = "no-such-plugin --token S3CRET";
    expect(await thrownBy(kubeWith({ command }).getPod("shop", "web"))).toEqual(
      {
        code: 7,
        msg: 'failed to find credential plugin "no-such-plugin"',
      },
    );
  });

  test("exec, plugin that hangs: killed with its children at the deadline, error 11", async () => {
    const started = join(dirname(temporaryFile("")), "pids");
    const command = program(`sleep 60 & echo "$$ $!" > ${started}; wait`);
    const config = {
      apiVersion,
      command,
      args: [],
      env: {},
      provideClusterInfo: false,
    };
    const deadline = new Deadline(2000);
    const run = runCredentialPlugin({
      config,
      env: { PATH },
      cluster: {},
      deadline,
    });
    expect(await thrownBy(run)).toEqual({
      code: 11,
      msg: `credential plugin "${command}" gave no credential in time`,
    });
    const pids = readFileSync(started, "utf8").trim().split(" ");
    // The grandchild is killed at once but reaped by init; a failure is this test's time limit.
    while (pids.some((pid) => isRunning(Number(pid)))) await Bun.sleep(1);
    expect(pids).toHaveLength(2);
  });
});

describe("auth-provider", () => {
  const token = (claims: object): string =>
    ["{}", JSON.stringify(claims), "sig"]
      .map((part) => Buffer.from(part).toString("base64url"))
      .join(".");
  const valid = token({ exp: 4_000_000_000 });

  test("auth-provider, OIDC with a valid token: that user", async () => {
    server.tokens.set(valid, "oidc");
    await kubeOfProvider({
      name: "oidc",
      config: { "id-token": valid },
    }).getPod("shop", "web");
    expect(server.requests.map(({ user }) => user)).toEqual(["oidc"]);
  });

  test.each([
    [
      "expired without refresh",
      { name: "oidc", config: { "id-token": token({ exp: 1 }) } },
      "gave no token",
    ],
    ["unknown", { name: "other", config: {} }, "gave no token"],
    [
      "no JSON in the token",
      { name: "oidc", config: { "id-token": "S3CRET.S3CRET.x" } },
      "failed: SyntaxError",
    ],
  ])(
    "auth-provider, %s: error 11, no content",
    async (_, provider, problem) => {
      expect(
        await thrownBy(kubeOfProvider(provider).getPod("shop", "web")),
      ).toEqual({
        code: 11,
        msg: `auth-provider "${provider.name}" ${problem}`,
      });
    },
  );
});

function kubeOfProvider(provider: object) {
  return kubeOf({
    kubeconfig: server.kubeconfig({ user: { "auth-provider": provider } }),
  });
}
