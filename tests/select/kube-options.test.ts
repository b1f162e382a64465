/** The keys of the network configuration that concern the API server (configuration.md). */
import { describe, expect, test } from "bun:test";
import { kubeOptions } from "../../lib/select/config.ts";

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
