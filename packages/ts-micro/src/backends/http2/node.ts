import type { Http2Engine } from "../http2.ts";
import { NodeSession } from "./node/client.ts";
import { NodeServer } from "./node/server.ts";

/** HTTP/2 on node:http2. */
export const nodeHttp2: Http2Engine = {
  server: (options) => new NodeServer(options),
  client: (socket, options) => new NodeSession(socket, options),
};
