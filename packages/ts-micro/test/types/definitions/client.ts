import { createClient } from "ts-micro";
import type { Admin, greeter } from "./greeter.ts";

const client = createClient({ env: false });
const service = client.service<typeof greeter>("greeter");

export const hello = await service.Greeter.hello({ name: "Ada" });
for await (const { n } of service.Greeter.count({ to: 3 })) n.toFixed();
export const reset = await service.Admin.reset({ hard: true });

const contract = client.service<{ Admin: Admin }>("greeter");
export const again = await contract.Admin.reset({ hard: false });
