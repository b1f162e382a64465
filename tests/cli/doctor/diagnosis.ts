/** For the tests of doctor: an API server that answers it, and its findings. */
import { expect, test } from "bun:test";
import type { Terminal } from "../../../lib/cli/command/terminal.ts";
import type { Finding } from "../../../lib/cli/doctor/check.ts";
import type { ApiServer } from "../../support/api-server.ts";
import { NodeDirectory } from "../fixtures.ts";

/** The answers that the double has no objects for; `denied` are resources. */
export function cluster(
  server: ApiServer,
  {
    user = "genie",
    denied = [] as string[],
    policies = ["mutatingadmissionpolicies"],
  } = {},
): void {
  const answer = (path: string, status: number, body: object) =>
    server.inject({
      match: (request) => request.path === path,
      times: 100,
      kind: "answer",
      status,
      body: JSON.stringify(body),
    });
  answer("/version", 200, { major: "1", minor: "33", gitVersion: "v1.33.1" });
  answer("/apis/authentication.k8s.io/v1/selfsubjectreviews", 201, {
    status: { userInfo: { username: user } },
  });
  answer("/apis/admissionregistration.k8s.io/v1", 200, {
    resources: policies.map((name) => ({ name })),
  });
  // In the order in which they are asked: pods, pods/status, definitions.
  for (const resource of [
    "pods",
    "pods/status",
    "network-attachment-definitions",
  ]) {
    server.inject({
      match: ({ path }) =>
        path === "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      kind: "answer",
      status: 201,
      body: JSON.stringify({
        spec: {},
        status: { allowed: !denied.includes(resource) },
      }),
    });
  }
}

/** What doctor finds. */
export async function findingsOf(
  node: NodeDirectory,
  words: string[] = [],
  overrides: Partial<Terminal> = {},
): Promise<Finding[]> {
  const all = ["-o=json", ...words];
  const { stdout } = await node.type("doctor", all, overrides);
  return JSON.parse(stdout) as Finding[];
}

export async function diagnosed(node: NodeDirectory, words: string[] = []) {
  const { exitCode, stdout, stderr } = await node.type("doctor", [
    "-o=json",
    ...words,
  ]);
  expect(stderr).toBe("");
  const findings = JSON.parse(stdout.replaceAll(node.root, "")) as Finding[];
  // With a root of its own a node has no part in this machine's runtime.
  return words.length > 0
    ? { exitCode, findings }
    : { exitCode: exitCodeOf(exitCode, findings), findings };
}

/** The exit code without the findings about this machine's own container runtime. */
function exitCodeOf(exitCode: number, findings: Finding[]): number {
  const failed = findings.filter(({ verdict }) => verdict === "fail");
  return exitCode === 1 && failed.length > 0 && failed.every(ofRuntime)
    ? 0
    : exitCode;
}

/** Whether a finding is about this machine's own container runtime. */
export const ofRuntime = ({ check }: Finding) =>
  /^(?:runtime|loopback|containerd|crio|CRI-O)/.test(check);

/** The findings that are not in order, without those about this machine's own runtime. */
export const troubles = (
  findings: Finding[],
  ours = (one: Finding) => !ofRuntime(one),
) =>
  findings
    .filter(
      (one) => one.verdict !== "ok" && one.verdict !== "skip" && ours(one),
    )
    .map(({ check, verdict, found }) => [check, verdict, found]);

/** A node that is not in order, and the first finding about it: check, verdict, text. */
export type Trouble = [
  what: string,
  prepare: (node: NodeDirectory) => void,
  finding: string[],
];

/** One test for each of these nodes: doctor finds the trouble, gives advice, and exits with 1 if it is serious. */
export function testTroubles(table: readonly Trouble[]): void {
  test.each<Trouble>([...table])(
    "%s, is found and the exit code says whether it is serious",
    async (_, prepare, finding) => {
      using node = await NodeDirectory.installed();
      prepare(node);
      const { exitCode, findings } = await diagnosed(node);
      const found = troubles(findings).find(
        ([check]) => check !== "kubeconfig",
      );
      expect({ exitCode, found }).toEqual({
        exitCode: finding[1] === "fail" ? 1 : 0,
        found: finding,
      });
      expect(
        findings
          .filter(({ verdict }) => verdict === "fail" || verdict === "warn")
          .every(({ advice }) => advice !== undefined),
      ).toBe(true);
    },
  );
}
