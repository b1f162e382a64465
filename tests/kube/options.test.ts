/** The keys of the network configuration and the server's URL (configuration.md). */
import { describe, expect, test } from "bun:test";
import { apiRoot, kubeOptions } from "../../lib/kube/options.ts";

describe("kubeOptions", () => {
  test("kubeOptions, every key: each in its place", () => {
    expect(
      kubeOptions({
        kubernetes: { kubeconfig: "/k", k8s_api_root: "https://a" },
        policy: {
          k8s_api_root: "https://b",
          k8s_auth_token: "token",
          k8s_client_certificate: "/cert",
          k8s_client_key: "/key",
          k8s_certificate_authority: "/ca",
        },
      }),
    ).toStrictEqual({
      kubeconfig: "/k",
      server: "https://a",
      policy: {
        server: "https://b",
        token: "token",
        clientCertificate: "/cert",
        clientKey: "/key",
        certificateAuthority: "/ca",
      },
    });
  });

  test.each([
    ["no object", {}],
    ["empty objects", { kubernetes: {}, policy: {} }],
    ["null", { kubernetes: null, policy: null }],
    [
      "blank values",
      { kubernetes: { kubeconfig: " " }, policy: { k8s_auth_token: "" } },
    ],
  ])("kubeOptions, %s: nothing is stated", (_, keys) => {
    expect(kubeOptions(keys)).toStrictEqual({ policy: {} });
  });
});

describe("apiRoot", () => {
  test.each([
    ["https://10.96.0.1:443", "https://10.96.0.1"],
    ["https://10.96.0.1:6443/", "https://10.96.0.1:6443"],
    ["https://10.96.0.1:6443/api/v1/", "https://10.96.0.1:6443"],
    ["https://api/api/v1", "https://api"],
    ["https://rancher/k8s/clusters/c-1", "https://rancher/k8s/clusters/c-1"],
    ["https://rancher/k8s/clusters/c-1/", "https://rancher/k8s/clusters/c-1"],
    ["https://rancher/k8s/c-1/api/v1", "https://rancher/k8s/c-1"],
    ["https://host/apiserver", "https://host/apiserver"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["https://[::1]:6443/", "https://[::1]:6443"],
    ["https://user:secret@host/x", "https://host/x"],
    ["host:6443", "https://host:6443"],
    ["ftp://host", undefined],
    ["https://", undefined],
    ["__KUBERNETES_SERVICE_HOST__:__KUBERNETES_SERVICE_PORT__", undefined],
  ])("apiRoot, %s: %p", (server, root) => {
    expect(apiRoot(server)).toBe(root);
  });
});
