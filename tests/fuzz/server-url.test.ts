/** URLs of servers: read as the URL standard reads them or refused, and never told with a password. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  readServerUrl,
  withoutSecrets,
} from "../../lib/kube/access/server-url.ts";
import { mutated, runs } from "./arbitraries.ts";

const urls = mutated(
  "https://10.96.0.1:443",
  "https://[10.96.0.1]:443/api/v1/",
  "https://[fd00::1]:6443/k8s/clusters/c-1",
  "https://name:password@api.example.com:6443/x?y#z",
  "http://localhost:8080/",
  "api.example.com:6443",
);

describe("readServerUrl", () => {
  test("any URL: as the URL standard, or refused", () => {
    fc.assert(
      fc.property(urls, fc.boolean(), (text, isRoot) => {
        const url = readServerUrl(text, { isRoot });
        if ("problem" in url) {
          expect(url.problem).not.toBe("");
          return;
        }
        const { root } = url;
        // Brackets around what is no IPv6 address are Go's.
        const standard = text.replace(/\[([^:\]]*)\]/, "$1");
        const whole = standard.includes("://")
          ? standard
          : `https://${standard}`;
        expect(new URL(root).origin).toBe(new URL(whole).origin);
        expect(root).not.toMatch(/[\s?#]|\/$/);
        expect(readServerUrl(root, { isRoot })).toEqual({ root });
      }),
      runs,
    );
  });

  test("is refused without its password", () => {
    const passwords = fc.string({
      unit: fc.constantFrom("a", "1", "@", ":", "/", "?", "#", "[", "%", " "),
      minLength: 1,
    });
    fc.assert(
      fc.property(passwords, urls, (password, rest) => {
        const host = rest.replace(/^https?:\/\//, "").replaceAll("@", "");
        const secret = `s3cr3t-${password}-t0k3n`;
        const shown = withoutSecrets(`https://${secret}:${secret}@${host}`);
        expect(shown).not.toMatch(/s3cr3t|t0k3n/);
      }),
      runs,
    );
  });
});
