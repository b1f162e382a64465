/**
 * gRPC services from tables, as the .proto files of Kubernetes have them, and servers
 * and clients of them on unix sockets. Only the fields that tests use are named.
 */
import { rmSync } from "node:fs";
import { createServer } from "node:http2";
import { connect } from "node:net";
import {
  type DescService,
  create,
  createFileRegistry,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import {
  type ConnectRouter,
  type ServiceImpl,
  createClient,
} from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";

/** `name type number`, type `string`, `bool` or a message; `name[]` is repeated. */
type Message = readonly string[];

interface Service {
  package: string;
  service: string;
  messages: Readonly<Record<string, Message>>;
  /** Request and response; `stream X` for a stream of responses. */
  methods: Readonly<
    Record<string, readonly [request: string, response: string]>
  >;
}

export function grpcService(table: Service): DescService {
  const prefix = table.package === "" ? "." : `.${table.package}.`;
  const name = `${table.package}/${table.service}.proto`;
  const file = create(FileDescriptorProtoSchema, {
    name,
    package: table.package,
    syntax: "proto3",
    messageType: Object.entries(table.messages).map(([message, fields]) => ({
      name: message,
      field: fields.map((field) => fieldOf(field, prefix)),
    })),
    service: [
      {
        name: table.service,
        method: Object.entries(table.methods).map(([method, [from, to]]) => ({
          name: method,
          inputType: prefix + from,
          outputType: prefix + to.replace(/^stream /, ""),
          serverStreaming: to.startsWith("stream "),
        })),
      },
    ],
  });
  const described = createFileRegistry(file, () => undefined).getFile(name);
  const [service] = described?.services ?? [];
  if (!service) throw new Error(`failed to describe ${name}`);
  return service;
}

function fieldOf(field: string, prefix: string) {
  const [name = "", type = "", number = ""] = field.split(" ");
  const scalar = { string: Type.STRING, bool: Type.BOOL }[type];
  return {
    name: name.replace("[]", ""),
    number: Number(number),
    label: name.endsWith("[]") ? Label.REPEATED : Label.OPTIONAL,
    type: scalar ?? Type.MESSAGE,
    ...(scalar === undefined && { typeName: prefix + type }),
  };
}

/** Until the process ends. Handlers by the methods in camelCase; a generator is a stream. */
export async function serveGrpc(
  socket: string,
  service: DescService,
  handlers: Readonly<Record<string, (request: never) => unknown>>,
): Promise<void> {
  rmSync(socket, { force: true });
  const routes = (router: ConnectRouter) => {
    // Made from a table, the service has no types of its own.
    const implementation: unknown = handlers;
    router.service(
      service,
      implementation as Partial<ServiceImpl<DescService>>,
    );
  };
  const serve = connectNodeAdapter({ routes });
  const server = createServer((request, response) => {
    // Go's clients send the path of the socket, which is not the host of a URL.
    request.headers[":authority"] = "localhost";
    serve(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });
}

export async function callGrpc(
  socket: string,
  service: DescService,
  method: string,
  request: object,
): Promise<unknown> {
  const baseUrl = "http://localhost";
  const sessionManager = new Http2SessionManager(baseUrl, undefined, {
    createConnection: () => connect(socket),
  });
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  const client = createClient(service, transport) as Record<
    string,
    (request: object) => Promise<unknown>
  >;
  try {
    return await client[method]?.(request);
  } finally {
    sessionManager.abort();
  }
}
