/**
 * The grammar of `k8s.v1.cni.cncf.io/networks` in both forms (selection.md §6,
 * NPWG v1.3 §4.1).
 */
import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import {
  type NetworkSelectionElement,
  parseElements,
} from "../../lib/select/npwg-annotation.ts";

const source = 'annotation "k8s.v1.cni.cncf.io/networks"';

function elements(text: string): NetworkSelectionElement[] {
  return parseElements(source, text).elements;
}

/** Code and message of what is thrown. */
function refusal(
  text: string,
  strict = false,
): { code: number; message: string } {
  try {
    parseElements(source, text, strict);
  } catch (error) {
    if (error instanceof CniError)
      return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`nothing is wrong with ${text}`);
}

/** All ways to write a word in small and capital letters. */
function spellings(word: string): string[] {
  return word
    .split("")
    .reduce(
      (begun, letter) =>
        begun.flatMap((text) => [text + letter, text + letter.toUpperCase()]),
      [""],
    );
}

describe("parseElements, the short form", () => {
  const cases: [string, NetworkSelectionElement[]][] = [
    ["a", [{ name: "a" }]],
    ["a,b", [{ name: "a" }, { name: "b" }]],
    ["a,a", [{ name: "a" }, { name: "a" }]],
    ["shared/a", [{ name: "a", namespace: "shared" }]],
    ["a@san0", [{ name: "a", ifname: "san0" }]],
    [
      " shared / a @ san0 ,\n\tb ",
      [{ name: "a", namespace: "shared", ifname: "san0" }, { name: "b" }],
    ],
    ["a@", [{ name: "a" }]],
    ["team.a/net.1-x", [{ name: "net.1-x", namespace: "team.a" }]],
    ["0", [{ name: "0" }]],
    // No JSON: neither a brace, nor a bracket, nor a quote.
    ["null", [{ name: "null" }]],
    ["a".repeat(253), [{ name: "a".repeat(253) }]],
    ["constructor", [{ name: "constructor" }]],
  ];
  test.each(cases)("%j", (text, expected) => {
    expect(parseElements(source, text)).toEqual({
      elements: expected,
      warnings: [],
    });
  });

  const invalid: [string, string][] = [
    [
      ",",
      'element 1 "": empty element, perhaps a comma too many, element 2 "": empty element',
    ],
    ["a,", ': element 2 "": empty element, perhaps a comma too many'],
    ["a,,b", ': element 2 "": empty element'],
    [
      "A,b@..",
      ': element 1 "A": invalid name "A", element 2 "b@..": invalid interface name',
    ],
    ["@eth1", 'element 1 "@eth1": invalid name ""'],
    ["/a@b/c", "element 1"],
    ["/a", 'element 1 "/a": invalid namespace ""'],
    ["shared/", 'element 1 "shared/": invalid name ""'],
    ["a/b/c", 'element 1 "a/b/c": more than one /'],
    ["a@b@c", 'element 1 "a@b@c": more than one @'],
    ["b,A", 'element 2 "A": invalid name "A"'],
    ["a_b", 'invalid name "a_b"'],
    ["-a", 'invalid name "-a"'],
    ["a-", 'invalid name "a-"'],
    ["a..b", 'invalid name "a..b"'],
    ["a.", 'invalid name "a."'],
    ["..", 'invalid name ".."'],
    ["ä", 'invalid name "ä"'],
    ["a b", 'invalid name "a b"'],
    ["a".repeat(254), "invalid name"],
    ["Shared/a", 'invalid namespace "Shared"'],
    ["a@0123456789abcdef", "interface name is too long"],
    ["a@..", "interface name is . or .."],
    ["a@x y", "interface name contains / or : or whitespace characters"],
    ["a@x:1", "interface name contains / or : or whitespace characters"],
    ["a\u0000", 'invalid name "a\\u0000"'],
  ];
  test.each(invalid)("%j is an error 7", (text, message) => {
    expect(refusal(text)).toEqual({
      code: 7,
      message: expect.stringContaining(message),
    });
  });
});

describe("parseElements, JSON", () => {
  const whole = {
    name: "storage",
    namespace: "shared",
    interface: "san0",
    ips: ["10.30.0.7/24", "10.30.0.8", "fd00::7/64", "fd00::8"],
    mac: "02:00:00:00:00:07",
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      {
        HostPort: 1,
        ContainerPort: 65535,
        Protocol: "SCTP",
        HostIP: "fd00::1",
      },
    ],
    bandwidth: {
      ingressRate: 2048,
      ingressBurst: 1600,
      egressRate: 0,
      egressBurst: 1600,
    },
    deviceID: "0000:03:02.0",
    "cni-args": { mode: "fast", depth: { a: [1] } },
    "default-route": ["10.30.0.1", "fd00::1"],
  };
  const { interface: ifname, deviceID, ...rest } = whole;
  const cases: [string, object, NetworkSelectionElement][] = [
    ["a name", { name: "a" }, { name: "a" }],
    [
      "every key",
      whole,
      {
        name: rest.name,
        namespace: rest.namespace,
        ifname,
        ips: rest.ips,
        mac: rest.mac,
        infinibandGuid: rest["infiniband-guid"],
        portMappings: rest.portMappings,
        bandwidth: rest.bandwidth,
        deviceId: deviceID,
        cniArgs: rest["cni-args"],
        defaultRoute: rest["default-route"],
      },
    ],
    [
      "interfaceRequest, Multus' older key",
      { name: "a", interfaceRequest: "san0" },
      { name: "a", ifname: "san0" },
    ],
    [
      "interface and interfaceRequest",
      { name: "a", interface: "san0", interfaceRequest: "san1" },
      { name: "a", ifname: "san0" },
    ],
    [
      "empty values are absent",
      {
        name: "a",
        namespace: "",
        interface: "",
        interfaceRequest: "",
        ips: [],
        mac: "",
        "infiniband-guid": "",
        portMappings: [],
        deviceID: "",
        "default-route": [],
        "ipam-claim-reference": "",
      },
      { name: "a" },
    ],
    [
      "null values are absent",
      {
        name: "a",
        namespace: null,
        interface: null,
        interfaceRequest: null,
        ips: null,
        mac: null,
        "infiniband-guid": null,
        portMappings: null,
        bandwidth: null,
        deviceID: null,
        "cni-args": null,
        "default-route": null,
        "ipam-claim-reference": null,
      },
      { name: "a" },
    ],
    [
      "MAC addresses in the notations of Go",
      { name: "a", mac: "02-00-00-00-00-0A" },
      { name: "a", mac: "02-00-00-00-00-0A" },
    ],
    [
      "a port mapping with empty values",
      {
        name: "a",
        portMappings: [
          { hostPort: 1, containerPort: 2, protocol: "", hostIP: null },
        ],
      },
      {
        name: "a",
        portMappings: [
          { hostPort: 1, containerPort: 2, protocol: "", hostIP: null },
        ],
      },
    ],
    [
      "as many addresses as CNI_ARGS can carry",
      { name: "a", ips: Array.from({ length: 32 }, (_, i) => `10.0.0.${i}`) },
      { name: "a", ips: Array.from({ length: 32 }, (_, i) => `10.0.0.${i}`) },
    ],
    [
      "a port mapping without protocol",
      { name: "a", portMappings: [{ hostPort: 8080, containerPort: 80 }] },
      { name: "a", portMappings: [{ hostPort: 8080, containerPort: 80 }] },
    ],
  ];
  test.each(cases)("%s, in a list and alone", (_, object, expected) => {
    const alone = JSON.stringify(object);
    const found = { elements: [expected], warnings: [] };
    expect(parseElements(source, `[${alone}]`)).toEqual(found);
    expect(parseElements(source, ` ${alone}\n`)).toEqual(found);
  });

  test("several, in their order", () => {
    const text = '[{"name":"b"},{"name":"a","namespace":"x"},{"name":"b"}]';
    expect(elements(text)).toEqual([
      { name: "b" },
      { name: "a", namespace: "x" },
      { name: "b" },
    ]);
  });

  test.each(["", " \n", "[]", " [ ] "])("%j is none", (text) => {
    expect(parseElements(source, text)).toEqual({ elements: [], warnings: [] });
  });

  test("values come out as they went in", () => {
    const text =
      '[{"name":"a","cni-args":{"big":12345678901234567890,"one":1.0}}]';
    expect(JSON.stringify(elements(text)[0]?.cniArgs)).toBe(
      '{"big":12345678901234567890,"one":1.0}',
    );
  });

  test("keys without effect, named for the log", () => {
    const text = JSON.stringify([
      { name: "a" },
      {
        name: "b",
        colour: "red",
        toString: 1,
        "ipam-claim-reference": "claim-1",
      },
    ]);
    expect(parseElements(source, text)).toEqual({
      elements: [{ name: "a" }, { name: "b" }],
      warnings: [
        `${source}: element 2: "ipam-claim-reference" is ignored: genie knows no IPAM claims`,
        `${source}: unknown keys are ignored: element 2: "colour", "toString"`,
      ],
    });
  });

  test("keys in any case, as Go programs read them", () => {
    const text =
      '{"NAME":"a","IPs":["10.0.0.1"],"Mac":"02:00:00:00:00:07","interfacerequest":"san0","CNI-Args":{"Keep":1},"bandwidth":{"INGRESSRATE":1},"Default-Route":["10.0.0.1"],"n\u0430me":"b"}';
    expect(parseElements(source, text)).toEqual({
      elements: [
        {
          name: "a",
          ips: ["10.0.0.1"],
          mac: "02:00:00:00:00:07",
          ifname: "san0",
          cniArgs: { Keep: 1 },
          bandwidth: { INGRESSRATE: 1 },
          defaultRoute: ["10.0.0.1"],
        },
      ],
      // With a Cyrillic letter it is another key.
      warnings: [
        `${source}: unknown keys are ignored: element 1: "n\u0430me" (did you mean "name"?)`,
      ],
    });
  });

  test("a resource of the element", () => {
    expect(elements('{"name":"a","resourceName":"v.com/x"}')).toEqual([
      { name: "a", resourceName: "v.com/x" },
    ]);
  });

  test("keys without effect are refused where the node is strict", () => {
    const text = JSON.stringify([
      { name: "a", ipz: 1, colour: 1 },
      { name: "b", "ipam-claim-reference": "c" },
      { name: "c", resourceClaim: { claimName: "nic" }, Interfaces: "x" },
    ]);
    expect(refusal(text, true)).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 2: "ipam-claim-reference" is ignored: genie knows no IPAM claims, element 3: "resourceClaim" is ignored: genie knows no resource claims, unknown keys: element 1: "ipz" (did you mean "ips"?), "colour", element 3: "Interfaces" (did you mean "interface"?)`,
    });
  });

  test("inherited names are data like any other", () => {
    const text =
      '[{"name":"a","__proto__":{"mac":"02:00:00:00:00:07"},"constructor":1}]';
    expect(elements(text)).toEqual([{ name: "a" }]);
    expect(refusal('[{"__proto__":{"name":"a"}}]')).toMatchObject({ code: 7 });
  });
});

/** Lists in lists. */
const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

describe("parseElements, JSON that is an error 7 naming element and key", () => {
  const of = (extra: object) =>
    JSON.stringify([{ name: "a" }, { name: "b", ...extra }]);
  const cases: [string, string][] = [
    ['[{"name":"a"},]', "invalid character"],
    ['[{"name":"a"}', "unexpected end of JSON input"],
    ['"a"', "element 1: expected an object, got string"],
    ['["a"]', "element 1: expected an object, got string"],
    ['[{"name":"a"},null]', "element 2: expected an object, got null"],
    ["[[]]", "element 1: expected an object, got array"],
    ["{}", 'element 1: name: expected a DNS-1123 subdomain, got ""'],
    ['{"name":null}', "element 1: name: expected a string, got null"],
    ['{"name":7}', "element 1: name: expected a string, got number"],
    ['{"name":"../a"}', 'name: expected a DNS-1123 subdomain, got "../a"'],
    [
      '{"name":"a","Name":"b"}',
      'element 1: name: one key in two spellings, "name" and "Name"',
    ],
    [
      of({ ips: ["10.0.0.1"], IPs: null }),
      'element 2: ips: one key in two spellings, "ips" and "IPs"',
    ],
    [
      of({ portMappings: [{ hostPort: 80, HOSTPORT: 0, containerPort: 80 }] }),
      'element 2: portMappings.0: hostPort: one key in two spellings, "hostPort" and "HOSTPORT"',
    ],
    [
      of({ bandwidth: { ingressRate: 1, ingreſſRate: 2 } }),
      'element 2: bandwidth: ingressRate: one key in two spellings, "ingressRate" and "ingreſſRate"',
    ],
    [
      of({ namespace: "X" }),
      'element 2: namespace: expected a DNS-1123 subdomain, got "X"',
    ],
    [
      of({ interface: "a/b" }),
      'element 2: interface: invalid interface name "a/b"',
    ],
    [
      of({ interface: 1 }),
      "element 2: interface: expected a string, got number",
    ],
    [
      of({ interfaceRequest: ".." }),
      "element 2: interfaceRequest: invalid interface name",
    ],
    [of({ ips: "10.0.0.1" }), "element 2: ips: expected a list, got string"],
    [
      of({ ips: ["10.0.0.1", "x"] }),
      'element 2: ips.1: expected an IP address or CIDR, got "x"',
    ],
    [of({ ips: ["10.0.0.1/33"] }), "element 2: ips.0:"],
    [of({ ips: ["fd00::1/129"] }), "element 2: ips.0:"],
    [of({ ips: ["010.0.0.1"] }), "element 2: ips.0:"],
    [of({ ips: ["10.0.0.1;MAC=1"] }), "element 2: ips.0:"],
    [of({ ips: [""] }), "element 2: ips.0:"],
    [of({ ips: [null] }), "element 2: ips.0: expected a string, got null"],
    [
      of({ mac: "02:00:00:00:00" }),
      'element 2: mac: expected a MAC address, got "02:00:00:00:00"',
    ],
    [
      of({ mac: "c2:11:22:33:44:55:66:77" }),
      "element 2: mac: expected a MAC address",
    ],
    [of({ mac: "02:00:00:00:00:0g" }), "element 2: mac:"],
    [
      of({ "infiniband-guid": "02:00:00:00:00:07" }),
      "element 2: infiniband-guid: expected a GUID of 8 bytes",
    ],
    [
      of({ portMappings: {} }),
      "element 2: portMappings: expected a list, got object",
    ],
    [
      of({ portMappings: ["80"] }),
      "element 2: portMappings.0: expected an object, got string",
    ],
    [
      of({ portMappings: [{ containerPort: 80 }] }),
      "element 2: portMappings.0: hostPort: expected a port",
    ],
    [
      of({ portMappings: [{ hostPort: 0, containerPort: 80 }] }),
      "portMappings.0: hostPort: expected a port from 1 to 65535",
    ],
    [
      of({ portMappings: [{ hostPort: 80, containerPort: 65_536 }] }),
      "portMappings.0: containerPort: expected a port",
    ],
    [
      of({ portMappings: [{ hostPort: 80.5, containerPort: 80 }] }),
      "portMappings.0: hostPort: expected a port",
    ],
    [
      of({ portMappings: [{ hostPort: "80", containerPort: 80 }] }),
      "portMappings.0: hostPort: expected a port",
    ],
    [
      of({
        portMappings: [{ hostPort: 80, containerPort: 80, protocol: "icmp" }],
      }),
      "portMappings.0: protocol: expected tcp, udp or sctp",
    ],
    [
      of({
        portMappings: [{ hostPort: 80, containerPort: 80, hostIP: "here" }],
      }),
      "portMappings.0: hostIP: expected an IP address",
    ],
    [
      of({ bandwidth: [] }),
      "element 2: bandwidth: expected an object, got array",
    ],
    [
      of({ bandwidth: { ingressRate: -1 } }),
      "element 2: bandwidth: ingressRate: expected bits",
    ],
    [
      of({ bandwidth: { egressRate: "1M" } }),
      "element 2: bandwidth: egressRate: expected bits",
    ],
    [
      of({ bandwidth: { egressBurst: 1.5 } }),
      "element 2: bandwidth: egressBurst: expected bits",
    ],
    [of({ deviceID: 3 }), "element 2: deviceID: expected a string, got number"],
    [
      of({ "cni-args": "a=b" }),
      "element 2: cni-args: expected an object, got string",
    ],
    [
      of({ "cni-args": [] }),
      "element 2: cni-args: expected an object, got array",
    ],
    [
      of({ "default-route": "10.0.0.1" }),
      "element 2: default-route: expected a list, got string",
    ],
    [
      of({ "default-route": ["10.0.0.1/24"] }),
      'element 2: default-route.0: expected an IP address, got "10.0.0.1/24"',
    ],
    [
      of({ "default-route": ["10.0.0.1", "fd00::1", "10.0.0.2"] }),
      'element 2: default-route: two gateways of one address family, "10.0.0.1" and "10.0.0.2"',
    ],
    [of({ resourceName: 1 }), "element 2: resourceName: expected a string"],
    [
      of({ resourceClaim: "nic" }),
      "element 2: resourceClaim: expected an object, got string",
    ],
    [
      of({ resourceClaim: { requestName: 1 } }),
      "element 2: resourceClaim: claimName: expected the name of a claim of the pod, resourceClaim: requestName: expected a string, got number",
    ],
    [
      of({ resourceName: "v.com/x", resourceClaim: { claimName: "nic" } }),
      "element 2: resourceClaim: there is a resourceName as well",
    ],
    [
      of({ "cni-args": JSON.parse(nested(97)) as unknown }),
      "element 2: cni-args: expected an object, got array",
    ],
    [
      of({ "cni-args": { x: JSON.parse(nested(98)) as unknown } }),
      "nested deeper than 100 levels",
    ],
    [
      of({ "ipam-claim-reference": {} }),
      "element 2: ipam-claim-reference: expected a string, got object",
    ],
  ];
  test.each(cases)("%s", (text, message) => {
    expect(refusal(text)).toEqual({
      code: 7,
      message: expect.stringContaining(message),
    });
  });

  test("all keys of an element that are wrong, together", () => {
    expect(refusal('{"name":"A","mac":"x","ips":["y"]}')).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 1: name: expected a DNS-1123 subdomain, got "A", ips.0: expected an IP address or CIDR, got "y", mac: expected a MAC address, got "x"`,
    });
  });

  test("all elements that are wrong, together", () => {
    const entries = [{ name: "A", mac: "x" }, { name: "a" }, null, { ips: 1 }];
    expect(refusal(JSON.stringify(entries))).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 1: name: expected a DNS-1123 subdomain, got "A", mac: expected a MAC address, got "x", element 3: expected an object, got null, element 4: name: expected a DNS-1123 subdomain, got "", ips: expected a list, got number`,
    });
  });

  const many = 60_000;
  const floods: [string, object][] = [
    ["ips", { ips: Array.from({ length: many }, (_, i) => `x${i}`) }],
    ["default-route", { "default-route": Array(many).fill("x") }],
    ["gateways", { "default-route": Array(many).fill("10.0.0.1") }],
    [
      "portMappings",
      { portMappings: Array.from({ length: many }, () => ({})) },
    ],
    [
      "keys in two spellings",
      Object.fromEntries(spellings("portmappings").map((key) => [key, []])),
    ],
    [
      "unknown keys",
      Object.fromEntries(Array.from({ length: many }, (_, i) => [`k${i}`, 1])),
    ],
  ];
  test.each(floods)(
    "60,000 problems are told in at most 8 KiB, at once: %s",
    (_, keys) => {
      const text = JSON.stringify({ name: "a", ...keys });
      const start = performance.now();
      const { message } = refusal(text, true);
      expect(performance.now() - start).toBeLessThan(1000);
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8192);
    },
  );

  test("a value is cut and its control characters are escaped", () => {
    const { message } = refusal(
      JSON.stringify({ name: `\n${"x".repeat(500)}` }),
    );
    expect(message).toContain(`got "\\n${"x".repeat(127)}…"`);
  });
});

describe("parseElements, at most 32", () => {
  const names = (count: number) =>
    Array.from({ length: count }, (_, i) => `n${i}`);
  const forms: [string, (names: string[]) => string][] = [
    ["short form", (list) => list.join(",")],
    ["JSON", (list) => JSON.stringify(list.map((name) => ({ name })))],
  ];
  test.each(forms)("%s", (_, write) => {
    expect(elements(write(names(32)))).toEqual(
      names(32).map((name) => ({ name })),
    );
    expect(refusal(write(names(33)))).toEqual({
      code: 7,
      message: `failed to parse ${source}: more than 32 networks`,
    });
  });
});

test("parseElements, more addresses than CNI_ARGS can carry: error 7", () => {
  const ips = Array.from({ length: 33 }, (_, i) => `10.0.0.${i}`);
  expect(refusal(JSON.stringify({ name: "a", ips }))).toEqual({
    code: 7,
    message: `failed to parse ${source}: element 1: ips: more than 32 addresses`,
  });
});
