/** Every form of credential against a real TLS server (configuration.md, `kubernetes`, `policy`). */
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeOptions } from "../../lib/kube/access/access.ts";
import { makeCerts } from "../support/certs.ts";
import {
  kubeOf,
  podAnswer,
  temporaryFile,
  temporaryDirectory,
  thrownBy,
  startServer,
} from "./fixtures.ts";

const certs = makeCerts();
const node = certs.client("node-1", ["system:nodes"]);

const server = await startServer({
  tokens: { "token-1": "first", "token-2": "second" },
  passwords: { "name:pass:word": "basic" },
});

/** Asks for the pod; the users that the server took us for. */
async function usersOf(options: KubeOptions, dependencies = {}) {
  const kube = kubeOf(options, dependencies);
  expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
  return server.requests.map(({ user, status }) => [user, status]);
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("credential, of the kubeconfig", () => {
  test.each([
    ["token", { token: "token-1" }, "first"],
    [
      "username and password",
      { username: "name", password: "pass:word" },
      "basic",
    ],
    [
      "client certificate, files",
      { "client-certificate": node.certFile, "client-key": node.keyFile },
      "node-1",
    ],
    [
      "client certificate, data",
      {
        "client-certificate-data": base64(node.cert),
        "client-key-data": base64(node.key),
      },
      "node-1",
    ],
    [
      "token before password",
      { token: "token-1", username: "name", password: "x" },
      "first",
    ],
  ])("credential, %s: that user", async (_, user, name) => {
    expect(await usersOf({ kubeconfig: server.kubeconfig({ user }) })).toEqual([
      [name, 200],
    ]);
  });

  test.each([
    ["nothing", {}],
    ["a token", { token: "token-1" }],
    ["a user", { username: "other", password: "S3CRET" }],
  ])(
    "credential, a login in the URL beside %s: sent alone, as by Go",
    async (_, user) => {
      const url = `https://name:pass%3Aword@127.0.0.1:${server.port}`;
      const kubeconfig = server.kubeconfig({ user, cluster: { server: url } });
      expect(await usersOf({ kubeconfig })).toEqual([["basic", 200]]);
    },
  );

  test("credential, tokenFile: wins over token, read at every use", async () => {
    const tokenFile = temporaryFile("token-1\n");
    const kubeconfig = server.kubeconfig({
      user: { tokenFile, token: "other" },
    });
    const kube = kubeOf({ kubeconfig });
    await kube.getPod("shop", "web");
    writeFileSync(tokenFile, "token-2");
    await kube.getPod("shop", "web");
    expect(server.requests.map(({ user }) => user)).toEqual([
      "first",
      "second",
    ]);
  });

  test.each([
    ["client certificate of another authority", certs.foreignClient("node-1")],
    ["no credential", undefined],
  ])("credential, %s: tried twice, then 11", async (_, pair) => {
    const user = pair
      ? { "client-certificate": pair.certFile, "client-key": pair.keyFile }
      : {};
    const kube = kubeOf({ kubeconfig: server.kubeconfig({ user }) });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 11,
      status: 401,
      msg: 'failed to get pod "shop/web": unauthorized: "Unauthorized" (2 tries)',
    });
    expect(server.requests.length).toBe(2);
  });

  const garbage = temporaryFile("S3CRET");
  const empty = temporaryFile(" \n");
  const binary = temporaryFile("S3CRET\nS3CRET");
  test.each([
    [
      "token file missing",
      { tokenFile: "/nonexistent" },
      'failed to read "/nonexistent": no such file or directory',
    ],
    [
      "token file empty",
      { tokenFile: empty },
      `"${empty}": the token is empty`,
    ],
    [
      "token of two lines",
      { tokenFile: binary },
      `"${binary}": the token has characters that no header may have`,
    ],
    [
      "key missing",
      { "client-certificate": node.certFile },
      "the client key is missing",
    ],
    [
      "certificate missing",
      { "client-key": node.keyFile },
      "the client certificate is missing",
    ],
    [
      "certificate file garbage",
      { "client-certificate": garbage, "client-key": node.keyFile },
      `users.0.user.client-certificate: "${garbage}" holds no PEM certificate`,
    ],
    [
      "key data garbage",
      {
        "client-certificate": node.certFile,
        "client-key-data": base64("S3CRET"),
      },
      "users.0.user.client-key-data: holds no PEM private key",
    ],
    [
      "key encrypted",
      {
        "client-certificate": node.certFile,
        "client-key-data": base64("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
      },
      "users.0.user.client-key-data: holds an encrypted private key",
    ],
  ])("credential, %s: error 7, no content", async (_, user, problem) => {
    const kubeconfig = server.kubeconfig({ user });
    const thrown = await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web"));
    expect(thrown).toEqual({
      code: 7,
      msg: `kubeconfig "${kubeconfig}": ${problem}`,
    });
    expect(thrown.msg).not.toContain("S3CRET");
    expect(server.requests).toEqual([]);
  });

  const webToken = `eyJhbGciOiJSUzI1NiJ9.${"S3CRET".repeat(9)}.x`;

  test.each([
    ["web token", { tokenFile: webToken }],
    ["absolute web token", { tokenFile: `/${webToken}` }],
    ["opaque token", { tokenFile: "S3CRETS3CRETS3CRETS3CRET" }],
    ["long token with slashes", { tokenFile: `${"S3CRET".repeat(15)}/a.b` }],
    [
      "key",
      {
        "client-certificate": node.certFile,
        "client-key": `-----BEGIN PRIVATE KEY-----\nS3CRET`,
      },
    ],
  ])(
    "credential, %s in place of its path: error 7, not quoted",
    async (_, user) => {
      const kubeconfig = server.kubeconfig({ user });
      const thrown = await thrownBy(
        kubeOf({ kubeconfig }).getPod("shop", "web"),
      );
      expect(thrown).toEqual({
        code: 7,
        msg: expect.stringMatching(
          /failed to read a file: (?:no such file or directory|file name too long) \(its path looks like a secret and is not shown\)$/,
        ),
      });
      expect(thrown.msg).not.toContain("S3CRET");
    },
  );

  test("kubeconfig, long path that is missing: quoted", async () => {
    const kubeconfig = "/etc/genie-kubeconfig-of-the-second-cluster";
    expect(
      (await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web"))).msg,
    ).toBe(
      `kubeconfig: failed to read "${kubeconfig}": no such file or directory`,
    );
  });

  test.each([
    "apiVersion: v1\nkind: Config\nusers: S3CRET\n",
    '{"users":[{"user":{"token":"S3CRET"}}]}',
  ])(
    "kubeconfig, %j in place of its path: error 7, not quoted",
    async (kubeconfig) => {
      expect(
        await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web")),
      ).toEqual({
        code: 7,
        msg: "kubeconfig: failed to read a file: no such file or directory (its path looks like a secret and is not shown)",
      });
    },
  );

  test("credential, certificate and key that do not fit: error 11 that says so", async () => {
    const other = certs.client("other");
    const user = {
      "client-certificate": node.certFile,
      "client-key": other.keyFile,
    };
    const kube = kubeOf({ kubeconfig: server.kubeconfig({ user }) });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 11,
      msg: `failed to get pod "shop/web": server "${server.url}": no connection could be made: do certificate, key and certificate authority fit together?`,
      status: undefined,
    });
  });
});

describe("credential, of the policy", () => {
  test("policy without kubeconfig: server, token and authority", async () => {
    const policy = {
      server: `${server.url}/api/v1/`,
      token: "token-2",
      certificateAuthority: certs.ca.certFile,
    };
    expect(await usersOf({ policy })).toEqual([["second", 200]]);
  });

  test.each(["S3CRET\ud800", "S3CRET é", "S3CRET\u007f", "S3CRET\n"])(
    "policy, token %j: error 7, not quoted",
    async (token) => {
      const policy = { server: server.url, token };
      const thrown = await thrownBy(kubeOf({ policy }).getPod("shop", "web"));
      expect(thrown).toEqual({
        code: 7,
        msg: "configuration: the token has characters that no header may have",
      });
    },
  );

  test("policy, token with every character that a header may have: taken", async () => {
    const token = "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~";
    const policy = {
      server: server.url,
      token,
      certificateAuthority: certs.ca.certFile,
    };
    const thrown = await thrownBy(kubeOf({ policy }).getPod("shop", "web"));
    expect([thrown.status, server.requests.length]).toEqual([401, 2]);
  });

  test("policy, client certificate and key: paths", async () => {
    const policy = {
      clientCertificate: node.certFile,
      clientKey: node.keyFile,
      certificateAuthority: certs.ca.certFile,
    };
    expect(await usersOf({ server: server.url, policy })).toEqual([
      ["node-1", 200],
    ]);
  });

  test("policy over kubeconfig: each key wins", async () => {
    const kubeconfig = server.kubeconfig({
      user: {
        tokenFile: "/nonexistent",
        exec: {
          apiVersion: "client.authentication.k8s.io/v1",
          command: "/nonexistent",
        },
      },
      cluster: {
        server: "https://192.0.2.1:1",
        "certificate-authority-data": base64(certs.foreignCa.cert),
        "insecure-skip-tls-verify": true,
      },
    });
    const policy = {
      server: server.url,
      token: "token-2",
      certificateAuthority: certs.ca.certFile,
    };
    expect(await usersOf({ kubeconfig, policy })).toEqual([["second", 200]]);
  });

  test("k8s_api_root: of kubernetes wins over policy's, both over the kubeconfig's", async () => {
    const kubeconfig = server.kubeconfig({
      cluster: { server: "https://192.0.2.1:1" },
    });
    const policy = { server: "https://192.0.2.2:1" };
    expect(await usersOf({ kubeconfig, server: server.url, policy })).toEqual([
      ["first", 200],
    ]);
  });

  test("policy, an authority that is another's: refused although the kubeconfig skips verification", async () => {
    const kubeconfig = server.kubeconfig({
      cluster: { "insecure-skip-tls-verify": true },
    });
    const policy = { certificateAuthority: certs.foreignCa.certFile };
    const thrown = await thrownBy(
      kubeOf({ kubeconfig, policy }).getPod("shop", "web"),
    );
    expect(thrown.msg).toContain("certificate not trusted");
    expect(server.requests).toEqual([]);
  });

  test("policy, unreadable file: error 7 naming the key", async () => {
    const policy = { certificateAuthority: "/nonexistent" };
    const kube = kubeOf({ server: server.url, policy });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 7,
      msg: 'policy.k8s_certificate_authority: failed to read "/nonexistent": no such file or directory',
    });
  });
});

describe("credential, in a pod", () => {
  test("in-cluster, IPv4: the mounted token", async () => {
    const env = {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: `${server.port}`,
    };
    const users = await usersOf({}, { env, serviceAccount: mounted() });
    expect(users).toEqual([["first", 200]]);
  });

  test("in-cluster, no token mounted: error 7", async () => {
    const env = {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: "1",
    };
    const kube = kubeOf({}, { env, serviceAccount: "/nonexistent" });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 7,
      msg: 'service account: failed to read "/nonexistent/ca.crt": no such file or directory',
    });
  });

  test.each([[{}], [{ KUBERNETES_SERVICE_HOST: "10.0.0.1" }]])(
    "in-cluster, environment %p: error 7",
    async (env) => {
      expect(await thrownBy(kubeOf({}, { env }).getPod("shop", "web"))).toEqual(
        {
          code: 7,
          msg: "no API server: neither a kubeconfig nor a server is configured",
        },
      );
    },
  );
});

/** The directory of a service account. */
function mounted(): string {
  const directory = join(temporaryDirectory(), "serviceaccount");
  mkdirSync(directory);
  writeFileSync(join(directory, "token"), "token-1");
  writeFileSync(join(directory, "ca.crt"), certs.ca.cert);
  return directory;
}
