/** URLs of servers and proxies, read as Go's clients read them (configuration.md). */
import { describe, expect, test } from "bun:test";
import {
  inClusterServer,
  readProxyUrl,
  readServerUrl,
  withoutSecrets,
} from "../../lib/kube/access/server-url.ts";

describe("readServerUrl", () => {
  test.each([
    ["https://10.96.0.1:443", "https://10.96.0.1"],
    ["https://[10.96.0.1]:443", "https://10.96.0.1"],
    ["https://[10.96.0.1]", "https://10.96.0.1"],
    ["http://[10.96.0.1]:8080/x/", "http://10.96.0.1:8080/x"],
    ["https://[fd00::1]:6443", "https://[fd00::1]:6443"],
    ["https://[FD00:0::1]/", "https://[fd00::1]"],
    ["https://[::ffff:10.96.0.1]:443", "https://[::ffff:a60:1]"],
    ["https://[kubernetes.default]:443", "https://kubernetes.default"],
    ["[10.96.0.1]:6443", "https://10.96.0.1:6443"],
    ["https://10.96.0.1:6443/", "https://10.96.0.1:6443"],
    ["https://10.96.0.1:6443//", "https://10.96.0.1:6443"],
    ["https://10.96.0.1:", "https://10.96.0.1"],
    ["HTTPS://Host:0443", "https://host"],
    ["https://rancher/k8s/clusters/c-1", "https://rancher/k8s/clusters/c-1"],
    ["https://rancher/k8s/clusters/c-1/", "https://rancher/k8s/clusters/c-1"],
    [
      "https://portainer/api/endpoints/3/kubernetes",
      "https://portainer/api/endpoints/3/kubernetes",
    ],
    ["https://host/x?y=z#w", "https://host/x"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["https://my_host.svc:6443", "https://my_host.svc:6443"],
    ["https://bücher:6443", "https://xn--bcher-kva:6443"],
    ["https://3com", "https://3com"],
    ["localhost.", "https://localhost."],
    ["host:6443", "https://host:6443"],
    ["host", "https://host"],
  ])("readServerUrl, %s: %s", (text, root) => {
    expect(readServerUrl(text, { isRoot: false })).toEqual({ root });
  });

  test.each([
    ["https://10.96.0.1:6443/api/v1/", "https://10.96.0.1:6443"],
    ["https://api/api/v1", "https://api"],
    ["https://api/api", "https://api"],
    ["10.96.0.1:6443/api/v1/", "https://10.96.0.1:6443"],
    ["https://rancher/k8s/c-1/api/v1", "https://rancher/k8s/c-1"],
    ["https://host/apiserver", "https://host/apiserver"],
    ["https://[10.96.0.1]:443/api/v1", "https://10.96.0.1"],
  ])("readServerUrl, %s as k8s_api_root: %s", (text, root) => {
    expect(readServerUrl(text, { isRoot: true })).toEqual({ root });
  });

  test.each([
    ["https://name:secret@host/x", "name", "secret"],
    ["https://name@host/x", "name", ""],
    ["https://n%40me:s%3Acret:x@host/x", "n@me", "s:cret:x"],
    ["https://name:a@b@host/x", "name", "a@b"],
    ["https://name:100%@host/x", "name", "100%"],
  ])("readServerUrl, %s: the login apart", (text, username, password) => {
    expect(readServerUrl(text, { isRoot: false })).toEqual({
      root: "https://host/x",
      login: { username, password },
    });
  });

  const scheme = "expected an http or https URL";
  const port = "the port is not a number from 1 to 65535";
  const name = "the host has a character that no name has";

  test.each([
    ["https://fd00::1:6443", "an IPv6 address needs brackets"],
    ["https://::1", "an IPv6 address needs brackets"],
    ["fd00::1", "an IPv6 address needs brackets"],
    ["https://[fd00::1", "the brackets hold no IPv6 address"],
    ["https://fd00::1]:6443", "the brackets hold no IPv6 address"],
    ["https://[]:6443", "the brackets hold no IPv6 address"],
    ["https://[fd00::x]:6443", "the brackets hold no IPv6 address"],
    ["https://[[fd00::1]]:6443", "the brackets hold no IPv6 address"],
    ["https://[10.96.0.1:443]", "the port belongs behind the brackets"],
    ["https://[fd00::1]6443", "the brackets hold no IPv6 address"],
    [
      "https://[fe80::1%25eth0]:6443",
      "an address with a zone is not supported",
    ],
    ["https://[10.96.0]:443", "the host is no IPv4 address"],
    ["https://10.96.1", "the host is no IPv4 address"],
    ["https://010.96.0.1", "the host is no IPv4 address"],
    ["https://10.96.0.256", "the host is no IPv4 address"],
    ["https://0x0a.0.0.0x1", "the host is no IPv4 address"],
    ["https://", "it has no host"],
    ["https://:6443", "it has no host"],
    ["https://user@:6443", "it has no host"],
    ["https://host:0", port],
    ["https://host:65536", port],
    ["https://host:-1", port],
    ["https://host:port", port],
    ["https://host:1e3", port],
    ["__KUBERNETES_SERVICE_HOST__:__KUBERNETES_SERVICE_PORT__", port],
    ["https://$HOST:443", name],
    ["https://a\\b", "it has a blank, a backslash or a control character"],
    ["https://a,b", name],
    ["https://\u3200", name],
    ["https://a%62", name],
    ["https://ho st", "it has a blank, a backslash or a control character"],
    [
      "https://host\u0000",
      "it has a blank, a backslash or a control character",
    ],
    ["https://host\n", "it has a blank, a backslash or a control character"],
    ["https://a.xn--b:6443", "the host is no valid name"],
    ["ftp://host", scheme],
    ["unix:///run/api", scheme],
    ["://host", scheme],
    ["https:/host", "expected a URL or host:port"],
    ["//host", "expected a URL or host:port"],
    ["/etc/kubernetes", "expected a URL or host:port"],
    ["host/path", "expected a URL or host:port"],
  ])("readServerUrl, %j: %s", (text, problem) => {
    expect(readServerUrl(text, { isRoot: false })).toEqual({ problem });
  });
});

describe("readProxyUrl", () => {
  test.each([
    ["http://proxy:3128", "http://proxy:3128/"],
    ["https://proxy", "https://proxy/"],
    ["http://[10.0.0.1]:3128", "http://10.0.0.1:3128/"],
    ["http://name:s%40cret@proxy:3128/x?y", "http://name:s%40cret@proxy:3128/"],
  ])("readProxyUrl, %s: %s", (text, url) => {
    expect(readProxyUrl(text)).toEqual({ url });
  });

  const socks = "SOCKS proxies are not supported, only http and https";

  test.each([
    ["socks5://proxy:1080", socks],
    ["socks5h://proxy:1080", socks],
    ["SOCKS5://name:secret@proxy:1080", socks],
    ["socks4://proxy", socks],
    ["http://xn--b:3128", "the host is no valid name"],
    ["ftp://proxy", "expected an http or https URL"],
    ["proxy:3128", "expected an http or https URL"],
    ["http://fd00::1:3128", "an IPv6 address needs brackets"],
    ["http://", "it has no host"],
  ])("readProxyUrl, %s: %s", (text, problem) => {
    expect(readProxyUrl(text)).toEqual({ problem });
  });
});

describe("withoutSecrets", () => {
  test.each([
    ["https://fd00::1:6443", "https://fd00::1:6443"],
    ["https://name:SECRET@host:x/path", "https://…@host:x/path"],
    ["name:SECRET@host:x", "…@host:x"],
    ["https://name:SE/CR?ET#@host", "https://…@…"],
    ["https://name:SE@CR/ET@host/x", "https://…@host/x"],
    ["https://host:x/a?token=SECRET", "https://host:x/a?…"],
    ["https://host:x/a#SECRET", "https://host:x/a?…"],
    ["https://name:SECRET@host:x?token=SECRET", "https://…@host:x?…"],
  ])("withoutSecrets, %s: %s", (text, shown) => {
    expect(withoutSecrets(text)).toBe(shown);
    expect(shown).not.toMatch(/SE|CR|ET/);
  });
});

describe("inClusterServer", () => {
  test.each([
    ["10.96.0.1", "443", "https://10.96.0.1:443"],
    ["fd00::1", "443", "https://[fd00::1]:443"],
    ["[fd00::1]", "443", "https://[fd00::1]:443"],
    ["api.example.com", "6443", "https://api.example.com:6443"],
    ["", "443", undefined],
    ["10.96.0.1", "", undefined],
  ])("inClusterServer, host %j, port %j: %s", (host, port, server) => {
    const env = {
      KUBERNETES_SERVICE_HOST: host,
      KUBERNETES_SERVICE_PORT: port,
    };
    expect(inClusterServer(env)).toBe(server);
  });
});
