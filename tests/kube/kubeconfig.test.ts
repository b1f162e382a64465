/** Reading a kubeconfig: the current context, and errors that tell the place but no content. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readKubeconfig } from "../../lib/kube/access/kubeconfig.ts";
import { errorOf } from "../support/cni-error.ts";
import { temporaryFile, temporaryDirectory } from "./fixtures.ts";

const minimal = {
  "current-context": "a",
  contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
  clusters: [{ name: "a", cluster: { server: "https://a" } }],
  users: [{ name: "a", user: { token: "S3CRET" } }],
};

const impersonations = [
  ["as", "S3CRET"],
  ["as-uid", "S3CRET"],
  ["as-groups", ["S3CRET"]],
  ["as-user-extra", { reason: ["S3CRET"] }],
  // Of another type than a kubeconfig has.
  ["as", 5313537],
  ["as-groups", "S3CRET"],
] as const;

function read(content: string | object) {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  const path = temporaryFile(text);
  return { path, directory: dirname(path), run: () => readKubeconfig(path) };
}

function namedPipe(): string {
  const path = join(temporaryDirectory(), "pipe");
  if (Bun.spawnSync(["mkfifo", path]).exitCode !== 0)
    throw new Error("failed to make a named pipe");
  return path;
}

describe("readKubeconfig", () => {
  const expected = {
    cluster: { server: "https://a", insecure: false },
    user: { token: "S3CRET" },
  };

  test.each([
    ["JSON", JSON.stringify(minimal)],
    ["JSON indented by tabs", JSON.stringify(minimal, null, "\t")],
    ["YAML", Bun.YAML.stringify(minimal, null, 2)],
    ["YAML in one line", Bun.YAML.stringify(minimal)],
  ])("readKubeconfig, %s: cluster and user", (_, text) => {
    expect(read(text).run()).toStrictEqual(expected);
  });

  test("readKubeconfig, several contexts: the current one, first entry of a name", () => {
    const { run } = read({
      ...minimal,
      "current-context": "b",
      contexts: [
        ...minimal.contexts,
        { name: "b", context: { cluster: "b", user: "b" } },
      ],
      clusters: [
        ...minimal.clusters,
        { name: "b", cluster: { server: "https://b" } },
        { name: "b", cluster: { server: "https://c" } },
      ],
      users: [...minimal.users, { name: "b", user: { tokenFile: "/t" } }],
    });
    expect(run()).toStrictEqual({
      cluster: { server: "https://b", insecure: false },
      user: { tokenFile: "/t" },
    });
  });

  test("readKubeconfig, several files: the first that sets or names something counts, paths are its directory's", () => {
    const cluster = (name: string, server: string, ca: string) => ({
      name,
      cluster: { server, "certificate-authority": ca },
    });
    const user = (token: string) => ({ name: "u", user: { token } });
    const files = [
      { clusters: [cluster("other", "https://other", "ca")] },
      null,
      {
        "current-context": "c",
        clusters: [cluster("k", "https://first", "ca")],
        users: [user("first")],
      },
      {
        "current-context": "d",
        contexts: [
          {
            name: "c",
            context: { cluster: "k", user: "u", namespace: "shop" },
          },
        ],
        clusters: [cluster("k", "https://second", "other")],
        users: [user("second")],
      },
    ].map((content) => read(JSON.stringify(content)));
    const [first = "", ...more] = files.map(({ path }) => path);
    const { path = "", directory = "" } = files[2] ?? {};
    expect(readKubeconfig(first, undefined, more)).toStrictEqual({
      cluster: {
        server: "https://first",
        certificateAuthority: {
          where: `kubeconfig "${path}": clusters.0.cluster.certificate-authority`,
          file: `${directory}/ca`,
        },
        insecure: false,
      },
      user: { token: "first" },
      namespace: "shop",
    });
  });

  test("readKubeconfig, several files: a fault names its file", () => {
    const { path: first } = read({ "current-context": "c" });
    const { path: empty } = read("");
    expect(() => readKubeconfig(first, undefined, [empty])).toThrow(
      `kubeconfig "${first}": current-context: no context is named "c"`,
    );
    const { path: wrong } = read({ contexts: 1 });
    expect(() => readKubeconfig(first, undefined, [empty, wrong])).toThrow(
      `kubeconfig "${wrong}": contexts: expected`,
    );
  });

  test("readKubeconfig, every key: relative paths are the directory's, data wins over files", () => {
    const { run, path, directory } = read({
      ...minimal,
      clusters: [
        {
          name: "a",
          cluster: {
            server: "https://a",
            "certificate-authority": "ca.crt",
            "insecure-skip-tls-verify": true,
            "tls-server-name": "name",
            "proxy-url": "http://proxy",
          },
        },
      ],
      users: [
        {
          name: "a",
          user: {
            tokenFile: "token",
            username: "u",
            password: "p",
            "client-certificate": "c.crt",
            "client-certificate-data": "Yw==",
            "client-key": "/abs/key",
            exec: {
              apiVersion: "client.authentication.k8s.io/v1",
              command: "./bin/plugin",
              args: ["x"],
              env: [{ name: "A", value: "b" }],
              interactiveMode: "Never",
            },
            "auth-provider": { name: "oidc", config: { "id-token": "t" } },
          },
        },
      ],
    });
    const where = `kubeconfig "${path}"`;
    expect(run()).toStrictEqual({
      cluster: {
        server: "https://a",
        certificateAuthority: {
          where: `${where}: clusters.0.cluster.certificate-authority`,
          file: `${directory}/ca.crt`,
        },
        insecure: true,
        tlsServerName: "name",
        proxyUrl: "http://proxy",
      },
      user: {
        tokenFile: `${directory}/token`,
        username: "u",
        password: "p",
        clientCertificate: {
          where: `${where}: users.0.user.client-certificate-data`,
          base64: "Yw==",
        },
        clientKey: {
          where: `${where}: users.0.user.client-key`,
          file: "/abs/key",
        },
        exec: {
          apiVersion: "client.authentication.k8s.io/v1",
          command: `${directory}/bin/plugin`,
          args: ["x"],
          env: { A: "b" },
          provideClusterInfo: false,
        },
        authProvider: { name: "oidc", config: { "id-token": "t" } },
      },
    });
  });

  test.each([
    ["no user in the context", { context: { cluster: "a" } }, minimal.users],
    [
      "an empty user entry",
      { context: { cluster: "a", user: "a" } },
      [{ name: "a", user: null }],
    ],
  ])("readKubeconfig, %s: nobody", (_, context, users) => {
    const contexts = [{ name: "a", ...context }];
    expect(read({ ...minimal, contexts, users }).run()).toStrictEqual({
      ...expected,
      user: {},
    });
  });

  test("readKubeconfig, keys of impersonation that say nothing: ignored", () => {
    const user = {
      token: "S3CRET",
      as: "",
      "as-uid": null,
      "as-groups": [],
      "as-user-extra": {},
    };
    expect(
      read({ ...minimal, users: [{ name: "a", user }] }).run(),
    ).toStrictEqual(expected);
  });

  test("readKubeconfig, what a cluster has for credential plugins: kept", () => {
    const extension = { audience: "a" };
    const cluster = {
      server: "https://a",
      extensions: [
        { name: "other", extension: 1 },
        { name: "client.authentication.k8s.io/exec", extension },
      ],
    };
    expect(
      read({ ...minimal, clusters: [{ name: "a", cluster }] }).run().cluster,
    ).toStrictEqual({ ...expected.cluster, execConfig: extension });
  });

  test.each([
    ["ca.crt", "ca.crt"],
    ["./ca.crt", "ca.crt"],
    ["pki//ca.crt", "pki/ca.crt"],
    ["./a/.././b/../ca.crt", "ca.crt"],
    ["..data/ca.crt", "..data/ca.crt"],
  ])("readKubeconfig, relative path %s: in its directory", (file, resolved) => {
    const cluster = { server: "https://a", "certificate-authority": file };
    const { run, directory } = read({
      ...minimal,
      clusters: [{ name: "a", cluster }],
    });
    expect(run().cluster.certificateAuthority).toMatchObject({
      file: `${directory}/${resolved}`,
    });
  });

  test("readKubeconfig, `..` in a relative path: the directory above, as text", () => {
    const target = temporaryDirectory();
    const link = join(temporaryDirectory(), "link");
    symlinkSync(target, link);
    const cluster = {
      server: "https://a",
      "certificate-authority": "../ca.crt",
    };
    const kubeconfig = { ...minimal, clusters: [{ name: "a", cluster }] };
    writeFileSync(join(target, "kubeconfig"), JSON.stringify(kubeconfig));
    expect(
      readKubeconfig(join(link, "kubeconfig")).cluster.certificateAuthority,
    ).toMatchObject({ file: join(dirname(link), "ca.crt") });
  });

  test.each([
    ["kubeconfig", "./ca.crt", "./bin/plugin", "./../token"],
    ["./kubeconfig", "./ca.crt", "./bin/plugin", "./../token"],
    ["a/kubeconfig", "./a/ca.crt", "./a/bin/plugin", "./token"],
    ["../kubeconfig", "./../ca.crt", "./../bin/plugin", "./../../token"],
  ])(
    "readKubeconfig, kubeconfig %s: relative to the working directory",
    async (path, file, command, tokenFile) => {
      const directory = join(temporaryDirectory(), "b");
      mkdirSync(join(directory, "a"), { recursive: true });
      const content = JSON.stringify({
        ...minimal,
        clusters: [
          { name: "a", cluster: { "certificate-authority": "ca.crt" } },
        ],
        users: [
          {
            name: "a",
            user: {
              tokenFile: "../token",
              exec: {
                apiVersion: "client.authentication.k8s.io/v1beta1",
                command: "bin/plugin",
              },
            },
          },
        ],
      });
      writeFileSync(join(directory, path), content);
      const script = `
        import { readKubeconfig } from ${JSON.stringify(join(import.meta.dir, "../../lib/kube/access/kubeconfig.ts"))};
        const { cluster, user } = readKubeconfig(${JSON.stringify(path)});
        const { certificateAuthority: { file } } = cluster;
        await Bun.write(Bun.stdout, JSON.stringify([file, user.exec.command, user.tokenFile]));
      `;
      const child = Bun.spawn({
        cmd: [process.execPath, "-e", script],
        cwd: directory,
        stderr: "inherit",
      });
      expect(JSON.parse(await child.stdout.text())).toEqual([
        file,
        command,
        tokenFile,
      ]);
    },
  );

  test.each([
    ["empty", "", "expected an object, got null"],
    ["a text", "S3CRET", "expected an object, got a string"],
    ["no YAML", "token: 'S3CRET", "is not YAML at line 1"],
    [
      "a tab",
      "token: S3CRET\nusers:\n\t- name: S3CRET\n",
      "is not YAML at line 3",
    ],
    [
      "a line without colon",
      "apiVersion: v1\nS3CRET\nkind: Config\n",
      "is not YAML at line 2",
    ],
    [
      "an open list",
      "apiVersion: v1\nusers: [S3CRET\nkind: Config\n",
      "is not YAML at line 2",
    ],
    ["an unknown alias", "a: b\ntoken: *S3CRET\n", "is not YAML at line 2"],
    ["broken JSON", '{"token":"S3CRET', "is not JSON at line 1, column 17"],
    [
      "JSON with a bracket too few",
      '{\n\t"users": [\n\t\t{"token": "S3CRET"]\n}',
      "is not JSON at line 3, column 21",
    ],
    [
      "no current-context",
      {},
      "current-context: expected the name of a context, got nothing",
    ],
    [
      "blank current-context",
      { ...minimal, "current-context": " " },
      "current-context: expected the name of a context, got nothing",
    ],
    [
      "unknown context",
      { ...minimal, contexts: [] },
      'current-context: no context is named "a"',
    ],
    [
      "unknown cluster",
      { ...minimal, clusters: null },
      'contexts.0.context.cluster: no cluster is named "a"',
    ],
    [
      "unknown user",
      { ...minimal, users: [] },
      'contexts.0.context.user: no user is named "a"',
    ],
    ...impersonations.map(
      ([key, value]) =>
        [
          `impersonation by ${key}`,
          { ...minimal, users: [{ name: "a", user: { [key]: value } }] },
          `users.0.user.${key}: impersonation is not supported`,
        ] as const,
    ),
    [
      "a credential plugin that needs a terminal",
      {
        ...minimal,
        users: [
          {
            name: "a",
            user: {
              exec: {
                apiVersion: "client.authentication.k8s.io/v1",
                command: "c",
                interactiveMode: "Always",
              },
            },
          },
        ],
      },
      'users.0.user.exec.interactiveMode: "Always" is not supported: there is no terminal',
    ],
    ...["v1alpha1", ""].map(
      (version) =>
        [
          `a credential plugin of ${version || "no version"}`,
          {
            ...minimal,
            users: [
              {
                name: "a",
                user: {
                  exec: {
                    apiVersion: `client.authentication.k8s.io/${version}`,
                    command: "c",
                  },
                },
              },
            ],
          },
          `users.0.user.exec.apiVersion: expected client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1, got "client.authentication.k8s.io/${version}"`,
        ] as const,
    ),
    [
      "wrong kind",
      { ...minimal, clusters: {} },
      "clusters: expected an array, got an object",
    ],
    [
      "a token that is a number",
      { ...minimal, users: [{ name: "a", user: { token: 5313537 } }] },
      "users.0.user.token: expected a string, got a number",
    ],
    [
      "no name",
      { ...minimal, users: [{ user: { token: "S3CRET" } }] },
      "users.0.name: expected a string, got nothing",
    ],
    [
      "an exec without command",
      {
        ...minimal,
        users: [{ name: "a", user: { exec: { apiVersion: "v" } } }],
      },
      "users.0.user.exec.command: expected a string, got nothing",
    ],
  ])(
    "readKubeconfig, %s: error 7 with path and place, no content",
    (_, content, problem) => {
      const { run, path } = read(content);
      const thrown = errorOf(run);
      expect(thrown).toEqual({
        code: 7,
        message: `kubeconfig "${path}": ${problem}`,
      });
      expect(thrown.message).not.toMatch(/S3CRET|5313537/);
    },
  );

  test.each([
    ["missing", "/nonexistent/kubeconfig", "no such file or directory"],
    ["a directory", temporaryDirectory(), "is a directory"],
    ["a device that never ends", "/dev/zero", "not a regular file"],
    ["a named pipe", namedPipe(), "not a regular file"],
    [
      "a file without end",
      temporaryFile(" ".repeat((4 << 20) + 1)),
      "larger than 4194304 bytes",
    ],
    ["a path with NUL", "/etc/\0", "invalid argument"],
  ])("readKubeconfig, %s: error 7 with path and reason", (_, path, reason) => {
    expect(errorOf(() => readKubeconfig(path))).toEqual({
      code: 7,
      message: `kubeconfig: failed to read ${JSON.stringify(path)}: ${reason}`,
    });
  });
});
