import { readFileSync } from "node:fs";
import { createService } from "ts-micro";
import { registerGreeterHandler } from "../protobuf/gen/greeter_micro.ts";

const page = readFileSync(new URL("page.html", import.meta.url));
const service = createService({
  name: "greeter",
  address: "127.0.0.1:8080",
  // A page's own origin has to be named too.
  cors: { origins: process.env["ORIGINS"]?.split(",") ?? ["http://127.0.0.1:8080", "http://localhost:8080"] },
  http: (_, response) => void response.setHeader("content-type", "text/html").end(page),
});
registerGreeterHandler(service, {
  hello: ({ name }) => ({ msg: `Hello ${name}` }),
  async *count({ to }) {
    for (let n = 1n; n <= to; n++) yield { n };
  },
});
await service.run();
