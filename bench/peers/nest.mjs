// NestJS microservices, without decorators' syntax: they are applied by hand.
import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import { Controller, Module } from "@nestjs/common";
import { ClientProxyFactory, GrpcMethod, MessagePattern, Transport } from "@nestjs/microservices";
import { firstValueFrom } from "rxjs";
import { freePort } from "../lib/proc.mjs";

const optionsOf = (transport, port) =>
  transport === "tcp"
    ? { transport: Transport.TCP, options: { host: "127.0.0.1", port } }
    : {
        transport: Transport.GRPC,
        options: {
          package: "bench",
          protoPath: new URL("./bench.proto", import.meta.url).pathname,
          url: `127.0.0.1:${port}`,
        },
      };

export async function start({ transport }) {
  class Greeter {
    hello({ name }) {
      return { msg: `Hello ${name}` };
    }
  }
  const method = transport === "tcp" ? MessagePattern("hello") : GrpcMethod("Greeter", "Hello");
  method(Greeter.prototype, "hello", Object.getOwnPropertyDescriptor(Greeter.prototype, "hello"));
  Controller()(Greeter);
  function App() {}
  Module({ controllers: [Greeter] })(App);
  const port = await freePort();
  const app = await NestFactory.createMicroservice(App, { logger: false, ...optionsOf(transport, port) });
  await app.listen();
  return { address: String(port), close: () => app.close() };
}

export async function connect(port, { transport }) {
  const client = ClientProxyFactory.create(optionsOf(transport, Number(port)));
  if (transport === "tcp") {
    await client.connect();
    return { call: (name) => firstValueFrom(client.send("hello", { name })), close: () => client.close() };
  }
  const greeter = client.getService("Greeter");
  return { call: (name) => firstValueFrom(greeter.hello({ name })), close: () => client.close() };
}
